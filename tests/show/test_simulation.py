"""Pages of simulated runs: one, several side by side, the highest load; all that is said is in the outcome."""

import json
from dataclasses import replace

import numpy as np
import pytest

from inferatlas.show.capacity import capacity_html, capacity_page, capacity_rows
from inferatlas.show.output import plain
from inferatlas.show.simulation import simulation_html, simulation_page, simulation_rows
from inferatlas.show.simulations import comparison_html, comparison_page, comparison_rows
from inferatlas.show.tables import to_markdown, to_text
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.capacity import SUSTAINED, Capacity, Tried
from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.law import affine_law
from inferatlas.simulate.outcome import across, meets, outcome
from inferatlas.simulate.running import run
from inferatlas.workload.requests import Requests
from inferatlas.workload.targets import parse_targets

TARGETS = parse_targets(["ttft:p95<400ms", "itl<20ms"])


def simulation(rate: float, n: int = 600, seed: int = 0, price: float | None = 2.0) -> Simulation:
    random = np.random.default_rng(seed)
    requests = Requests("toy", np.cumsum(random.exponential(1 / rate, n)), np.full(n, 200), np.full(n, 32))
    fleet = Fleet((Pool((affine_law(0.01, 0.0005, 16, per_prompt_token=1e-5),), usd_per_hour=price),))
    found = outcome(run(fleet, requests, seed=seed), fleet, requests, TARGETS)
    inputs = {"model": "toy", "request_rate": rate, "layout": {"tp": 2, "pp": 1}, "chunked": True}
    return Simulation(
        f"toy at {rate:g}", inputs, found, meets(found, TARGETS), "predicted", ("The machine is affine.",)
    )


@pytest.fixture(scope="module")
def both() -> list[Simulation]:
    return [simulation(10.0), simulation(60.0)]


def test_the_page_says_the_answer_the_clock_and_the_window(both):
    text = " ".join(to_text(simulation_page(both[0], "inferatlas simulate --x"), width=140, colour=False).split())
    assert text.startswith("toy at 10: TTFT p95") and "it keeps every target [predicted]" in text
    for words in (
        "On the client's clock",
        "steady window",
        "95 % intervals",
        "TTFT, engine's clock",
        "tp 2, pp 1",
        "goodput, requests/s",
        "USD per million output tokens",
        "inferatlas simulate --x",
        "is affine",
    ):
        assert words in text, words


def test_the_page_of_an_overload_warns_and_keeps_no_latency(both):
    text = " ".join(to_text(simulation_page(both[1], "x"), width=140, colour=False).split())
    assert "toy at 60: saturated at" in text and "the backlog grows by" in text
    assert "it misses ttft:p95<400ms and itl:mean<20ms" in text
    assert "Latencies grow with the length of the run" in text and "there is no steady window" in text


def test_the_document_holds_what_was_asked_and_the_verdicts(both):
    document = plain(both[1].as_dict())
    json.dumps(document, allow_nan=False)
    assert document["saturated"] is True and document["meets"] is False and document["steady"] is None
    assert [one["slo"] for one in document["slo"]] == ["ttft:p95<400ms", "itl:mean<20ms"]
    assert "series" not in document and document["inputs"]["layout"] == {"tp": 2, "pp": 1}


def test_rows_are_flat(both):
    row = simulation_rows(both[0])[0]
    assert row["ttft_p95_s"] == both[0].outcome.metrics["ttft_s"]["p95"] and row["meets"] is True
    assert all(value is None or isinstance(value, str | int | float) for value in row.values())
    assert len(comparison_rows(both)) == 2


def test_pages_with_charts_mark_the_window_and_the_targets(both):
    page = simulation_html(both[0], "inferatlas simulate")
    assert page.count("<svg") == 3
    for words in ("steady from here", "ttft:p95&lt;400ms", "running", "waiting", "Share of the KV cache"):
        assert words in page, words
    assert "<script" not in page
    assert "steady from here" not in simulation_html(both[1], "x")


def test_several_side_by_side(both):
    text = " ".join(to_text(comparison_page(both, "x"), width=160, colour=False).split())
    assert text.startswith("1 of 2 deployments keep every target; toy at 10 costs the least")
    assert "saturated" in text and "keeps all" in text
    page = comparison_html(both, "x")
    assert page.count("<svg") == 3 and "toy at 60" in page
    assert "None of 1 deployment" in to_markdown(comparison_page(both[1:], "x"))


def test_without_prices_the_shortest_latency_is_named():
    two = [simulation(5.0, price=None), simulation(12.0, price=None)]
    assert "toy at 5 has the shortest mean latency" in to_markdown(comparison_page(two, "x"))


def test_several_runs_have_their_intervals():
    several = [simulation(10.0, seed=seed) for seed in range(3)]
    first = several[0]
    told = {**across([one.outcome for one in several]), "by": "replications"}
    found = replace(first, outcome=replace(first.outcome, intervals=told))
    assert "Means of 3 runs with other seeds" in to_markdown(simulation_page(found, "x"))
    assert "by batch means" not in to_markdown(simulation_page(found, "x"))
    assert plain(found.as_dict())["intervals"]["runs"] == 3


def test_the_error_of_the_model_stands_beside_the_means(both):
    assert "by the model" not in to_markdown(simulation_page(both[0], "x"))
    found = replace(both[0], model_intervals={"ttft_s": [0.02, 0.06], "itl_s": None})
    assert "20.0–60.0 ms" in to_markdown(simulation_page(found, "x"))


def test_a_run_of_few_requests_has_a_page():
    found = simulation(1.0, n=1)
    assert "No steady state was looked for" in to_markdown(simulation_page(found, "x"))
    assert "<svg" in simulation_html(found, "x")


# The highest load

TRIED = (
    Tried(5.0, {"ttft:p95<500ms": 0.2, "output_tokens_per_s>100": 150.0}, ()),
    Tried(8.0, {"ttft:p95<500ms": 0.45, "output_tokens_per_s>100": 240.0}, ()),
    Tried(8.1, {"ttft:p95<500ms": None, "output_tokens_per_s>100": 240.0}, (SUSTAINED,)),
)


def test_the_highest_load():
    found = Capacity(8.0, 7.0, 9.5, "requests/s", (SUSTAINED,), TRIED)
    text = " ".join(to_text(capacity_page(found, "toy", "predicted", "x"), width=140, colour=False).split())
    assert text.startswith("toy: 8.00 (7.00–9.50) requests/s at most keep every target; beyond: the backlog grows")
    assert "450 ms" in text and "kept" in text
    assert "highest kept: 8.00" in capacity_html(found, "toy", "predicted", "x")
    assert [row["kept"] for row in capacity_rows(found, "toy", "predicted")] == [True, True, False]


def test_no_load_and_no_limit():
    none = Capacity(None, None, None, "requests/s", ("ttft:p95<500ms",), TRIED[2:])
    assert "no load that was tried" in to_markdown(capacity_page(none, "toy", "predicted", "x"))
    assert "<svg" not in capacity_html(none, "toy", "predicted", "x")
    open_end = Capacity(8.0, 7.0, None, "requests/s", (), TRIED[:2])
    assert "no limit was found" in to_markdown(capacity_page(open_end, "toy", "predicted", "x"))
