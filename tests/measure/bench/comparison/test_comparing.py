"""What is called a difference is one, what is not is not, and what cannot be compared is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from inferatlas.errors import BadInput, ConflictingData, UnknownName
from inferatlas.measure.bench.comparison.comparing import Comparison, compare
from inferatlas.measure.bench.comparison.measuring import Compared

Measured = Callable[..., Path]
FEW = ("ttft:mean", "ttft:p50", "ttft:p90", "itl:mean", "output_tokens_per_s")


def told(found: Comparison, metric: str, statistic: str | None = None) -> Compared:
    return next(one for one in found.points[0].metrics if (one.metric, one.statistic) == (metric, statistic))


@pytest.mark.parametrize("users", [4, None])
def test_runs_of_one_distribution_are_called_alike(measured: Measured, users: int | None):
    alike = 0
    for seed in range(50):  # both kinds of load together: 100 seeds
        a, b = (measured(name, seed=2 * seed + i, users=users) for i, name in enumerate("ab"))
        found = compare(a, b, metrics=FEW)
        alike += all(one.verdict == "no difference shown" for one in found.points[0].metrics)
    assert alike >= 45


@pytest.mark.parametrize("users", [8, None])
def test_five_per_cent_in_two_thousand_requests_are_found(measured: Measured, users: int | None):
    a, b = (
        measured("a", requests=2000, users=users, seed=1),
        measured("b", requests=2000, users=users, seed=2, shift=1.05),
    )
    worse, better = compare(a, b), compare(b, a)
    for name in ("ttft_s", "itl_s"):
        one, other = told(worse, name, "mean"), told(better, name, "mean")
        assert (one.verdict, other.verdict) == ("worse", "better")
        assert one.low is not None and one.high is not None and 1 < one.low < 1.05 < one.high < 1.1
        assert one.ratio == pytest.approx(1 / (other.ratio or 1))
    if users:
        assert told(worse, "output_tokens_per_s").verdict == "worse"


def test_a_run_against_itself_is_the_same(measured: Measured):
    a = measured("a", requests=800, power=True)
    found = compare(a, a)
    assert len(found.points[0].metrics) == 16
    assert all((one.ratio, one.p, one.difference) == (1.0, 1.0, 0.0) for one in found.points[0].metrics)
    assert not found.differences


def test_the_same_seed_gives_the_same_answer(measured: Measured):
    a, b = measured("a", seed=1), measured("b", seed=2)
    first, again, other = (compare(a, b, seed=seed).as_dict()["points"] for seed in (3, 3, 4))
    assert first == again != other


def test_same_prompts_are_paired_and_show_what_chance_would_hide(measured: Measured):
    a, b = (
        measured(n, requests=300, prompts=True, cv=0.05, seed=i, shift=s)
        for i, (n, s) in enumerate((("a", 1), ("b", 1.05)))
    )
    paired = told(compare(a, b), "ttft_s", "mean")
    frame = pl.read_parquet(b / "requests.parquet")
    frame.with_columns(prompt=pl.col("prompt") + "x").write_parquet(b / "requests.parquet")
    unpaired = told(compare(a, b), "ttft_s", "mean")
    assert (paired.method, unpaired.method) == ("paired", "unpaired")
    assert (paired.verdict, unpaired.verdict) == ("worse", "no difference shown")
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_values_are_those_of_the_requests_in_the_window(measured: Measured):
    a = measured("a")
    begin, end = json.loads((a / "run.json").read_text())["metrics"]["window"]["spans_s"][0]
    frame = pl.read_parquet(a / "requests.parquet").filter(pl.col("sent_s").is_between(begin, end))
    one = told(compare(a, a), "latency_s", "p90")
    assert one.a == pytest.approx(frame["latency_s"].quantile(0.9, "linear"))
    assert one.n_a == frame.height
    tokens = pl.read_parquet(a / "requests.parquet")["token_s"].explode().is_between(begin, end).sum()
    assert told(compare(a, a), "output_tokens_per_s").a == pytest.approx(tokens / (end - begin), rel=1e-9)


@pytest.mark.parametrize("users", [4, None])
def test_values_are_those_that_the_record_was_given(measured: Measured, users: int | None):
    from inferatlas.measure.bench.metrics.measured import measure
    from inferatlas.measure.bench.metrics.reading import read_timings
    from inferatlas.measure.bench.metrics.steady import Window
    from inferatlas.workload import parse_targets

    a = measured("a", users=users, requests=500)
    spans = json.loads((a / "run.json").read_text())["metrics"]["window"]["spans_s"]
    metrics = measure(read_timings(a), parse_targets(["ttft:p95<250ms"]), Window(((spans[0][0], spans[0][1]),)))
    found = compare(a, a)
    for name in ("ttft_s", "itl_s", "latency_s"):
        assert told(found, name, "mean").a == pytest.approx(metrics.spreads[name].mean)
        assert told(found, name, "p90").a == pytest.approx(metrics.spreads[name].p90, rel=0.02)
    assert told(found, "goodput_per_s").a == pytest.approx(metrics.goodput_per_s)
    for name in ("output_tokens_per_s", "total_tokens_per_s"):
        assert told(found, name).a == pytest.approx(metrics.rates[name].steady, rel=1e-3)


def test_few_requests_get_no_verdict(measured: Measured):
    found = compare(measured("a", requests=15, seed=1), measured("b", requests=15, seed=2))
    assert {one.verdict for one in found.points[0].metrics if one.statistic} == {"too few requests"}
    assert all(
        one.p is None and one.low is None and one.a is not None for one in found.points[0].metrics if one.statistic
    )
    some = compare(measured("a", requests=300, seed=1), measured("b", requests=300, seed=2))
    assert told(some, "ttft_s", "p99").verdict == "too few requests"
    assert told(some, "ttft_s", "p90").verdict == "no difference shown"


def test_few_rounds_of_many_users_get_no_verdict(measured: Measured):
    found = compare(measured("a", users=64, requests=500, seed=1), measured("b", users=64, requests=500, seed=2))
    assert told(found, "ttft_s", "mean").verdict == "too few requests"


def test_repetitions_speak_for_themselves(measured: Measured, tmp_path: Path):
    for i, side in enumerate("ab"):
        for n in range(3):
            measured(f"{side}/c4-{n}", seed=10 * i + n, shift=1.2 if side == "b" else 1.0)
    found = compare(tmp_path / "a", tmp_path / "b", metrics=FEW)
    assert len(found.points) == 1
    one = told(found, "ttft_s", "mean")
    assert (one.method, one.n_a, one.n_b, one.verdict) == ("repetitions", 3, 3, "worse")
    assert not any("repetitions" in text for text in found.warnings)


def test_points_of_benches_are_matched_by_their_load(measured: Measured, tmp_path: Path):
    for users in (1, 2, 4):
        measured(f"a/c{users}", users=users, seed=users)
    for users in (2, 4, 8):
        measured(f"b/point{users}", users=users, seed=10 + users)
    found = compare(tmp_path / "a", tmp_path / "b", metrics=FEW)
    assert [point.point.load["concurrency"] for point in found.points] == [2, 4]
    assert [[Path(one).name for one in side] for side in found.unmatched] == [["c1"], ["point8"]]
    alone = sum(
        one.p_adjusted or 0 for one in compare(tmp_path / "a/c2", tmp_path / "b/point2", metrics=FEW).points[0].metrics
    )
    assert sum(one.p_adjusted or 0 for one in found.points[0].metrics) >= alone  # more figures, more caution


def test_lengths_of_one_load_are_no_repetitions(measured: Measured, tmp_path: Path):
    for side, names in (("a", {"x": 100, "y": 400}), ("b", {"p": 410, "q": 101, "r": 99, "s": 900})):
        for name, tokens in names.items():
            load = {"kind": "closed", "concurrency": 4, "input_tokens": tokens}
            measured(f"{side}/{name}", requests=60, load=load)
    found = compare(tmp_path / "a", tmp_path / "b", metrics=FEW)
    pairs = [["".join(Path(one.name).name for one in side) for side in (p.point.a, p.point.b)] for p in found.points]
    assert pairs == [["x", "qr"], ["y", "p"]]
    assert [Path(one).name for one in found.unmatched[1]] == ["s"]


def test_a_prediction_and_a_measurement_meet(measured: Measured, simulated: Path):
    found = compare(measured("c4", requests=600), simulated)
    assert found.labels[0] == "measured" and found.labels[1] in {"predicted", "extrapolated"}
    assert {one.metric for one in found.points[0].metrics} == {
        "ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s",
    }  # fmt: skip
    assert told(found, "ttft_s", "mean").verdict == "better"
    assert {"kind", "label", "model"} <= {one.what for one in found.differences}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"definitions": {"ttft_s": "first byte - sent"}}, "definitions of ttft_s"),
        ({"tokens": {"counter": "another", "usage": False}}, "tokens counted by: the server"),
        ({"load": {"kind": "closed", "concurrency": 4, "api": "completions"}}, "API"),
        ({"load": {"kind": "closed", "concurrency": 4, "dataset_sha256": "ff"}}, "data set"),
        ({"load": {"kind": "open", "request_rate": 4.0}}, "kind of load"),
        ({"load": {"kind": "closed", "concurrency": 4, "output_tokens": 40}}, "output tokens asked for"),
    ],
)
def test_what_does_not_mean_the_same_is_refused_unless_forced(measured: Measured, more: dict, why: str):
    load = {"kind": "closed", "concurrency": 4, "api": "chat", "output_tokens": 20, "dataset_sha256": "ab"}
    a, b = measured("a", load=load), measured("b", seed=1, **more)
    with pytest.raises(ConflictingData, match=why) as refused:
        compare(a, b)
    assert refused.value.exit_code == 5 and "--force" in (refused.value.hint or "")
    forced = compare(a, b, force=True)
    assert forced.as_dict()["forced"] and any(why in text for text in forced.conflicts)


def test_what_else_differs_is_told(measured: Measured):
    a = measured("a")
    b = measured(
        "b", software={"engine": "vllm", "version": "0.22.0", "flags": {"tp": 2}}, steady=False,
        validity={"valid": False, "verdict": "invalid", "reasons": ["cpu_share"], "remarks": []},
    )  # fmt: skip
    frame = pl.read_parquet(b / "requests.parquet")
    failed = pl.col("id") < 5
    frame.with_columns(status=pl.when(failed).then(pl.lit("failed")).otherwise("status")).write_parquet(
        b / "requests.parquet"
    )
    found = compare(a, b)
    differ = {one.what: (one.a, one.b) for one in found.differences}
    assert differ == {"software.version": ("0.21.0", "0.22.0"), "software.flags.tp": ("not told", "2")}
    words = " ".join(found.warnings)
    assert "invalid: cpu_share" in words and "no steady window" in words and "5 of 200 requests failed" in words


def test_tokens_without_times_are_spread_evenly(measured: Measured):
    a, b = measured("a"), measured("b")
    frame = pl.read_parquet(b / "requests.parquet").drop("token_s", "prompt")
    frame.write_parquet(b / "requests.parquet")
    one = told(compare(a, b), "output_tokens_per_s")
    assert one.b == pytest.approx(one.a, rel=0.01)


def test_bad_input(measured: Measured, tmp_path: Path):
    a = measured("a")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match="b: does not exist"):
        compare(a, tmp_path / "none")
    with pytest.raises(BadInput, match="no whole run record"):
        compare(empty, a)
    with pytest.raises(UnknownName, match="did you mean ttft"):
        compare(a, a, metrics=["tfft"])
    with pytest.raises(UnknownName, match="statistic"):
        compare(a, a, metrics=["ttft:p98"])
    with pytest.raises(UnknownName, match="statistic"):
        compare(a, a, metrics=["output_tokens_per_s:p50"])
    broken = tmp_path / "broken"
    shutil.copytree(a, broken)
    (broken / "requests.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        compare(a, broken)
    pl.DataFrame({"id": [1]}).write_parquet(broken / "requests.parquet")
    with pytest.raises(BadInput, match="a column is missing"):
        compare(a, broken)
    (broken / "requests.parquet").unlink()
    with pytest.raises(BadInput, match="missing from the record"):
        compare(a, broken)
    (broken / "run.json").write_text('{"schema_version": 9, "kind": "measured"}')
    with pytest.raises(BadInput, match="schema_version 9"):
        compare(a, broken)


def test_no_request_that_was_answered_gives_no_figure(measured: Measured):
    a = measured("a")
    frame = pl.read_parquet(a / "requests.parquet")
    nothing = [
        pl.lit(None, pl.Float64).alias(name) for name in ("ttft_s", "itl_s", "latency_s", "finish_s", "first_token_s")
    ]
    frame.with_columns(*nothing, status=pl.lit("failed"), token_s=pl.lit([], pl.List(pl.Float64))).write_parquet(
        a / "requests.parquet"
    )
    assert compare(a, a).points[0].metrics == ()
