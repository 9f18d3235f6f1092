"""What is known of sources: the longest beginning of a name answers, and software ages by its version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.evidence import sources
from inferatlas.evidence.sources import about, era_of, harness


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch):
    document = {
        "sources": {"bench": {"era": "2024"}, "bench_new": {"era": "2025"}, "plain": {"length": 0.5}},
        "eras": {"vllm": "0.6.3", "deepspeed": "none"},
        "present": "2025",
        "past": "2024",
    }
    for cached in (harness, era_of):
        cached.cache_clear()
    monkeypatch.setattr(sources, "_known", lambda: document)
    yield
    for cached in (harness, era_of):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("source", "name"),
    [("bench", "bench"), ("bench_old", "bench"), ("bench_new", "bench_new"), ("bench_newer", "bench_new"),
     ("my bench", "my bench"), ("", None), (None, None)],
)  # fmt: skip
def test_the_longest_beginning_of_a_name_answers(known, source: str | None, name: str | None):
    assert harness(source) == name


def test_what_is_known_follows_the_same_name(known):
    assert about("bench_newer") == {"era": "2025"}
    assert about("bench_old") == {"era": "2024"}
    assert about("mine") == about(None) == {}


@pytest.mark.parametrize(
    ("engine", "version", "source", "era"),
    [
        ("vllm", "0.6.2", None, "2024"),
        ("vllm", "0.6.3", None, "2025"),
        ("vllm", "0.6.10", None, "2025"),  # numbers, not text
        ("vllm", "0.10", None, "2025"),
        ("vllm", "v0.5.4.post1", None, "2024"),
        ("vllm", None, None, "2025"),
        ("vllm", "main", None, "2025"),
        ("vllm", "0.11.0", "bench_x", "2024"),  # the source knows better than the version
        ("vllm", "0.5.0", "bench_new", "2025"),
        ("vllm", "0.5.0", "plain", "2024"),
        ("deepspeed", "0.99", None, "2024"),
        ("native", "0.1", None, "2025"),
    ],
)
def test_eras(known, engine: str, version: str | None, source: str | None, era: str):
    assert era_of(engine, version, source) == era


@pytest.mark.parametrize(
    ("source", "name"),
    [("mlenergy_v3", "mlenergy"), ("mlenergy_v2", "mlenergy"), ("aic_silicon_inferencex", "aic_silicon_inferencex"),
     ("argonne_lib", "argonne_lib"), ("inferencex_2026", "inferencex")],
)  # fmt: skip
def test_releases_of_one_published_table_are_one_harness(source: str, name: str):
    assert harness(source) == name


def test_every_known_source_says_why_and_is_plausible():
    document = sources._known()
    for name, facts in document["sources"].items():
        assert facts["why"], name
        assert facts.get("era") in (None, document["past"], document["present"])
        assert 0.5 < facts.get("length", 1.0) <= 1.0
        assert 0.0 <= facts.get("spread", 0.0) < 1.0


@given(st.text(), st.text())
def test_the_harness_of_any_source_is_a_known_beginning_or_the_source_itself(source: str, version: str):
    name = harness(source)
    assert name == (source or None) or source.startswith(str(name))
    assert era_of("vllm", version, source) in ("2024", "2025")
