"""What a comparison of split and mixed fleets found: rates and gains with their intervals, the curve, assumptions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import stands_for
from inferatlas.decide.coverage import coverage
from inferatlas.decide.disaggregation import doubt
from inferatlas.decide.disaggregation.asking import Asking
from inferatlas.decide.disaggregation.attention_ffn import AttentionFfn, attention_ffn
from inferatlas.decide.disaggregation.conditions import claims, pays
from inferatlas.decide.disaggregation.described import fleet_words, pool_words, total, usage
from inferatlas.decide.disaggregation.mixed import Fleet
from inferatlas.decide.disaggregation.splits import Operation, Pair, Splits, best_rates, operate, pool_tops
from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.kv_transfer import needed_bytes_per_s
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.pools import decode_pool, pool_ratio, prefill_pool
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import Z80
from inferatlas.workload import Workload


@dataclass(frozen=True)
class Disaggregation:
    """The best split at its largest rate, the mixed fleets of as many accelerators, and where the gain comes from.

    ``ratio``: prefill over decode accelerators, ``ratio_closed_form`` as (49) says for pools that need not be whole.
    Gains compare with the best mixed fleet, per accelerator, dollar and watt; None where nothing is to compare.
    """

    inputs: dict[str, Any]
    prefill: dict[str, Any]
    decode: dict[str, Any]
    ratio: float
    ratio_closed_form: float
    request_rate: Interval
    latencies: dict[str, float]
    link: dict[str, Any]
    colocated: list[dict[str, Any]]
    gain: Interval | None
    gain_per_usd: Interval | None
    gain_per_watt: Interval | None
    usage: dict[str, dict[str, float | None]]
    claims: list[dict[str, Any]]
    curve: list[dict[str, Any]]
    pays: list[dict[str, Any]]
    attention_ffn: AttentionFfn | None
    label: str
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas disaggregate --format json``."""
        return asdict(self) | {"interval": 0.8}


@dataclass(frozen=True)
class Found:
    """Best split of every setting that has one, its rivals, and mixed fleets.

    ``rate``: [scenario, split], in other scenarios than the first that of the best rival; ``at``: setting -> its
    split; ``alone``: largest rates of a prefill and a decode unit of the first split, each for itself.
    """

    splits: Splits
    rivals: Splits
    rate: Floats
    fleets: list[Fleet]
    at: dict[int, int]
    count: int
    alone: tuple[float, float]


def answer(config: ModelConfig, load: Workload, pair: Pair, asked: Asking, found: Found) -> Disaggregation:
    """Everything about the first setting, and the gains of the others."""
    one, rate, settings = found.splits[np.array([0])], float(found.rate[0, 0]), asked.settings
    now = operate(pair, settings, one, found.rate[0, :1])
    pools = pool_words(pair, one, now, rate, settings)
    request_rate = _rate_interval(pair, asked, found, one, now)
    fleets = [fleet for fleet in found.fleets if fleet.rate[0, 0] > 0]
    colocated = [fleet_words(pair.ops, settings, fleet) for fleet in fleets]
    for words, fleet in zip(colocated, fleets, strict=True):
        words["request_rate"] = _interval(fleet.rate[:, 0], ratio=False)
    dollars = total([pool["usd_per_hour"] for pool in pools.values()])
    watts = total([pool["power_w"] for pool in pools.values()])
    order = sorted(colocated, key=lambda words: -words["request_rate"].value)
    point = pair.decode.points(one.decode_unit, 0, np.ones(1), settings.isl[:1], settings.osl[:1], settings.cv)
    per_usd = _gain(found, fleets, 0, dollars, [words["usd_per_hour"] for words in colocated])
    used = usage(pair, list(pools.values()), order[0] if order else None)
    curve = _curve(pair, asked, found, fleets)
    return Disaggregation(
        inputs={
            "model": config.id, "prefill": pair.prefill.platform.device.id, "decode": pair.decode.platform.device.id,
            "count": found.count, "idle": found.count - sum(pool["count"] for pool in pools.values()),
            "workload": {k: v for k, v in asdict(load).items() if k not in ("concurrency", "request_rate")},
            "slo": [t.text() for t, bound in zip(settings.targets, settings.bounds, strict=True) if bound[0] < np.inf],
            "link_bytes_per_s": pair.link, "first_token": pair.first_token,
        },
        prefill=pools["prefill"], decode=pools["decode"],
        ratio=pools["prefill"]["count"] / pools["decode"]["count"],
        ratio_closed_form=_closed_form(pair, asked, found, one),
        request_rate=request_rate,
        latencies={name: float(getattr(now, name)[0]) for name in ("ttft_s", "itl_s", "latency_s")},
        link=_link_words(pair, now, rate),
        colocated=order,
        gain=_gain(found, fleets, 0),
        gain_per_usd=per_usd,
        gain_per_watt=_gain(found, fleets, 0, watts, [words["power_w"] for words in colocated]),
        usage=used,
        claims=claims(used, per_usd.value if per_usd else None),
        curve=curve,
        pays=pays(curve),
        attention_ffn=attention_ffn(
            pair.ops, pair.decode, point, float(now.decode.batch[0]),
            float(now.decode.itl_s[0]),
        ),
        label="extrapolated",
        assumptions=_assumptions(config, pair),
    )  # fmt: skip


