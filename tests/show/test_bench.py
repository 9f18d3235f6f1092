"""The page of a bench: what it says, that it fits, and that its pictures come from the records alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from inferatlas.measure.bench.metrics.definitions import definitions
from inferatlas.measure.bench.metrics.efficiency import EnergySum
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.reading import read_timings
from inferatlas.measure.bench.metrics.steady import steady_window
from inferatlas.measure.bench.metrics.validity import judge
from inferatlas.measure.bench.plan import Plan, Point
from inferatlas.measure.bench.running import Bench
from inferatlas.measure.bench.searching import Knee
from inferatlas.show.bench import bench_page, bench_rows, bench_words
from inferatlas.show.bench_html import bench_html, run_html
from inferatlas.show.bench_loads import loads_of
from inferatlas.show.tables import to_markdown, to_text
from inferatlas.workload import parse_targets

HEALTH = {
    "cpu_s": 1.0, "cpu_share": 0.04, "stamp_delay_p50_s": 4e-5, "stamp_delay_p99_s": 3e-4, "event_loop_lag_p99_s": 1e-4,
    "event_loop_lag_max_s": 2e-3, "opened": 4, "retries": 0, "memory_bytes": 6e7,
}  # fmt: skip
Run = tuple[Path, dict[str, Any]]


def columns(rng: np.random.Generator, n: int, clients: int | None, rate: float, lost: int) -> dict[str, Any]:
    """A server that answers the slower the more it has: 30 tokens, a stall now and then."""
    busy = clients or 4
    ttft = (0.05 + 0.004 * busy) * rng.lognormal(0, 0.2, n)
    gaps = (0.01 + 0.0004 * busy) * rng.lognormal(0, 0.1, (n, 30))
    gaps[rng.random((n, 30)) < 0.01] += 0.1
    gaps[:, 0] = 0.0
    latency = ttft + gaps.sum(axis=1)
    due = np.cumsum(rng.exponential(1 / rate, n)) if clients is None else None
    sent = np.zeros(n)
    if due is None:
        free = np.zeros(busy)
        for i in range(n):
            user = int(np.argmin(free))
            sent[i], free[user] = free[user], free[user] + latency[i]
        order = np.argsort(sent, kind="stable")
        sent, ttft, gaps, latency = sent[order], ttft[order], gaps[order], latency[order]
    else:
        sent = due + rng.exponential(0.002, n)
    first, finish = sent + ttft, sent + latency
    failed = np.arange(n) < lost
    return {
        "id": np.arange(n), "due_s": [None] * n if due is None else due, "sent_s": sent, "first_token_s": first,
        "finish_s": np.where(failed, np.nan, finish), "end_s": finish, "failed_s": np.where(failed, finish, np.nan),
        "asked_input_tokens": 100, "input_tokens": 100, "asked_output_tokens": 30, "output_tokens": 30, "chunks": 30,
        "status": np.where(failed, "failed", "done"), "reason": np.where(failed, "closed_mid_stream", ""),
        "chunk_tokens": [[1] * 30] * n, "token_s": (first[:, None] + np.cumsum(gaps, axis=1)).tolist(),
    }  # fmt: skip


def record(
    folder: Path, *, clients: int | None = None, rate: float = 10.0, n: int = 300, seed: int = 0, repetition: int = 1,
    slo: tuple[str, ...] = (), lost: int = 0, power: bool = False, engine: bool = False, **more: Any,
) -> Run:  # fmt: skip
    """A record, with metrics and verdict as the harness finds them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed + (clients or 0))
    frame = pl.DataFrame(columns(rng, n, clients, rate, lost), schema_overrides={"due_s": pl.Float64})
    frame.with_columns(pl.col("finish_s", "failed_s").fill_nan(None)).write_parquet(folder / "requests.parquet")
    load = {
        "kind": "open" if clients is None else "closed", "concurrency": clients, "repetition": repetition,
        "request_rate": rate if clients is None else None, "input_tokens": 100.0, "output_tokens": 30.0,
        "name": "100/30", "api": "chat", "dataset": None,
    }  # fmt: skip
    timings = read_timings(folder, load)
    window = steady_window(timings)
    spans = np.array(window.spans if window.steady else timings.spans())
    seconds = float((spans[:, 1] - spans[:, 0]).sum())
    energy = EnergySum(300.0 * seconds, 15.0 * seconds, "board", seconds) if power else None
    metrics = measure(timings, parse_targets(slo), window, energy)
    times = np.arange(0.0, float(timings.spans().max()), 0.5)
    if power:
        watts = {"time_s": times, "device": "nvml:0", "power_w": 300 + rng.normal(0, 9, times.size)}
        pl.DataFrame(watts).write_parquet(folder / "power.parquet")
    if engine:
        seen = {"time_s": times, "replica": 0, "running": float(clients or 4), "waiting": 1.0}
        pl.DataFrame(seen).write_parquet(folder / "server.parquet")
    health = HEALTH | more.pop("client", {})
    document = {
        "schema_version": 1, "kind": "measured", "label": "measured", "models": ["tiny"],
        "endpoints": ["http://127.0.0.1:8000"], "software": {"engine": "vllm", "version": "0.21.0"}, "load": load,
        "slo": list(slo), "protocol": None, "validity": judge(metrics, health, forced=False).as_dict(),
        "requests": {"sent": metrics.sent, "completed": metrics.completed, "failed": metrics.failed},
        "metrics": metrics.as_dict(), "client": health, "definitions": definitions(), "notes": ["made up"],
        "engine": {
            name: {"mean_s": value, "count": 300.0, "series": "vllm:x"}
            for name, value in (("ttft_s", 0.05), ("queue_s", 0.004), ("prefill_s", 0.03))
        } if engine else {}, "energy": [],
    } | more  # fmt: skip
    document = json.loads(json.dumps(document, default=float))
    (folder / "run.json").write_text(json.dumps(document))
    return folder, document


