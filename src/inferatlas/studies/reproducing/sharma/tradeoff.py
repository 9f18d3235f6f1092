"""Guideline: latency and throughput remain at odds, on every architecture."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.studies.exhibits import Guideline, Pair, Plot, Verdict
from inferatlas.studies.reproducing.phrases import listed, plural, span
from inferatlas.studies.reproducing.sharma.published import machines
from inferatlas.studies.reproducing.sharma.serving import LEVELS, MODEL, Served, served

ALL = (1, *LEVELS)
NOTICED = 1.1  # a latency so many times as long is a price
RATE, GAP = "output_tokens_per_s", "itl_s"


def curves() -> dict[str, list[Served]]:
    """Every accelerator of Table III at every level of requests in flight."""
    return {row.title: served(accelerator, MODEL, ALL) for row, accelerator in machines("table-iii").values()}


def guideline() -> Guideline:
    """The rule, by what the time between tokens costs at the most throughput per accelerator."""
    found = curves()
    price = {name: _price(points) for name, points in found.items()}
    gain = {name: _gain(points) for name, points in found.items()}
    held = [name for name, x in price.items() if x >= NOTICED]
    verdict: Verdict = "agrees" if len(held) == len(found) else "agrees_under_condition" if held else "disagrees"
    free = [name for name in found if name not in held]
    where = (
        f"on all but {listed(free)}, where the most throughput takes {span([price[name] for name in free])} times "
        "the time between tokens of one stream"
        if free
        else f"on every accelerator tried, between 1 and {ALL[-1]:,} requests in flight"
    )
    return Guideline(
        id="latency-throughput",
        place="Sec. IV-E, insight 2",
        quote="a fundamental tradeoff remains between minimizing latency and maximizing throughput",
        verdict=verdict,
        where=where,
        held=len(held),
        tried=len(found),
        finding=(
            f"The most tokens per second and accelerator are {span(list(gain.values()))} times those of one stream "
            f"and come with {span(list(price.values()))} times its time between tokens; it is at least {NOTICED:g} "
            f"times on {len(held)} of {len(found)} accelerators."
        ),
        pairs=tuple(pair for name, points in found.items() for one in points for pair in _pairs(name, one)),
        plot=Plot("tradeoff", x=GAP, y=f"{RATE}_per_accelerator", colour="accelerator", mark="in flight", log=True),
        notes=(f"{MODEL} on the fewest accelerators that hold it and, on chip, the requests in flight",),
    )


def _per_chip(one: Served) -> float:
    return one.value(RATE) / one.count


def _price(points: Sequence[Served]) -> float:
    return max(points, key=_per_chip).value(GAP) / points[0].value(GAP)


def _gain(points: Sequence[Served]) -> float:
    return max(map(_per_chip, points)) / _per_chip(points[0])


def _pairs(name: str, one: Served) -> list[Pair]:
    what = {"accelerator": name, "in flight": f"{one.concurrency:.0f}"}
    words = f"{plural(one.count, 'accelerator')}, {one.weights}"
    rate = one.of(RATE, per=one.count)
    return [
        Pair(what, GAP, "s", None, one.of(GAP), one.label, words),
        Pair(what, f"{RATE}_per_accelerator", "1/s", None, rate, one.label, words),
    ]