def _rate_interval(pair: Pair, asked: Asking, found: Found, one: Splits, now: Operation) -> Interval:
    """The rate with its ends.

    If all times were f times as long, the rate would be that at bounds f times as tight, over f. f is the error of a
    lone prompt and of a decode step as calibrated; on one part the larger of the two, on two parts both in squares.
    """
    sides = _speed_sigmas(pair, asked, one, now)
    sigma = max(sides) if pair.prefill is pair.decode else float(np.hypot(*sides))
    base = float(found.rate[0, 0])
    rivals = found.rivals[np.flatnonzero(found.rivals.s == 0)]
    top = pool_tops(pair, asked.settings, rivals)
    ends = [
        float(best_rates(pair, asked.settings, rivals, top, 1.0 / f, doubt.COARSE).max() / f)
        for f in (np.exp(Z80 * sigma), np.exp(-Z80 * sigma))
    ]
    fall, rise = (abs(np.log(end / base)) if end > 0 else np.inf for end in ends)
    more = doubt.unmodelled(ratio=False)
    low = 0.0 if not np.isfinite(fall) else base * float(np.exp(-np.hypot(fall, more)))
    return Interval(low, base, base * float(np.exp(np.hypot(rise, more))))


def _speed_sigmas(pair: Pair, asked: Asking, one: Splits, now: Operation) -> tuple[float, float]:
    """Log standard deviations of a lone prompt's time and of the gap between tokens at the batch of the pool."""
    isl, osl = asked.settings.isl[:1], asked.settings.osl[:1]
    out = []
    for side, unit, output, flying, name in (
        (pair.prefill, one.prefill_unit, 1.0, 1.0, "ttft_sigma"),
        (pair.decode, one.decode_unit, osl, np.maximum(now.decode.batch, 1.0), "itl_sigma"),
    ):
        units = side.units[unit]
        points = make_points(
            0, tp=units.tp, pp=units.pp, ep=units.ep, dp=units.dp, concurrency=flying * units.dp, input_tokens=isl,
            output_tokens=output,
        )  # fmt: skip
        out.append(float(getattr(predict(pair.ops, side.table, points, checked=True), name)[0]))
    return out[0], out[1]


def _interval(values: Floats, *, ratio: bool) -> Interval:
    """A result [scenario] with its ends: deviations in squares, and what no coefficient covers."""
    fall, rise = doubt.deviations(values[:, None])
    more = doubt.unmodelled(ratio=ratio)
    low, high = (float(np.hypot(end[0], more)) for end in (fall, rise))
    return Interval(float(values[0] * np.exp(-low)), float(values[0]), float(values[0] * np.exp(high)))


def _gain(
    found: Found, fleets: list[Fleet], s: int, own: float | None = 1.0,
    others: list[float | None] | None = None,
) -> Interval | None:  # fmt: skip
    """Rate of a split over that of the best mixed fleet of as many accelerators, each over what it costs or draws."""
    costs = [1.0] * len(fleets) if others is None else others
    if s not in found.at or own is None:
        return None
    known = [fleet.rate[:, s] / cost for fleet, cost in zip(fleets, costs, strict=True) if cost]
    if not known or not max(rate[0] for rate in known) > 0:
        return None
    best = np.max(known, axis=0)
    split = found.rate[:, found.at[s]] / own
    with np.errstate(divide="ignore", invalid="ignore"):
        # a scenario in which neither serves says nothing; one in which only the split does is an order of magnitude
        ratio = np.where(best > 0, split / best, np.where(split > 0, 10.0 * split[0] / best[0], split[0] / best[0]))
    return _interval(ratio, ratio=True)


