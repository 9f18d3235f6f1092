"""Claims of one's own: kept beside the papers', replaced as a whole, refused without leaving anything behind."""

import os
from concurrent.futures import ThreadPoolExecutor

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
        add(slide, tmp_path / "file" / "claims")


def test_a_file_that_went_bad_is_named(slide, tmp_path):
    added = add(slide, tmp_path / "own")
    added.file.write_text("paper: slide\nclaims: 1\n")
    with pytest.raises(BadInput) as refused:
        books(tmp_path / "own")
    assert refused.value.file == str(added.file)


def test_the_kept_text_is_the_one_that_was_checked(tmp_path):
    """A pipe can be read once only."""
    read, write = os.pipe()
    os.write(write, SLIDE.encode())
    os.close(write)
    added = add(f"/dev/fd/{read}", tmp_path / "own")
    os.close(read)
    assert added.file.read_text() == SLIDE and added.findings


def test_a_file_that_went_bad_can_be_replaced(slide, tmp_path):
    added = add(slide, tmp_path / "own")
    added.file.write_text("paper: slide\nclaims: 1\n")
    assert add(slide, tmp_path / "own").replaced and "slide" in books(tmp_path / "own")


def test_no_two_files_are_of_one_source(slide, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "copy.yaml").write_text(SLIDE)
    with pytest.raises(BadInput, match="holds the claims of 'slide'") as refused:
        books(folder)
    assert refused.value.file == str(folder / "copy.yaml") and "slide.yaml" in refused.value.hint


def test_what_is_no_file_is_passed_over(slide, tmp_path):
    folder = tmp_path / "own"
    (folder / "a-folder.yaml").mkdir(parents=True)
    os.mkfifo(folder / "a-pipe.yaml")
    (folder / "notes.txt").write_bytes(b"\xff")
    add(slide, folder)
    assert "slide" in books(folder)


def test_a_link_to_a_folder_is_followed(slide, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert add(slide, tmp_path / "link").file.exists() and (tmp_path / "real" / "slide.yaml").is_file()


@pytest.mark.parametrize("folder", ["~nobody-of-that-name/claims", "x" * 300, "file"])
def test_a_folder_that_cannot_be_one_is_refused(slide, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for reads in (lambda: books(folder), lambda: add(slide, folder)):
        with pytest.raises(BadInput) as refused:
            reads()
        assert refused.value.field == "ledger"


def test_claims_added_at_once_leave_whole_files(tmp_path):
    folder = tmp_path / "own"
    files = []
    for i in range(8):
        files.append(tmp_path / f"{i}.yaml")
        files[-1].write_text(SLIDE.replace("paper: slide", f"paper: slide-{i % 2}").replace("slide 1", f"slide {i}"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda file: add(file, folder), files))
    assert sorted(one.name for one in folder.iterdir()) == ["slide-0.yaml", "slide-1.yaml"]
    assert {"slide-0", "slide-1"} <= books(folder).keys()


DEEP = "&x0 [l, l, l, l, l, l, l, l, l]"
for _i in range(1, 12):  # nine to the twelfth entries, were they written out
    DEEP = f"&x{_i} [{DEEP}{f', *x{_i - 1}' * 8}]"
ASKED = "{of: itl_s, model: llama-3.1-8b, accelerator: h100, concurrency: 1, isl: 512, osl: 128}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("paper: slide", f"year: {DEEP}\npaper: slide"), ("paper: slide", f"address: {DEEP}\npaper: slide"),
        ('asserted: "2.5"', f"asserted: {DEEP}"), ('asserted: "2.5"', "asserted: 0x" + "F" * 20_000),
        ('asserted: "2.5"', 'asserted: "1e-999999999"'), ('asserted: "2.5"', 'asserted: "N/A"'),
        ('asserted: "2.5"', "asserted: {text: a, formula: new, unit: B}"),
        ('asserted: "2.5"', f'asserted: "{"9" * 300_000}"'), ("slide 1", "s" * 300_000),
        ("paper: slide", f"paper: {'a' * 300}"), ("id: bandwidth", "id: ../bandwidth"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {claim: bandwidth}"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {values: [1 B, 2 W], source: x}"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {fact: part.yaml/mem.hbm.bandwidth}"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {model: model.yaml/layers}"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {model: config.json/layers}"),
        ("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", "old: {model: ./layers}"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_with_its_line(slide, tmp_path, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    for name in ("part.yaml", "model.yaml", "config.json"):
        (tmp_path / name).write_text('{"secret": 1}')
    assert old in SLIDE
    slide.write_text(SLIDE.replace(old, new))
    with pytest.raises(BadInput) as refused:
        add(slide, tmp_path / "own")
    assert refused.value.file == str(slide) and refused.value.line and len(str(refused.value)) < 4_000
    assert "secret" not in str(refused.value) and not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model: llama-3.1-8b", f"model: {DEEP}"), ("model: llama-3.1-8b", "model: config.json"),
        ("model: llama-3.1-8b", "model: ."), ("accelerator: h100", "accelerator: part.yaml"),
        ("isl: 512", "workload: load.yaml"), ("isl: 512", "workload: /dev/zero"), ("isl: 512", "isl: .nan"),
        ("isl: 512", "isl: 512, tp: x"), ("isl: 512", "isl: 512, weights: 5"), ("isl: 512", "isl: 512, tier: [5]"),
        ("isl: 512", "isl: 512, count: true"), ("isl: 512", "isl: 512, no_such: 1"), ("of: itl_s", "of: [a]"),
        ("of: itl_s", "of: nothing"), ("isl: 512", "isl: &r [*r]"), ("isl: 512", "isl: 2024-01-01"),
        ("of: itl_s", "of: output_tokens_per_s, one: {tp: x}, other: {tp: 1}"),
        ("of: itl_s", "of: output_tokens_per_s, one: [1], other: {tp: 1}"),
        ("of: itl_s", "of: output_tokens_per_s, one: {price: 1}, other: {tp: 1}"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_its_line(slide, tmp_path, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    for name in ("part.yaml", "load.yaml", "config.json"):
        (tmp_path / name).write_text('{"secret": 1}')
    assert old in ASKED
    question = "gain" if "other:" in new else "prediction"
    asked = f"old: {{ask: {question}, with: {ASKED.replace(old, new)}}}"
    slide.write_text(SLIDE.replace("old: {fact: nvidia-a100-80gb-sxm/mem.hbm.bandwidth}", asked))
    with pytest.raises(BadInput) as refused:
        add(slide, tmp_path / "own")
    assert refused.value.file == str(slide) and refused.value.line and "secret" not in str(refused.value)