def bench(folder: Path, *runs: Run, knee: Knee | None = None, slo: tuple[str, ...] = ()) -> Bench:
    points = tuple(Point(name=one.name, kind="closed", concurrency=1) for one, _ in runs)
    return Bench(folder, Plan(base_urls=("http://127.0.0.1:8000",), points=points, slo=slo), runs, knee, False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benches")


@pytest.fixture(scope="module")
def sweep(base: Path) -> Bench:
    """Four loads; the highest lost 5 % of its requests, and its client was busy."""
    slo, folder = ("ttft:p95<100ms", "itl:mean<25ms"), base / "sweep"
    told: dict[str, Any] = {"slo": slo, "power": True, "engine": True}
    runs = [record(folder / f"c{c}", clients=c, n=40 * c, **told) for c in (2, 4, 8)]
    runs.append(record(folder / "c16", clients=16, n=640, lost=32, client={"cpu_share": 0.8}, **told))
    return bench(folder, *runs, slo=slo)


@pytest.fixture(scope="module")
def repeated(base: Path) -> Bench:
    folder = base / "repeated"
    runs = [
        record(folder / f"c{c}{f'-{r}' if r > 1 else ''}", clients=c, n=200, seed=100 * r, repetition=r)
        for c in (2, 4)
        for r in (1, 2, 3)
    ]
    return bench(folder, *runs)


@pytest.fixture(scope="module")
def open_loop(base: Path) -> Bench:
    folder = base / "open"
    return bench(folder, *[record(folder / f"r{rate:g}", rate=rate, n=600) for rate in (5.0, 20.0)])


def text_of(found: Bench, width: int = 160) -> str:
    return to_text(bench_page(found, "inferatlas bench run --x"), width=width)


def rows_of(found: Bench, title: str) -> list[list[str]]:
    """Lines of cells of the table that begins with these words."""
    lines = text_of(found).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(title))
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    return [line.split() for line in lines[start:end]]


def test_the_answer_is_the_most_that_a_valid_load_gave(sweep: Bench):
    words = bench_words(sweep)
    best = sweep.runs[2][1]["metrics"]["output_tokens_per_s"]
    assert f"tiny gave at most {best:.0f} output tokens/s (c8)" in words  # c16 gave more and is invalid
    assert "Every target is kept by c2 and c4 alone." in words
    assert words.endswith("Invalid: c16.")


def test_a_bench_of_nothing_says_so(base: Path):
    assert bench_words(bench(base)) == "Nothing was measured."
    assert "Nothing was measured." in text_of(bench(base))
    assert "Nothing was measured." in bench_html(bench(base), "x")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_page_fits_the_terminal(sweep: Bench, repeated: Bench, open_loop: Bench, width: int):
    for found in (sweep, repeated, open_loop):
        lines = text_of(found, width).splitlines()
        assert max(map(len, lines)) <= max(width, len(str(found.folder)) + 2)  # what is to be copied is never broken


def test_at_100_columns_no_table_is_taken_apart(sweep: Bench, repeated: Bench, open_loop: Bench):
    for found in (sweep, repeated, open_loop):
        rules = sum(line.startswith("─") for line in text_of(found, 100).splitlines())
        assert rules == sum(line.startswith("─") for line in text_of(found, 1000).splitlines())


def test_columns_of_which_nothing_is_known_are_left_out(sweep: Bench, open_loop: Bench):
    assert {"power", "tok/J"} <= set(rows_of(sweep, "Throughput")[1])
    assert not {"power", "tok/J"} & set(rows_of(open_loop, "Throughput")[1])
    assert "Targets" not in text_of(open_loop) and "Means seen by the client" not in text_of(open_loop)


