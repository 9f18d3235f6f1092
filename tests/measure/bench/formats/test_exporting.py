"""Round trips: what was written in another tool's convention comes back as the same requests and figures."""

from __future__ import annotations

import json
from itertools import accumulate

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.formats import EXPORTS, export, read_foreign, write_imported
from inferatlas.measure.bench.formats.records import open_record

PER_REQUEST = ("vllm", "guidellm", "guidellm-yaml", "guidellm-v1")
# vLLM's moments are the run's own; GuideLLM's are Unix times, in which a double holds 2e-7 s
TOLERANCE = {"vllm": 1e-12} | dict.fromkeys(PER_REQUEST[1:], 1e-6)
NUMBERS = ("due_s", "sent_s", "first_token_s", "finish_s", "ttft_s", "ttft_service_s", "latency_s",
           "latency_service_s", "itl_s", "send_lag_s", "input_tokens", "output_tokens")  # fmt: skip


def back(folder, tool, tmp_path):
    file = tmp_path / EXPORTS[tool].file
    file.write_text(export(folder, tool))
    return read_foreign(file)[0]


def same(folder, tool, tmp_path, names=NUMBERS):
    found, record = back(folder, tool, tmp_path), open_record(folder)
    rows = [row for row in record.requests() if row["sent_s"] is not None]
    assert len(found.requests["id"]) == len(rows)
    assert found.requests["status"] == [row["status"] for row in rows]
    for name in names:
        told = [row["status"] == "done" or name == "sent_s" for row in rows]
        want = [row[name] if one else None for row, one in zip(rows, told, strict=True)]
        got = [value if one else None for value, one in zip(found.requests[name], told, strict=True)]
        assert got == pytest.approx(want, abs=TOLERANCE[tool]), name
    return found


@pytest.mark.parametrize("tool", PER_REQUEST)
def test_requests_of_a_closed_loop_come_back(make_record, tmp_path, tool):
    found = same(make_record(), tool, tmp_path)
    assert found.counts == {"sent": 5, "completed": 4, "failed": {"http_429": 1}}
    assert (found.load["kind"], found.load["concurrency"]) == ("closed", 2)
    assert found.load["model"] == "tiny"


@pytest.mark.parametrize("tool", PER_REQUEST)
def test_requests_of_an_open_loop_come_back_with_when_they_were_due(make_record, open_requests, tmp_path, tool):
    folder = make_record(open_requests, load={"kind": "open", "request_rate": 2.5, "arrival": "poisson"})
    found = same(folder, tool, tmp_path)
    assert (found.load["kind"], found.load["request_rate"]) == ("open", 2.5)
    # an open loop counts from when a request was due: the 4th was sent 8 ms late
    assert found.requests["ttft_s"][4] - found.requests["ttft_service_s"][4] == pytest.approx(0.008, abs=1e-6)


def test_every_token_comes_back_from_vllm(make_record, tmp_path):
    folder = make_record()
    found, rows = back(folder, "vllm", tmp_path), list(open_record(folder).requests())
    assert found.requests["chunk_tokens"] == [row["chunk_tokens"] for row in rows]
    for got, row in zip(found.requests["token_s"], rows, strict=True):
        assert got == (pytest.approx(row["token_s"], abs=1e-12) if row["token_s"] else None)


times = st.floats(0.001, 2.0)
events = st.lists(st.tuples(times, st.integers(1, 5)), min_size=1, max_size=6)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0.0, 100.0), events), min_size=1, max_size=6))
def test_any_requests_come_back_from_vllm_and_guidellm(tmp_path_factory, request_of, requests):
    from inferatlas.measure.bench.formats.rows import Rows

    folder = tmp_path_factory.mktemp("record")
    rows = Rows(open_loop=False)
    for sent, gaps in requests:
        after = accumulate(gap for gap, _ in gaps)
        rows.add(**request_of(sent, [(time, many) for time, (_, many) in zip(after, gaps, strict=True)]))
    kinds = {"token_s": pl.List(pl.Float64), "chunk_tokens": pl.List(pl.Int32)}
    pl.DataFrame(rows.columns, schema_overrides=kinds).write_parquet(folder / "requests.parquet")
    (folder / "run.json").write_text(json.dumps({"load": {"kind": "closed", "concurrency": 1}, "models": ["m"]}))
    for tool in ("vllm", "guidellm"):
        same(folder, tool, folder, ("sent_s", "ttft_s", "latency_s", "itl_s", "output_tokens"))


def test_vllm_is_written_in_its_own_convention(make_record):
    run = json.loads(export(make_record(), "vllm"))
    assert run["itls"][1] == pytest.approx([0.1, 0.4])  # gaps between events, however many tokens they hold
    assert run["ttfts"] == pytest.approx([0.2, 0.4, 0.1, 0.0, 0.3])  # 0 where the request failed
    assert run["errors"] == ["", "", "", "Too Many Requests", ""]
    assert run["mean_ttft_ms"] == pytest.approx(250.0)
    # (latency - TTFT) / (tokens - 1), whatever the first event held: 0.11/2, 0.5/7, 0.4/3
    assert run["mean_tpot_ms"] == pytest.approx(1e3 * (0.11 / 2 + 0.5 / 7 + 0.4 / 3) / 3)
    assert run["max_concurrent_requests"] == 2
    assert run["max_output_tokens_per_s"] == 7.0  # events of the first second after the first send
    assert run["duration"] == pytest.approx(2.2 + 0.001 - 0.25)
    assert run["output_throughput"] == pytest.approx(16 / run["duration"])
    assert run["total_token_throughput"] == pytest.approx((16 + 400) / run["duration"])


