"""Run records of our own bench: a row per run, of its window; what nobody said is unknown, what is invalid left out."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferatlas.evidence.importers import Imported, import_evidence

GPU: dict[str, Any] = {
    "source": "nvml", "scope": "gpu", "part": None, "joules": 900.0, "valid": True, "devices": [{}, {}],
}  # fmt: skip


def document(**more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "schema_version": 1, "kind": "measured", "started": "2026-11-29T12:13:16+00:00",
        "environment": {"accelerators": []}, "endpoints": ["http://10.0.0.7:8000"],
        "hardware": {"accelerator": "h100", "accelerators": 2, "tp": 2, "weights": "FP8", "kv_cache": None},
        "software": {"engine": "vLLM", "version": "0.11.0"}, "models": ["meta-llama/Llama-3.1-8B-Instruct"],
        "load": {"kind": "closed", "concurrency": 8, "input_tokens": 512.0, "output_tokens": {"mean": 128.0}},
        "prompts": {"think_s": 0.0}, "protocol": None, "validity": {"verdict": "valid", "reasons": [], "remarks": []},
        "metrics": {
            "ttft_s": {"mean": 0.06, "p50": 0.05}, "itl_s": {"mean": 0.009}, "latency_s": {"mean": 1.2},
            "output_tokens_per_s": 800.0, "total_tokens_per_s": 4000.0, "concurrency": 7.9, "power_w": 900.0,
            "window": {"kind": "steady", "spans_s": [[1.0, 9.0]]},
        },
        "energy": [GPU],
    }  # fmt: skip
    return told | more


def write(folder: Path, told: Any, requests: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(told))
    if requests is not None:
        pl.DataFrame(requests, schema_overrides={"due_s": pl.Float64}).write_parquet(folder / "requests.parquet")
    return folder


def imported(folder: Path, **told: Any) -> Imported:
    return import_evidence("run-records", write(folder / "c8", document(**told)))


def row(folder: Path, **told: Any) -> dict[str, Any]:
    done = imported(folder, **told)
    assert done.frame.height == 1, done.problems
    return done.frame.row(0, named=True)


def with_(part: str, **more: Any) -> dict[str, Any]:
    return {part: document()[part] | more}


def test_a_closed_loop_in_the_words_of_the_table(tmp_path: Path):
    found = row(tmp_path)
    assert (found["row_id"], found["source"]) == ("run-records:run.json:1", "inferatlas_bench")
    assert (found["model"], found["accelerator"], found["accelerators"]) == ("llama-3.1-8b", "nvidia-h100-sxm", 2)
    assert (found["engine"], found["engine_version"]) == ("vllm", "0.11.0")
    assert (found["weights"], found["activations"], found["kv_cache"]) == ("fp8", None, None)
    assert (found["tp"], found["pp"], found["ep"], found["dp"]) == (2, None, None, None)
    assert (found["load"], found["concurrency"]) == ("closed_loop", 8)
    assert (found["ttft_s"], found["itl_s"], found["latency_s"]) == (0.06, 0.009, 1.2)
    assert (found["output_tokens_per_s"], found["total_tokens_per_s"], found["power_w"]) == (800.0, 4000.0, 900.0)
    assert (found["input_tokens"], found["output_tokens"]) == (512, 128)
    assert (found["quality"], found["weight"]) == ("ok", 1.0) and "verdict valid" in found["notes"]


def test_lengths_are_those_of_the_completed_requests_of_the_window(tmp_path: Path):
    requests = {
        "status": ["done", "done", "done", "failed", "done"], "due_s": [None, None, 0.5, None, None],
        "sent_s": [0.5, 1.0, 2.0, 3.0, 8.0], "input_tokens": [1, 500, 1, 1, 502], "output_tokens": [1, 120, 1, 1, None],
    }  # fmt: skip
    folder = write(tmp_path / "c8", document(), requests)
    found = import_evidence("run-records", folder).frame.row(0, named=True)
    assert (found["input_tokens"], found["output_tokens"]) == (501, 120)


@pytest.mark.parametrize(
    ("load", "name", "concurrency", "weight"),
    [
        ({"kind": "open", "request_rate": 4.0, "arrival": "poisson"}, "poisson", 7.9, 1.0),
        ({"kind": "open", "request_rate": 4.0, "arrival": "constant"}, "poisson", 7.9, 0.3),
        ({"kind": "trace", "request_rate": None, "arrival": None}, "poisson", 7.9, 0.3),
        ({"kind": "offline"}, "offline", None, 1.0),
        ({"kind": "other", "concurrency": 3}, None, 3, 0.3),
    ],
)
def test_loads(tmp_path: Path, load: dict[str, Any], name: str, concurrency: float, weight: float):
    found = row(tmp_path, load={"input_tokens": 512, "output_tokens": 128} | load)
    assert (found["load"], found["concurrency"], found["weight"]) == (name, concurrency, weight)


def test_latencies_of_everything_at_once_are_no_evidence(tmp_path: Path):
    found = row(tmp_path, **with_("load", kind="offline", concurrency=None))
    assert (found["ttft_s"], found["itl_s"], found["latency_s"]) == (None, None, None)
    assert found["output_tokens_per_s"] == 800.0 and "latencies left out" in found["notes"]


def test_clients_that_rest_hold_fewer_requests(tmp_path: Path):
    found = row(tmp_path, prompts={"think_s": 5.0})
    assert (found["concurrency"], found["weight"]) == (7.9, 0.3)


def test_a_ramp_and_a_simulation_are_no_evidence(tmp_path: Path):
    done = imported(tmp_path, **with_("load", kind="open", rates=[1.0, 16.0]))
    assert not done.frame.height and "of no one load" in done.problems[0].detail
    done = imported(tmp_path, kind="simulated")
    assert not done.frame.height and "a simulated run" in done.problems[0].detail


@pytest.mark.parametrize(
    ("meter", "note"),
    [
        ({"scope": "node_ac"}, "900 W by nvml, scope node_ac: not of the accelerators alone"),
        ({"scope": None}, "scope unknown"),
        ({"source": "rapl", "scope": "module"}, "900 W by rapl"),
        ({"part": "memory"}, "not of the accelerators alone"),
        ({"valid": False}, "invalid, so not in power_w"),
        ({"devices": [{}] * 8}, "meters of 8 devices, 2 accelerators"),
    ],
)
def test_power_is_that_of_all_accelerators_or_left_out_with_a_note(tmp_path: Path, meter: dict[str, Any], note: str):
    found = row(tmp_path, energy=[GPU | meter])
    assert found["power_w"] is None and found["power_method"] is None and note in found["notes"]


def test_power_that_nobody_read_is_unknown(tmp_path: Path):
    assert row(tmp_path, energy=[], **with_("metrics", power_w=None))["power_w"] is None


def test_a_degraded_run_is_worth_less_and_an_invalid_one_is_left_out_unless_asked_for(tmp_path: Path):
    found = row(tmp_path, validity={"verdict": "degraded", "reasons": [], "remarks": ["client_busy"]})
    assert (found["quality"], found["weight"]) == ("caution", 0.3) and "degraded: client_busy" in found["notes"]
    done = imported(tmp_path, validity={"verdict": "invalid", "reasons": ["client_limited"], "remarks": []})
    assert [(p.kind, p.detail) for p in done.problems] == [("invalid", "verdict invalid: client_limited")]
    assert (done.counts["kept"], done.counts["invalid"]) == (0, 1)
    kept = import_evidence("run-records", tmp_path / "c8", invalid=True).frame.row(0, named=True)
    assert kept["weight"] == 0.3 and "client_limited" in kept["notes"]


def test_without_accelerators_a_run_is_refused_with_what_to_do(tmp_path: Path):
    done = imported(tmp_path, hardware={"accelerator": None, "accelerators": None})
    (problem,) = done.problems
    assert problem.detail.startswith("accelerators not named") and "--accelerator" in (problem.hint or "")
    given = {"accelerator": "H200", "accelerators": 1}
    found = import_evidence("run-records", tmp_path / "c8", given=given).frame.row(0, named=True)
    assert (found["accelerator"], found["accelerators"], found["power_w"]) == ("nvidia-h200-sxm", 1, None)


def test_what_stands_in_the_machine_serves_if_the_server_is_there(tmp_path: Path):
    here = {"environment": {"accelerators": ["NVIDIA H100 80GB HBM3"] * 2}, "hardware": {}}
    found = row(tmp_path, endpoints=["http://127.0.0.1:8000"], **here)
    assert (found["accelerator"], found["accelerators"], found["weight"]) == ("nvidia-h100-sxm", 2, 0.3)
    assert "all that the machine has" in found["notes"]
    assert not imported(tmp_path, endpoints=["http://127.0.0.1.example:8000"], **here).frame.height


def test_names_that_nobody_knows_give_way_to_what_the_caller_says(tmp_path: Path):
    folder = write(tmp_path / "c8", document(models=["my-chat"], **with_("hardware", accelerator="gpu0")))
    found = import_evidence("run-records", folder, given={"model": "llama-3.1-8b", "accelerator": "h100"}).frame
    assert found.select("model", "accelerator").row(0) == ("llama-3.1-8b", "nvidia-h100-sxm")
    done = import_evidence("run-records", folder)
    assert done.frame["model"].to_list() == ["my-chat"]
    assert {problem.kind for problem in done.problems} == {"unknown_model", "unknown_accelerator"}


def test_a_folder_of_benches_has_a_row_per_run_and_says_which_tool_measured(tmp_path: Path):
    write(tmp_path / "a" / "c8", document())
    told = document(imported_from="guidellm", **with_("metrics", output_tokens_per_s=790.0))
    write(tmp_path / "b" / "c8", told | {"validity": {"valid": None, "verdict": None, "remarks": ["imported"]}})
    frame = import_evidence("run-records", tmp_path).frame
    assert frame["row_id"].to_list() == ["run-records:a/c8/run.json:1", "run-records:b/c8/run.json:1"]
    assert frame["source"].to_list() == ["inferatlas_bench", "guidellm"] and frame["weight"].to_list() == [1.0, 0.3]
    assert "as guidellm reports it" in frame["itl_statistic"][1]


@pytest.mark.parametrize(
    "told",
    [{"schema_version": 2}, {"kind": "other"}, {"metrics": {}}, {"metrics": None}],
)
def test_what_is_no_record_or_holds_no_figure_is_told(tmp_path: Path, told: dict[str, Any]):
    done = imported(tmp_path, **told)
    assert not done.frame.height and [problem.kind for problem in done.problems] == ["unreadable"]


@pytest.mark.parametrize("part", ["validity", "load", "hardware", "software", "environment", "energy", "endpoints"])
@pytest.mark.parametrize("odd", [None, 3, "text", [], {}, [3]])
def test_odd_parts_break_nothing(tmp_path: Path, part: str, odd: Any):
    assert imported(tmp_path, **{part: odd}).counts["rows"] == 1


def test_a_damaged_table_is_told(tmp_path: Path):
    folder = write(tmp_path / "c8", document())
    (folder / "requests.parquet").write_bytes(b"no table")
    (problem,) = import_evidence("run-records", folder).problems
    assert "requests.parquet" in problem.detail