def test_percentiles_of_too_few_requests_are_marked(sweep: Bench):
    assert sweep.runs[0][1]["metrics"]["ttft_s"]["n_too_small"] == ["p95", "p99"]
    rows = {row[0]: row for row in rows_of(sweep, "First token")[3:]}
    assert rows["c2"][2:14:2] == ["ms", "ms", "ms*"] * 2  # p50, p90, p99 of TTFT and of ITL
    assert "ms*" not in rows["c16"]


def test_second_lines_are_the_intervals_of_the_record(sweep: Bench):
    low, high = sweep.runs[3][1]["metrics"]["ttft_s"]["intervals"]["p50"]
    assert f"{1e3 * low:.0f}–{1e3 * high:.0f} ms" in text_of(sweep)
    low, high = sweep.runs[3][1]["metrics"]["rates"]["output_tokens_per_s"]["interval"]
    assert f"{low:.0f}–{high:.0f}" in text_of(sweep)


def test_an_end_that_the_sample_does_not_reach_is_said(base: Path):
    found = record(base / "few" / "c2", clients=2, n=60)
    low, high = found[1]["metrics"]["ttft_s"]["intervals"]["p99"]
    assert high is None
    assert f"≥ {1e3 * low:.1f} ms" in text_of(bench(base / "few", found))


def test_repetitions_of_a_load_are_one_row_with_an_interval_over_runs(repeated: Bench):
    two = loads_of(repeated.runs)[0]
    tokens = [document["metrics"]["output_tokens_per_s"] for _, document in repeated.runs[:3]]
    assert [one.name for one in loads_of(repeated.runs)] == ["c2", "c4"]
    assert two.values["output_tokens_per_s"] == pytest.approx(np.mean(tokens))
    # Student's t with two degrees of freedom: 4.303 standard errors
    reach = 4.302653 * np.std(tokens, ddof=1) / np.sqrt(3)
    assert two.ends["output_tokens_per_s"] == pytest.approx((np.mean(tokens) - reach, np.mean(tokens) + reach))
    assert [row[0] for row in rows_of(repeated, "Throughput (means of 3 runs")[3::2]] == ["c2", "c4"]
    assert [row[0] for row in rows_of(repeated, "Each run")[3:]] == ["c2", "c2-2", "c2-3", "c4", "c4-2", "c4-3"]


def test_of_several_runs_the_worst_verdict_and_delay_count(base: Path):
    folder = base / "worst"
    good = record(folder / "c2", clients=2)
    bad = record(folder / "c2-2", clients=2, repetition=2, lost=30, client={"stamp_delay_p99_s": 0.1})
    page = text_of(bench(folder, good, bad))
    row = rows_of(bench(folder, good, bad), "Throughput")
    assert row[3][-1] == "invalid" and row[4][:2] == ["30", "failed"]
    assert "too_many_failures (c2-2): more than 1 % of the requests failed" in page
    assert "100 ms" in page.partition("The client itself")[2].partition("\n\n")[0]


def test_codes_name_their_loads_and_the_number_behind_them(sweep: Bench):
    text = " ".join(text_of(sweep).split())
    assert "client_busy (c16; 80 %): the client used more than 70 % of its processor" in text
    assert text.index("Why invalid") < text.index("too_many_failures (c16)") < text.index("What to know before")
    assert "c16: 32 × closed_mid_stream, the server closed the connection before the answer was whole" in text


def test_every_target_has_its_value_and_verdict(sweep: Bench):
    rows = rows_of(sweep, "Targets")
    assert rows[1][:3] == ["load", "ttft:p95<100ms", "itl:mean<25ms"]
    p95 = sweep.runs[0][1]["metrics"]["ttft_s"]["p95"]
    assert rows[3][:3] == ["c2", f"{1e3 * p95:.1f}", "ms"]
    assert rows[4] == ["kept", "kept"]
    assert rows[8] == ["missed", "kept"]


def test_an_open_loop_shows_what_counting_from_the_sending_would_hide(open_loop: Bench):
    metrics = open_loop.runs[1][1]["metrics"]
    rows = rows_of(open_loop, "Coordinated omission")
    due, sent = metrics["ttft_s"]["p50"], metrics["ttft_service_s"]["p50"]
    assert due > sent
    assert f"{1e3 * due:.1f}" in rows[5] and f"{1e3 * sent:.1f}" in rows[6]
    assert "counts from when its request was due" in " ".join(text_of(open_loop).split())


def test_the_engines_own_times_stand_beside_the_clients(sweep: Bench):
    rows = rows_of(sweep, "Means seen by the client")
    ours = sweep.runs[0][1]["metrics"]["ttft_service_s"]["mean"]
    assert rows[3] == ["c2", f"{1e3 * ours:.1f}", "ms", "4.00", "ms", "30.0", "ms"]
    assert rows[4] == ["50.0", "ms"]


