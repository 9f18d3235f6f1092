"""What would change the winner: asked again with the change made, the winner does change, and to what was said."""

import re
from dataclasses import replace

import pytest

from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.decide.advisor.recommend import recommend
from inferatlas.predict.cost.economics import economics
from inferatlas.workload import parse_target

MODEL = "llama-3.3-70b"
LOAD = {"isl": 1024, "osl": 256, "max_count": 8}
PRICED = ("nvidia-h100-sxm", "amd-mi300x", "nvidia-b200-sxm", "nvidia-h200-sxm")
FACTOR = re.compile(r"(price|\w+) of (\S+) (down|up) by a factor of ([\d.]+)")


def winner(found) -> str:
    return found.candidates[0].accelerator


@pytest.fixture(scope="module", params=[{"concurrency": 32}, {"request_rate": 3.0}], ids=["closed", "open"])
def load(request):
    return LOAD | request.param


@pytest.fixture(scope="module")
def cheapest(load):
    return recommend(MODEL, **load, accelerators=PRICED, slo=["ttft:p95<2s"])


def test_the_factor_printed_turns_the_race_and_a_smaller_one_does_not(load, cheapest, cluster):
    rivals = [m.groups() for flip in cheapest.flips if (m := FACTOR.fullmatch(flip.change))]
    assert [name for _, name, _, _ in rivals] == [c.accelerator for c in cheapest.candidates[1:]]
    for word, name, direction, factor in rivals:
        assert (word, direction) == ("price", "down")
        price = economics(name, "gpu_simt", 8).usd_per_hour
        assert price is not None
        others = tuple(part for part in PRICED if part != name)
        # two digits are printed, rounded up
        for scale, expected in ((float(factor), name), (float(factor) - 0.011, winner(cheapest))):
            asked = (*others, cluster(name, price=price / scale))
            assert winner(recommend(MODEL, **load, accelerators=asked, slo=["ttft:p95<2s"])) == expected, (name, scale)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_factor_is_that_between_the_metrics(objective: str):
    found = recommend(MODEL, **LOAD, concurrency=32, accelerators=PRICED, objective=objective)
    metric, smaller = OBJECTIVES[objective]
    best = found.candidates[0].metrics[metric]
    assert best is not None
    for flip, rival in zip(found.flips, found.candidates[1:], strict=True):
        match = FACTOR.fullmatch(flip.change)
        assert match is not None
        assert flip.winner == match[2] == rival.accelerator
        value = rival.metrics[metric]
        assert value is not None
        ratio = value.value / best.value if smaller else best.value / value.value
        assert ratio < float(match[4]) <= ratio + 0.0101  # rounded up, or it would not turn the race
        assert match[3] == ("down" if smaller else "up")
        # ranked behind, so more likely behind; but intervals overlap
        assert flip.probability is not None
        assert 0 < flip.probability <= 0.5


@pytest.mark.parametrize(
    ("slo", "traffic"),
    [
        (("ttft:p95<250ms", "itl<25ms"), {"request_rate": 3.0}),
        (("ttft:p95<400ms", "itl<25ms"), {"concurrency": 16}),
        (("ttft<1s", "output_tokens_per_s>400"), {"concurrency": 16}),
    ],
    ids=["open", "closed", "throughput"],
)
def test_targets_halved_or_doubled_have_the_winner_that_was_said(slo: tuple[str, ...], traffic):
    parts = ("nvidia-h100-sxm", "amd-mi300x", "amd-mi325x", "nvidia-h200-sxm", "nvidia-l40s", "groq-lpu-v1")
    asked = {**LOAD, **traffic, "accelerators": parts}
    found = recommend(MODEL, **asked, slo=slo)
    said = {flip.change: flip.winner for flip in found.flips if "bound" in flip.change}
    assert said  # or this would test nothing
    for i, target in enumerate(map(parse_target, slo)):
        for factor, word in ((0.5, "halved"), (2.0, "doubled")):
            changed = [*slo]
            changed[i] = replace(target, bound=target.bound * factor).text()
            again = recommend(MODEL, **asked, slo=changed)
            now = winner(again) if again.candidates else "nothing meets the targets"
            change = f"{target.text()} with its bound {word}"
            assert said.pop(change, winner(found)) == now, change
    assert not said


def test_halving_what_is_barely_met_leaves_nothing():
    asked = {"isl": 512, "osl": 64, "concurrency": 1, "accelerators": ("l4",), "weights": ("int4",), "max_count": 1}
    itl = recommend("llama-3.1-8b", **asked).candidates[0].metrics["itl_s"]
    assert itl is not None
    tight = recommend("llama-3.1-8b", **asked, slo=[f"itl<{itl.high * 1.01}s"])
    assert tight.candidates
    assert [flip.winner for flip in tight.flips] == ["nothing meets the targets"]


def test_without_a_race_nothing_flips():
    alone = recommend("llama-3.1-8b", isl=512, osl=64, concurrency=1, accelerators=("h100",), max_count=1)
    assert alone.flips == []
    none = recommend("llama-3.1-8b", isl=512, osl=64, concurrency=1, accelerators=("l4",), slo=["ttft<1us"])
    assert (none.candidates, none.flips) == ([], [])
    # a rate offered is served by all who qualify: nobody has more throughput to win by
    given = recommend(
        "llama-3.1-8b", isl=512, osl=64, request_rate=1.0, accelerators=("h100", "mi300x"), objective="throughput"
    )
    assert len(given.candidates) == 2
    assert given.flips == []
