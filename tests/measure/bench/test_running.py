"""Points that follow from what was measured, and folders of a bench."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_plans import GOOD

from inferatlas.errors import BadInput, ConflictingData
from inferatlas.measure.bench.metrics.missed import missed_targets
from inferatlas.measure.bench.plan import Plan, Point, write_plan
from inferatlas.measure.bench.point import Ran
from inferatlas.measure.bench.running import Bench, _alone, _more, _new, _whole, point_name, resume, trials
from inferatlas.measure.bench.searching import Knee
from inferatlas.workload import parse_targets


def ran(*reasons: str, rate: float | None = 100.0, ttft_s: float = 0.1, sent: int = 50) -> Ran:
    latency = {"mean": ttft_s, "p95": ttft_s}
    document: dict[str, Any] = {
        "metrics": {"output_tokens_per_s": rate, "ttft_s": latency, "itl_s": {"mean": 0.01}},
        "validity": {"reasons": [], "remarks": list(reasons)},
        "requests": {"sent": sent},
    }
    return Ran(Path("x"), document, False)


def clients(*many: int) -> tuple[Point, ...]:
    return tuple(Point(name=point_name("closed", n, None), kind="closed", concurrency=n) for n in many)


def rates(*many: float) -> tuple[Point, ...]:
    return tuple(Point(name=point_name("open", None, n), kind="open", request_rate=n) for n in many)


RECORD: dict[str, Any] = {"schema_version": 1, "kind": "measured"} | {
    name: {} for name in ("load", "validity", "requests", "metrics", "client", "definitions")
}
PLAN = Plan(base_urls=("http://127.0.0.1:1",), find_knee=True)


def test_a_search_goes_on_beyond_the_points_given() -> None:
    plan = replace(PLAN, points=clients(1, 2))
    (more,) = _more(plan, {"c1": ran(rate=10.0), "c2": ran(rate=20.0)})
    assert (more.name, more.concurrency) == ("c4", 4)


def test_without_targets_a_closed_loop_ends_where_more_clients_give_no_more() -> None:
    plan = replace(PLAN, points=clients(1, 2))
    assert _more(plan, {"c1": ran(rate=10.0), "c2": ran(rate=10.1)}) == ()


def test_a_search_halves_between_what_was_kept_and_what_was_not() -> None:
    plan = replace(PLAN, points=rates(4.0, 8.0), slo=("ttft:p95<500ms",))
    (more,) = _more(plan, {"r4": ran(), "r8": ran(ttft_s=0.9)})
    assert more.request_rate == pytest.approx(5.657)
    seen = trials(plan, {"r4": ran(), "r8": ran(ttft_s=0.9)})
    assert [(one.load, one.met) for one in seen] == [(4.0, True), (8.0, False)]


def test_a_rate_that_overloads_is_not_kept_whatever_its_latency() -> None:
    plan = replace(PLAN, points=rates(4.0))
    assert not trials(plan, {"r4": ran("overloaded")})[0].met


def test_a_load_of_which_nothing_was_sent_says_nothing() -> None:
    plan = replace(PLAN, points=rates(0.5, 4.0), slo=("ttft:p95<500ms",))
    found = {"r0.5": ran("nothing_completed", sent=0), "r4": ran()}
    assert [(one.load, one.met) for one in trials(plan, found)] == [(4.0, True)]
    assert _more(replace(plan, points=rates(0.5)), {"r0.5": found["r0.5"]}) == ()


def test_a_search_does_not_go_below_one_request_in_its_time() -> None:
    plan = replace(PLAN, points=tuple(replace(one, duration_s=2.0) for one in rates(0.6)), slo=("ttft:p95<500ms",))
    assert _more(plan, {"r0.6": ran(ttft_s=0.9)}) == ()


def test_repetitions_go_on_until_intervals_are_narrow() -> None:
    same = tuple(replace(one, name=f"c4-{n}" if n > 1 else "c4", repetition=n) for n in (1, 2, 3) for one in clients(4))
    plan = replace(PLAN, find_knee=False, precision=0.05, points=same)
    wide = {"c4": ran(rate=100.0), "c4-2": ran(rate=140.0), "c4-3": ran(rate=70.0)}
    (more,) = _more(plan, wide)
    assert (more.name, more.repetition) == ("c4-4", 4)
    assert _more(plan, {"c4": ran(rate=100.0), "c4-2": ran(rate=100.2), "c4-3": ran(rate=99.9)}) == ()
    assert _more(replace(plan, points=same[:1]), {"c4": ran()})[0].name == "c4-2"


def test_a_target_whose_metric_is_unknown_is_missed() -> None:
    document = {"metrics": {"ttft_s": None, "output_tokens_per_s": None}}
    targets = parse_targets(["ttft:p95<500ms", "output_tokens_per_s>1"])
    assert len(missed_targets(document, targets)) == 2


def test_folders_of_one_second_are_told_apart_and_names_are_safe(tmp_path: Path) -> None:
    first, second = _new(tmp_path, "org/My Model:7b"), _new(tmp_path, "org/My Model:7b")
    assert first != second
    assert first.name.split("-", 3)[3].startswith("My-Model-7b") or "My-Model-7b" in first.name
    assert _new(tmp_path, "../..").parent == tmp_path


def test_a_point_is_whole_when_it_says_so(tmp_path: Path) -> None:
    assert _whole(tmp_path) is None
    (tmp_path / "run.json").write_text(json.dumps(RECORD | {"unfinished": True}))
    assert _whole(tmp_path) is None
    (tmp_path / "run.json").write_text(json.dumps(RECORD | {"unfinished": False}))
    assert _whole(tmp_path) is not None
    (tmp_path / "requests.journal").touch()
    assert _whole(tmp_path) is None


@pytest.mark.parametrize("text", ['{"a', "[]", "{}", json.dumps({"schema_version": 1, "kind": "measured"})])
def test_a_damaged_record_of_a_point_is_said(tmp_path: Path, text: str) -> None:
    write_plan(replace(PLAN, find_knee=False, points=clients(1)), tmp_path)
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / "run.json").write_text(text)
    with pytest.raises(BadInput) as caught:
        resume(tmp_path, Nobody())
    assert (caught.value.field, caught.value.file) == ("resume", str(tmp_path / "c1" / "run.json"))


def test_what_was_measured_to_its_end_needs_no_server(tmp_path: Path) -> None:
    write_plan(replace(PLAN, find_knee=False, points=clients(1)), tmp_path)
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / "run.json").write_text(json.dumps(RECORD))
    assert [folder.name for folder, _ in resume(tmp_path, Nobody()).runs] == ["c1"]


def test_a_point_of_a_plan_lies_in_the_folder_of_the_bench(tmp_path: Path) -> None:
    write_plan(replace(PLAN, points=(replace(clients(1)[0], name="../c1"),)), tmp_path)
    with pytest.raises(BadInput, match="no name of a folder"):
        resume(tmp_path, Nobody())


def test_a_search_ends_where_the_client_is_the_limit() -> None:
    plan = replace(PLAN, points=rates(4.0, 8.0), slo=("ttft:p95<500ms",))
    limited = ran()
    limited.document["validity"]["reasons"] = ["client_limited"]
    seen = trials(plan, {"r4": ran("client_paused"), "r8": limited})
    assert [(one.load, one.met) for one in seen] == [(4.0, True), (8.0, False)]


def test_a_search_asks_for_no_more_connections_than_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferatlas.measure.bench.running.most_connections", lambda: 26)
    plan = replace(PLAN, points=clients(16, 26), slo=("ttft:p95<500ms",))
    assert _more(replace(plan, points=plan.points[:1]), {"c16": ran()})[0].concurrency == 26
    assert _more(plan, {"c16": ran(), "c26": ran()}) == ()


def test_a_search_keeps_the_lengths_in_the_names_of_folders() -> None:
    points = (replace(clients(1)[0], name="c1-i8-o4", isl=8.0, osl=4.0),)
    (more,) = _more(replace(PLAN, points=points), {"c1-i8-o4": ran()})
    assert more.name == "c2-i8-o4"


def test_a_search_has_missed_its_targets_only_where_no_load_keeps_them() -> None:
    plan = replace(PLAN, slo=("ttft:p95<500ms",))
    runs = ((Path("c1"), ran(ttft_s=0.9).document),)
    assert Bench(Path("x"), plan, runs, Knee(None, 1, True), False).missed
    assert not Bench(Path("x"), plan, runs, Knee(0.5, 1, True), False).missed
    assert Bench(Path("x"), plan, runs, None, False).missed


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    with _alone(tmp_path), pytest.raises(BadInput, match="another program"), _alone(tmp_path):
        pass
    with _alone(tmp_path):
        pass


class Nobody:
    def begun(self, point: Point, total: int) -> None: ...
    def look(self, view: Any) -> None: ...
    def told(self, text: str) -> None: ...
    def stopped(self) -> bool:
        return False


def test_what_is_no_bench_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        resume(tmp_path, Nobody())
    assert caught.value.field == "resume"
    write_plan(replace(PLAN, find_knee=False, points=clients(1)), tmp_path)
    with pytest.raises(BadInput) as caught:  # nobody listens there
        resume(tmp_path, Nobody())
    assert caught.value.field == "base_url"


def test_a_bench_goes_on_with_the_engine_that_it_began_with(behind: Any, tmp_path: Path) -> None:
    server = behind(GOOD["plain"])
    plan = replace(PLAN, base_urls=(server.base_url,), find_knee=False, points=clients(1), engine="vLLM 0.1")
    write_plan(plan, tmp_path)
    with pytest.raises(ConflictingData, match=r"vLLM 0\.1"):
        resume(tmp_path, Nobody())