def test_a_protocol_shows_its_own_metrics(base: Path):
    folder = base / "brunetta"
    own = {
        "throughput_total_tokens_per_s": 1234.0, "itl_mean_over_tokens_s": 0.02, "ttft_mean_s": 0.1,
        "total_tokens_per_joule": None,
    }  # fmt: skip
    found = bench(folder, record(folder / "c4", clients=4, protocol="brunetta", protocol_metrics=own))
    rows = rows_of(found, "As brunetta counts")
    assert rows[1] == ["load", "throughput,", "tok/s", "ITL", "over", "tokens", "mean", "TTFT"]
    assert rows[3] == ["c4", "1,230", "20.0", "ms", "100", "ms"]


@pytest.mark.parametrize(
    ("knee", "words"),
    [
        (Knee(4.0, 8.0, True), "Up to 4 clients every target is kept; at 8 no more."),
        (Knee(None, 2.0, True), "No load that was tried is low enough: at 2 clients it is too much already."),
        (Knee(16.0, None, False), "no limit was found. A higher load was kept where a lower one was not"),
    ],
)
def test_a_search_says_where_it_ended(sweep: Bench, knee: Knee, words: str):
    found = Bench(sweep.folder, sweep.plan, sweep.runs, knee, False)
    assert words in " ".join(text_of(found).split())


def test_a_record_that_knows_little_still_has_a_page(base: Path):
    """As imported ones do: no client, no window, no requests."""
    folder = base / "imported" / "a"
    folder.mkdir(parents=True)
    document = {
        "kind": "measured", "label": "measured", "models": [], "load": {}, "client": {}, "notes": [],
        "requests": {"sent": None, "completed": None, "failed": {}}, "metrics": {"ttft_s": {"mean": 0.1}},
        "validity": {"valid": None, "verdict": None, "reasons": [], "remarks": ["imported"]},
    }  # fmt: skip
    found = bench(base / "imported", (folder, document))
    assert "100 ms" in text_of(found) and "imported (a)" in text_of(found)
    assert "100 ms" in run_html(folder, document, "x") and "<svg" not in run_html(folder, document, "x")
    assert bench_rows(found)[0]["ttft_mean_s"] == 0.1


def test_rows_are_plain_numbers_a_row_per_run(sweep: Bench, repeated: Bench):
    rows = bench_rows(repeated)
    assert [Path(row["directory"]).name for row in rows] == ["c2", "c2-2", "c2-3", "c4", "c4-2", "c4-3"]
    row = bench_rows(sweep)[3]
    metrics = sweep.runs[3][1]["metrics"]
    assert row["ttft_p99_s"] == metrics["ttft_s"]["p99"] and row["latency_mean_s"] == metrics["latency_s"]["mean"]
    assert (row["verdict"], row["failed"], row["completed"], row["power_w"]) == ("invalid", 32, 608, 300.0)
    assert "too_many_failures" in row["reasons"] and "client_busy" in row["remarks"]


def test_markdown_has_the_same_numbers(sweep: Bench):
    assert "| c2 | 80 |" in to_markdown(bench_page(sweep, "x"))


def test_the_pictures_of_a_bench_are_drawn_from_its_records(sweep: Bench):
    page = bench_html(sweep, "inferatlas bench run --x")
    # throughput, TTFT, ITL, latency, gaps, time
    assert page.count("<svg") == 6
    for words in (
        "ttft:p95&lt;100ms",
        "engine: running",
        "engine: waiting",
        "Power (W)",
        "Share of longer gaps",
        "c16",
    ):
        assert words in page, words
    assert "<script" not in page and "inferatlas bench run --x" in page


def test_the_page_of_one_run_needs_its_folder_and_document_alone(sweep: Bench):
    page = run_html(*sweep.runs[2], "inferatlas runs show c8 --format html")
    assert page.count("<svg") == 3  # latencies, gaps, time
    assert "Over time" in page and "inferatlas runs show c8 --format html" in page
    assert "vllm 0.21.0" in page and "an empty event never counts" in page


def test_throughput_of_a_sweep_over_lengths_has_a_line_per_lengths(base: Path):
    folder = base / "lengths"
    runs = [record(folder / f"c{c}-i{i}-o32", clients=c, n=60) for i in (64, 512) for c in (1, 2)]
    assert [one.lengths for one in loads_of(runs)] == ["64 in, 32 out"] * 2 + ["512 in, 32 out"] * 2
    page = bench_html(bench(folder, *runs), "x")
    assert "64 in, 32 out" in page and "512 in, 32 out" in page
