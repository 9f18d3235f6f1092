"""Claims of one's own: kept beside the papers', replaced as a whole, refused without leaving anything behind."""

import pytest

from inferatlas.errors import BadInput
from inferatlas.studies.claims.auditing import audit, published
from inferatlas.studies.claims.own import VARIABLE, add, books, folder_of

SLIDE = """\
paper: slide
claims:
  - id: bandwidth
    place: slide 1
    states: the H100 has more than twice the bandwidth of the A100
    asserted: "2.5"
    checks:
      - by: catalogue
        expression: new / old
        inputs: {new: {fact: nvidia-h100-sxm/mem.hbm.bandwidth}, old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}}
"""


@pytest.fixture
def slide(tmp_path):
    file = tmp_path / "slide.yaml"
    file.write_text(SLIDE)
    return file


def test_a_claim_is_checked_and_kept(slide, tmp_path):
    folder = tmp_path / "own" / "claims"
    added = add(slide, folder)
    assert added.findings[0].verdict == "inconsistent" and not added.replaced
    assert added.findings[0].computed.value == pytest.approx(3.35 / 2.039, rel=2e-3)
    assert added.file.read_text() == SLIDE and [one.name for one in folder.iterdir()] == ["slide.yaml"]
    assert books(folder).keys() == published().keys() | {"slide"}
    assert [one.verdict for one in audit(books(folder), paper="slide")] == ["inconsistent"]


def test_the_same_source_again_takes_the_place_of_the_first(slide, tmp_path):
    folder = tmp_path / "own"
    add(slide, folder)
    slide.write_text(SLIDE.replace('"2.5"', '"1.6"'))
    added = add(slide, folder)
    assert added.replaced and [one.verdict for one in audit(books(folder), paper="slide")] == ["consistent"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("new / old", "new / older"), ("mem.hbm.bandwidth}}", "mem.hbm.speed}}"), ("paper: slide", "paper: brunetta")],
)
def test_what_is_refused_leaves_nothing(slide, tmp_path, old, new):
    slide.write_text(SLIDE.replace(old, new))
    folder = tmp_path / "own"
    with pytest.raises(BadInput) as refused:
        add(slide, folder)
    assert refused.value.file == str(slide) and refused.value.line and not folder.exists()


def test_where_they_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert folder_of() == tmp_path / "data" / "inferatlas" / "claims"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert folder_of() == tmp_path / "mine" and folder_of(tmp_path / "given") == tmp_path / "given"


def test_a_folder_that_cannot_be_written_is_named(slide, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        add(slide, tmp_path / "file")


def test_a_file_that_went_bad_is_named(slide, tmp_path):
    added = add(slide, tmp_path / "own")
    added.file.write_text("paper: slide\nclaims: 1\n")
    with pytest.raises(BadInput) as refused:
        books(tmp_path / "own")
    assert refused.value.file == str(added.file)
