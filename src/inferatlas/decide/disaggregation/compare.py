"""Prefill and decode apart against fleets that do both: rates, ratio, link, gain and the conditions for it (49)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.decide.disaggregation import doubt
from inferatlas.decide.disaggregation.answered import Disaggregation, Found, answer
from inferatlas.decide.disaggregation.asking import Asking, asking
from inferatlas.decide.disaggregation.mixed import fleets
from inferatlas.decide.disaggregation.rates import UnitRates, unit_rates
from inferatlas.decide.disaggregation.refusals import why_none
from inferatlas.decide.disaggregation.sides import as_measured, side_of
from inferatlas.decide.disaggregation.splits import (
    Pair,
    Splits,
    best_rates,
    best_splits,
    joined,
    operate,
    pool_rates,
    pool_tops,
    under,
)
from inferatlas.errors import BadInput, UnknownName, called
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.performance.pools import decode_pool
from inferatlas.predict.question import beyond, check_load
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload import Workload, make_workload, parse_targets

COUNTS = (32, 256, MOST_ACCELERATORS)  # most accelerators in all where no count is given; larger if nothing fits
ENOUGH = 0.98  # of the best rate per accelerator: the smallest count that reaches it is taken
LENGTHS = (4096, 512)  # of a request, where none are given
SIDES = ("prefill", "decode")
LEAST_LINK, MOST_LINK = 1e3, 1e15  # B/s that anybody has


def disaggregate(
    model: str, prefill: str, decode: str | None = None, *, slo: str | Sequence[str] = (), workload: str | None = None,
    isl: int | None = None, osl: int | None = None, count: int | None = None, link: float | None = None,
    first_token: str = "decode", engine: str | None = None, weights: str | None = None, kv_cache: str | None = None,
) -> Disaggregation:  # fmt: skip
    """Find the best split of accelerators into a prefill and a decode pool, and what it gains over mixed fleets.

    Parameters
    ----------
    model, prefill, decode : catalogue names or paths; decode runs on the prefill part unless it is named.
    slo : targets on ttft, itl or latency; without any, rates are those of saturation.
    workload, isl, osl : lengths; without any 4,096 and 512 tokens.
    count : accelerators in all. Without it, the smallest count up to 32 that reaches 98 % of the best rate per
        accelerator; up to 1,024 where nothing fits on 32.
    link : B/s of one link that carries every transfer; without it the network ports of both pools carry them.
    first_token : which side sends the first token; ``decode``: TTFT includes the transfer.
    engine, weights, kv_cache : as in `predict.question.ask`, on both sides.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : no split keeps the targets, with what came closest.

    Examples
    --------
    >>> found = disaggregate("llama-3.3-70b", "h100", slo=["ttft<1s", "itl<25ms"], count=16)
    >>> found.prefill["count"] + found.decode["count"], found.gain.low < found.gain.value < found.gain.high
    (16, True)
    """
    _check(link, count, first_token)
    if workload is None and isl is None and osl is None:
        isl, osl = LENGTHS
    load = make_workload(workload, isl=isl, osl=osl, concurrency=1)
    if load.output_tokens < 2:
        raise BadInput("one output token leaves nothing to decode", field="osl", allowed="2 or more")
    config = load_model(model)
    ops, targets = operators(config), parse_targets(slo)
    check_load(config, load)
    for most in _counts(prefill, decode or prefill, count):
        pair = _pair(config, ops, prefill, decode or prefill, most, link, first_token, engine, weights, kv_cache)
        asked = asking(
            load.input_tokens, load.output_tokens, (load.input_cv, load.output_cv), targets,
            None if any(t.metric == "itl" for t in targets) else _shortest(pair, load),
            config.context_length or math.inf,
        )  # fmt: skip
        rates = _unit_rates(pair, asked)
        chosen = count or _enough(pair, rates, most)
        if chosen is None:
            continue
        rows = doubt.scenarios(same=pair.prefill is pair.decode)
        splits, rate, rivals = best_splits(pair, asked.settings, rates, chosen)
        if len(splits) and splits.s[0] == 0:
            pair = _measured(pair, asked, splits, rate)
            unit = int(splits.prefill_unit[0]), int(splits.decode_unit[0])
            found = Found(
                splits, rivals, _over(pair, asked, splits, rivals, rows, rate),
                fleets(pair, asked.settings, rates, chosen, rows),
                {int(s): i for i, s in enumerate(splits.s)}, chosen,
                (float(rates[0].prefill[0, unit[0]]), float(rates[1].decode[0, unit[1]])),
            )  # fmt: skip
            return answer(config, load, pair, asked, found)
    raise why_none(pair, asked.settings, most)  # pyright: ignore[reportPossiblyUnboundVariable] - there is a count


def _check(link: float | None, count: int | None, first_token: str) -> None:
    if first_token not in SIDES:
        raise UnknownName("first token", first_token, SIDES, field="first_token")
    if link is not None and not LEAST_LINK <= link <= MOST_LINK:
        raise BadInput(f"{link!r} B/s", field="link", allowed=f"{LEAST_LINK:g} to {MOST_LINK:g} B/s")
    if count is not None and (not 2 <= count <= MOST_ACCELERATORS or count != int(count)):
        raise BadInput(f"{count} accelerators are no two pools", field="count", allowed=f"2 to {MOST_ACCELERATORS}")


def _counts(prefill: str, decode: str, count: int | None) -> list[int]:
    """How many accelerators to look at, one number after the other; clusters have no more than they have."""
    clusters = []
    for field, name in {"prefill": prefill, "decode": decode}.items():
        with called(field, "accelerator"):
            clusters.append(load_accelerator(name).cluster)
    clusters = clusters[:1] if decode == prefill else clusters
    limit = MOST_ACCELERATORS if None in clusters else sum(one.count for one in clusters if one)
    if count is not None and count > limit and (first := clusters[0]) is not None:
        raise beyond(first, count)
    return [count] if count is not None else sorted({min(one, limit) for one in COUNTS})


def _pair(
    config: ModelConfig, ops: Operators, prefill: str, decode: str, most: int, link: float | None, first_token: str,
    engine: str | None, weights: str | None, kv_cache: str | None,
) -> Pair:  # fmt: skip
    named = {"engine": engine, "weights": weights, "kv_cache": kv_cache}
    with called("prefill", "accelerator"):
        first = side_of(prefill, config, ops, most, **named)
    with called("decode", "accelerator"):
        second = first if decode == prefill else side_of(decode, config, ops, most, **named)
    pair = Pair(ops, first, second, link, first_token)
    # one part by two names is one side; a cluster keeps its own count
    if pair.same and first.known.cluster is None and second.known.cluster is None:
        return Pair(ops, first, first, link, first_token)
    return pair


def _measured(pair: Pair, asked: Asking, splits: Splits, rate: Floats) -> Pair:
    """The pair with errors as measurements showed at the units and the batch of the first split."""
    one, settings = splits[np.array([0])], asked.settings
    batch = float(operate(pair, settings, one, rate[:1]).decode.batch[0])
    units = int(one.prefill_unit[0]), int(one.decode_unit[0])
    isl, osl = float(settings.isl[0]), float(settings.osl[0])
    decode = as_measured(pair.ops, pair.decode, units[1], isl, osl, batch)
    prefill = decode if pair.prefill is pair.decode else as_measured(pair.ops, pair.prefill, units[0], isl, osl, batch)
    return replace(pair, prefill=prefill, decode=decode)


def _shortest(pair: Pair, load: Workload) -> float:
    """The shortest gap between tokens that any decode unit offers, nearly idle."""
    side, n = pair.decode, len(pair.decode.units)
    if not n:
        return np.nan
    full = np.full(n, 1.0)
    points = side.points(
        np.arange(n), 0, full * 1e-6, full * load.input_tokens, full * load.output_tokens, (0.0, 0.0)
    )  # fmt: skip
    pool = decode_pool(pair.ops, side.table, points)
    fits = pool.itl_s[pool.reason == 0]
    return float(fits.min()) if fits.size else np.nan


def _unit_rates(pair: Pair, asked: Asking) -> tuple[UnitRates, UnitRates]:
    both = ("prefill", "decode", "mixed")
    if pair.prefill is pair.decode:
        one = unit_rates(pair.ops, pair.prefill, asked.settings, roles=both)
        return one, one
    return (
        unit_rates(pair.ops, pair.prefill, asked.settings, roles=("prefill", "mixed")),
        unit_rates(pair.ops, pair.decode, asked.settings, roles=("decode", "mixed")),
    )


def _enough(pair: Pair, rates: tuple[UnitRates, UnitRates], most: int) -> int | None:
    """The smallest count that reaches `ENOUGH` of the best rate per accelerator as asked; None: none serves."""
    ends = [
        pool_rates(unit[:1], side.units.size, most)[0][0, :, 0]
        for side, unit in ((pair.prefill, rates[0].prefill), (pair.decode, rates[1].decode))
        if len(side.units)
    ]
    if len(ends) < 2:
        return None
    best = np.zeros(most + 1)
    for n in range(2, most + 1):
        first = np.arange(max(1, n - pair.decode.most), min(n - 1, pair.prefill.most) + 1)
        best[n] = np.minimum(ends[0][first], ends[1][n - first]).max(initial=0.0) / n
    return int(np.flatnonzero(best >= ENOUGH * best.max())[0]) if best.max() > 0 else None


def _over(
    pair: Pair, asked: Asking, splits: Splits, rivals: Splits, rows: list[tuple[int, int, float]], base: Floats
) -> Floats:
    """Rates [scenario, split]: as predicted, then of the best rival in every other scenario."""
    several = joined([under(rivals, *row) for row in rows[1:]])
    top = pool_tops(pair, asked.settings, several)
    rates = best_rates(pair, asked.settings, several, top, tolerance=doubt.COARSE).reshape(len(rows) - 1, -1)
    starts = np.searchsorted(rivals.s, splits.s)  # rivals stand by setting
    best = np.maximum.reduceat(rates, starts, axis=1)
    return np.concatenate([base[None, :], best])
