"""What holds for every format: errors name file and row, unknown names are listed once, ids and columns are stable."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.evidence import table
from inferatlas.evidence.importers import FORMATS, KINDS, import_evidence
from inferatlas.evidence.importers.problems import BrokenPhysics, Problem

RUN: dict[str, Any] = {
    "model_id": "meta-llama/Llama-3.1-8B-Instruct", "duration": 60.0, "completed": 200, "max_concurrency": 16,
    "request_rate": "inf", "output_throughput": 400.0, "mean_tpot_ms": 9.0, "accelerator": "H100", "num_gpus": 1,
    "precision": "bf16",
}  # fmt: skip


def write(folder: Path, *records: Any) -> Path:
    file = folder / "runs.jsonl"
    file.write_text("\n".join(json.dumps(record) for record in records))
    return file


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"{", b"\xff\xfe\x00", b"[]", b"a,b\n", b"null", b"[" * 100_000, b'{"a": ' + b"9" * 5000]
)
def test_no_format_is_broken_by_a_broken_file(tmp_path: Path, format: str, content: bytes):
    file = (
        tmp_path / "summary_silicon.csv" if format in ("argonne", "aiconfigurator", "mlperf") else tmp_path / "a.json"
    )
    file.write_bytes(content)
    done = import_evidence(format, file)
    assert done.frame.height == 0 and list(done.frame.columns) == list(table.SCHEMA)
    assert done.problems and {problem.kind for problem in done.problems} == {"unreadable"}
    assert all(problem.file == file.name for problem in done.problems)


def test_the_frame_conforms_to_the_schema_and_ids_are_unique(tmp_path: Path):
    done = import_evidence("vllm-bench", write(tmp_path, RUN, RUN | {"mean_tpot_ms": 9.5}))
    assert dict(done.frame.schema) == table.SCHEMA
    assert done.frame["row_id"].to_list() == ["vllm-bench:runs.jsonl:1", "vllm-bench:runs.jsonl:2"]
    file = tmp_path / "table.parquet"
    table.write_table(done.frame, file)
    assert pl.read_parquet(file).equals(done.frame)


def test_a_second_import_gives_the_same(tmp_path: Path):
    file = write(tmp_path, RUN, RUN, RUN | {"model_id": "acme/x"})
    first, second = import_evidence("vllm-bench", file), import_evidence("vllm-bench", file)
    assert first.frame.equals(second.frame) and first.problems == second.problems and first.counts == second.counts


def test_unknown_names_are_kept_slugged_and_listed_once_with_near_ones(tmp_path: Path):
    odd = [RUN | {"model_id": "Acme/Llama-3.1-9B", "mean_tpot_ms": 9.0 + i, "gpu": "x"} for i in range(3)]
    odd[0]["accelerator"] = "NVIDIA H1000"
    done = import_evidence("vllm-bench", write(tmp_path, *odd))
    assert done.frame["model"].to_list() == ["llama-3.1-9b"] * 3
    assert done.frame["accelerator"].to_list() == ["nvidia-h1000", "nvidia-h100-sxm", "nvidia-h100-sxm"]
    model, accelerator = done.problems
    assert (model.kind, model.row) == ("unknown_model", 1)
    assert "'Acme/Llama-3.1-9B' in 3 rows" in model.detail and "llama-3.1-8b" in (model.hint or "")
    assert accelerator.kind == "unknown_accelerator" and "in 1 row" in accelerator.detail
    assert done.counts["unknown_model"] == 1 and done.counts["kept"] == 3


def test_copies_are_dropped_across_files_and_other_figures_are_kept(tmp_path: Path):
    for name, record in (("a.json", RUN), ("b.json", RUN), ("c.json", RUN | {"output_throughput": 401.0})):
        (tmp_path / name).write_text(json.dumps(record))
    done = import_evidence("vllm-bench", tmp_path)
    assert done.frame["row_id"].to_list() == ["vllm-bench:a.json:1", "vllm-bench:c.json:1"]
    assert [(p.kind, p.file) for p in done.problems] == [("duplicate", "b.json")]


def test_counts_add_up(tmp_path: Path):
    rows = [RUN, RUN, RUN | {"mean_tpot_ms": 0.009}, RUN | {"mean_tpot_ms": 9000.0}, {"model_id": "x"}]
    counts = import_evidence("vllm-bench", write(tmp_path, *rows)).counts
    assert counts["rows"] == 5 and set(KINDS) <= set(counts)
    lost = sum(counts[kind] for kind in ("broken_physics", "unit", "unreadable", "duplicate"))
    assert (counts["kept"], lost, counts["skipped"], counts["files"]) == (1, 4, 0, 1)
    assert (counts["broken_physics"], counts["unit"], counts["unreadable"], counts["duplicate"]) == (1, 1, 1, 1)


def test_problems_are_errors_of_the_one_tree(tmp_path: Path):
    (problem,) = import_evidence("vllm-bench", write(tmp_path, RUN, RUN | {"mean_tpot_ms": 0.009})).problems
    error = problem.error
    assert isinstance(error, BrokenPhysics) and error.exit_code == 2
    assert str(error).startswith("runs.jsonl:2: itl_s:")
    assert str(problem).startswith("runs.jsonl:2: broken_physics: itl_s:")
    assert {type(Problem(kind, "f", 1, "d").error).__mro__[1] for kind in KINDS} == {BadInput}


def test_given_fills_only_what_is_empty(tmp_path: Path):
    given = {"accelerator": "H200", "tp": 1, "engine": "vLLM", "licence": "own", "load": "closed_loop"}
    row = import_evidence("vllm-bench", write(tmp_path, RUN), given=given).frame.row(0, named=True)
    assert (row["accelerator"], row["tp"], row["engine"], row["licence"]) == ("nvidia-h100-sxm", 1, "vllm", "own")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus": 8}, "'gpus' cannot be given"),
        ({"itl_s": 0.01}, "'itl_s' cannot be given"),
        ({"tp": "many"}, "'many' is not a number above 0"),
        ({"accelerators": 0}, "'0' is not a number above 0"),
        ({"model": 8}, "a text is needed here"),
        ({"load": "closed"}, "unknown load 'closed'"),
    ],
)
def test_what_cannot_be_given_is_refused(tmp_path: Path, given: dict[str, Any], said: str):
    with pytest.raises(BadInput, match=said):
        import_evidence("vllm-bench", write(tmp_path, RUN), given=given)


def test_unknown_formats_missing_paths_and_folders_without_files(tmp_path: Path):
    with pytest.raises(BadInput, match=r"unknown format 'vllm'.*vllm-bench"):
        import_evidence("vllm", tmp_path)
    with pytest.raises(BadInput, match="no such file or folder"):
        import_evidence("argonne", tmp_path / "gone.csv")
    with pytest.raises(BadInput, match="no file of this format"):
        import_evidence("argonne", tmp_path)