@pytest.mark.parametrize(("tool", "version", "settings"), [("guidellm", 2, "config"), ("guidellm-v1", 1, "args")])
def test_guidellm_is_written_in_its_own_convention(make_record, tool, version, settings):
    report = json.loads(export(make_record(), tool))
    assert report["metadata"]["version"] == version
    assert settings in report
    benchmark = report["benchmarks"][0]
    first = benchmark["requests"]["successful"][0]
    assert first["time_per_output_token_ms"] == pytest.approx(310 / 3, abs=1e-3)  # includes the first token
    assert first["inter_token_latency_ms"] == pytest.approx(55.0, abs=1e-3)
    metrics = benchmark["metrics"]
    # token latencies weigh a request by its tokens: all gaps over all tokens but the first
    assert metrics["inter_token_latency_ms"]["successful"]["mean"] == pytest.approx(1e3 * 1.01 / 12)
    assert metrics["output_tokens_per_second"]["successful"]["mean"] == pytest.approx(16 / benchmark["duration"])
    assert metrics["request_totals"] == {"successful": 4, "incomplete": 0, "errored": 1, "total": 5}


def test_llm_d_comes_back_in_our_definitions(make_record, tmp_path):
    folder = make_record()
    found = back(folder, "llm-d", tmp_path)
    rows = [row for row in open_record(folder).requests() if row["status"] == "done"]
    itl = [row["itl_s"] for row in rows if row["itl_s"] is not None]
    assert found.metrics["ttft_s"]["mean"] == pytest.approx(0.25)
    assert found.metrics["itl_s"]["mean"] == pytest.approx(sum(itl) / 3)
    assert found.metrics["itl_s"]["max"] == pytest.approx(max(itl))
    assert found.metrics["power_w"] == 640.0
    assert found.counts == {"sent": 5, "completed": 4, "failed": {"unknown": 1}}
    assert found.load["input_tokens"] == 100
    assert found.foreign == {}
    report = yaml.safe_load(export(folder, "llm-d"))
    assert report["scenario"]["stack"][0]["standardized"]["accelerator"]["count"] == 2
    assert report["results"]["request_performance"]["aggregate"]["throughput"]["request_rate"]["units"] == "queries/s"


def test_inferencex_comes_back_with_rates_of_the_whole_deployment(make_record, tmp_path):
    folder = make_record()
    text = json.loads(export(folder, "inferencex"))
    found = back(folder, "inferencex", tmp_path)
    assert text["tput_per_gpu"] == pytest.approx((16 + 400) / 1.951 / 2)  # total, input and output
    assert found.metrics["total_tokens_per_s"] == pytest.approx(416 / 1.951)
    assert found.metrics["output_tokens_per_s"] == pytest.approx(16 / 1.951)
    assert found.metrics["power_w"] == pytest.approx(640.0)
    assert found.metrics["ttft_s"]["mean"] == pytest.approx(0.25)
    assert text["median_intvty"] == pytest.approx(1 / text["median_tpot"])


@pytest.mark.parametrize("tool", ["llm-d", "inferencex"])
def test_a_record_of_figures_alone_can_be_written(write, tmp_path, tool):
    run = {"model_id": "tiny", "duration": 10.0, "completed": 5, "num_prompts": 5, "max_concurrency": 2,
           "request_rate": "inf", "backend": "vllm", "mean_ttft_ms": 20.0, "mean_tpot_ms": 5.0, "mean_e2el_ms": 500.0,
           "output_throughput": 50.0, "total_token_throughput": 80.0, "total_input_tokens": 300,
           "total_output_tokens": 500}  # fmt: skip
    folder = tmp_path / "imported"
    file = write_imported(read_foreign(write(run))[0], folder)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"hardware": {"accelerator": "h100", "accelerators": 1}}))
    found = back(folder, tool, tmp_path)
    assert found.metrics["itl_s"]["mean"] == pytest.approx(0.005)
    assert found.metrics["output_tokens_per_s"] == pytest.approx(50.0)
    assert found.load["output_tokens"] == pytest.approx(100.0)
    with pytest.raises(BadInput, match="no requests"):
        export(folder, "vllm")


def test_an_imported_record_can_be_written_again(make_record, tmp_path):
    first = back(make_record(), "vllm", tmp_path)
    again = back(write_imported(first, tmp_path / "again").parent, "vllm", tmp_path)
    for name in ("sent_s", "ttft_s", "itl_s", "latency_s"):
        assert again.requests[name] == pytest.approx(first.requests[name], abs=1e-12), name


def test_what_is_missing_is_told(make_record, tmp_path):
    with pytest.raises(UnknownName, match="vllm"):
        export(make_record(), "vlm")
    with pytest.raises(BadInput, match="no run record"):
        export(tmp_path / "nowhere", "vllm")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"load": ')
    with pytest.raises(BadInput, match="not JSON"):
        export(broken, "vllm")
    (broken / "run.json").write_text("{}")
    (broken / "requests.parquet").write_text("no table")
    with pytest.raises(BadInput, match="not Parquet"):
        export(broken, "vllm")


def test_inferencex_asks_for_the_accelerators_and_a_closed_loop(make_record, open_requests):
    folder = make_record(open_requests, load={"kind": "open", "request_rate": 2.0})
    with pytest.raises(BadInput, match="concurrency"):
        export(folder, "inferencex")
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"hardware": {}, "load": {"concurrency": 2}}))
    with pytest.raises(BadInput, match="accelerator"):
        export(folder, "inferencex")


def test_a_record_without_requests_sent_gives_no_rates(make_record):
    folder = make_record([{"status": "failed", "reason": "previous_failed"}])
    assert json.loads(export(folder, "vllm"))["output_throughput"] == 0.0
    assert json.loads(export(folder, "guidellm"))["benchmarks"][0]["metrics"]["request_latency"]
    assert yaml.safe_load(export(folder, "llm-d"))["results"]