def _curve(pair: Pair, asked: Asking, found: Found, fleets: list[Fleet]) -> list[dict[str, Any]]:
    """A row per setting but the first: rates per accelerator, gain, and the split."""
    rows = []
    for s in range(1, len(asked.settings)):
        best = max((float(fleet.rate[0, s]) for fleet in fleets), default=0.0)
        i = found.at.get(s)
        gain = _gain(found, fleets, s)
        row: dict[str, Any] = {
            "axis": asked.axis[s], "x": float(asked.x[s]), "isl": float(asked.settings.isl[s]),
            "osl": float(asked.settings.osl[s]),
            "split_rate_per_accelerator": None if i is None else float(found.rate[0, i]) / found.count,
            "colocated_rate_per_accelerator": best / found.count if best > 0 else None,
            "gain": gain.value if gain else None, "gain_low": gain.low if gain else None,
            "gain_high": gain.high if gain else None,
        }  # fmt: skip
        for name, side, units, copies in (
            ("prefill", pair.prefill, found.splits.prefill_unit, found.splits.prefill_copies),
            ("decode", pair.decode, found.splits.decode_unit, found.splits.decode_copies),
        ):
            row[f"{name}_count"] = None if i is None else int(side.units.size[units[i]] * copies[i])
        rows.append(row)
    return rows


def _closed_form(pair: Pair, asked: Asking, found: Found, one: Splits) -> float:
    """Prefill over decode accelerators by (49), each unit as busy as its own target lets it be."""
    isl, osl, cv = asked.settings.isl[:1], asked.settings.osl[:1], asked.settings.cv
    rates = [np.array([rate]) for rate in found.alone]
    first = prefill_pool(pair.ops, pair.prefill.table, pair.prefill.points(one.prefill_unit, 0, rates[0], isl, osl, cv))
    then = decode_pool(pair.ops, pair.decode.table, pair.decode.points(one.decode_unit, 0, rates[1], isl, osl, cv))
    units = pair.prefill.units[one.prefill_unit], pair.decode.units[one.decode_unit]
    prompt = units[0].dp / first.fastest  # of one replica
    use = np.minimum(rates[0] / first.fastest, 1.0)
    replicas = pool_ratio(prompt, use, osl - 1.0, then.itl_s, np.maximum(then.batch, 1e-9))
    return float((replicas * units[0].replica / units[1].replica)[0])


def _link_words(pair: Pair, now: Operation, rate: float) -> dict[str, Any]:
    lane, whole = float(now.lane[0]), float(now.total[0])
    latency = pair.prefill.platform.network.scale_out_s
    needed = needed_bytes_per_s(now.size, rate * lane / whole, now.prefill.prompt_s, pair.ops.layers, latency)
    return {
        "bytes_per_request": float(now.size[0]), "needed_bytes_per_s": _finite(float(needed[0]) * whole / lane),
        "assumed_bytes_per_s": whole, "lane_bytes_per_s": lane, "transfer_s": float(now.sent.seconds[0]),
        "exposed_s": float(now.sent.exposed_s[0]), "utilisation": float(now.sent.utilisation[0]),
        "given": pair.link is not None,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _assumptions(config: ModelConfig, pair: Pair) -> list[str]:
    sides = [pair.prefill] if pair.prefill is pair.decode else [pair.prefill, pair.decode]
    out = []
    if pair.link is not None:
        out.append("one link of the rate given carries every transfer, and one transfer may use all of it")
    else:
        for side in sides:
            network = side.platform.network
            rate = (network.scale_out or network.default_scale_out) / 1e9
            known = "published" if network.scale_out else "assumed, none is published (3 to 50 GB/s)"
            out.append(
                f"transfers leave {side.platform.device.id} by its network ports: {rate:g} GB/s an accelerator "
                f"({known}), {network.efficiency:.0%} of it reached; links inside a node or rack are not counted on"
            )
    out += [
        "a cache is sent once, in the decode side's format, each layer as soon as it is computed (49); transfers wait "
        "for one another as in M/D/1, and the decode side keeps its place free from the start of the prompt",
        f"the {pair.first_token} side sends the first token"
        + (": TTFT includes the transfer and the wait for a decode step" if pair.first_token == "decode" else ""),
        "prompts in a pool of their own cost what their steps take; beside answers they cost what was learned from "
        "mixed steps",
        "the largest rate is the same for split and mixed fleets: Poisson arrivals, every target kept; accelerators "
        "that a whole number of replicas leaves over idle",
        "no measurement of a split fleet is in the calibration. Intervals: each coefficient moved alone to the ends of "
        "its range, on one part for both fleets alike, so that common errors cancel in the gain, and both fleets laid "
        "out anew; deviations add in squares; ranges are as wide as measurements left out of the fit were off; prices "
        "have no interval",
    ]
    if any(side.money.usd_per_hour is None for side in sides):
        names = ", ".join(side.platform.device.id for side in sides if side.money.usd_per_hour is None)
        out.append(f"no price of {names} with a source is known: gain per dollar is unknown")
    for side in sides:
        out += [f"{side.platform.device.id}: {note}" for note in side.platform.notes]
    out += stands_for(config)
    out.append(coverage((side.platform.device.id, side.platform.label) for side in sides))
    return out
