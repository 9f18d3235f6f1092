"""One point: the runs of two sides under one load, metric by metric, before the correction for how many are looked at.

Over the runs where there are three repetitions of each side. Else latencies by resampling requests, paired where both
sides had the same prompts, and rates by batches of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.errors import UnknownName
from inferatlas.measure.bench.comparison.chances import Chance, error_of, judged, unpaired
from inferatlas.measure.bench.comparison.pairing import same_prompts
from inferatlas.measure.bench.comparison.resampling import Draws, Floats, dependence, draw
from inferatlas.measure.bench.comparison.samples import RATES, Sample
from inferatlas.measure.bench.record.flat import LATENCIES

# Fewest requests of a statistic: of percentiles the n of load-generation.md, section 7, with none beyond the limit at
# 99 % confidence; of mean and median what a bootstrap needs (chosen here).
LEAST = {"mean": 20, "p50": 20, "p90": 44, "p95": 90, "p99": 459}
SHOWN = ("mean", "p50", "p90", "p99")
LEAST_BLOCKS = 10
LEAST_RUNS = 3  # repetitions of a side from which they, not the requests, say how much a figure varies
LEAST_PAIRED = 0.8  # share of both sides' requests that have a partner
TOO_FEW = "too few requests"


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared: ``name`` as in a record, ``statistic`` over requests (None of rates)."""

    name: str
    statistic: str | None

    @property
    def better(self) -> str:
        return "lower" if self.name in LATENCIES else "higher"


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric at one point: times in seconds, None where there is no such figure.

    ``method``: paired (requests of one prompt), unpaired, batches (of time), or repetitions.
    """

    metric: str
    statistic: str | None
    better: str
    a: float | None
    b: float | None
    n_a: int
    n_b: int
    method: str
    difference: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: str = TOO_FEW


def chosen_metrics(texts: Sequence[str]) -> list[Metric]:
    """Metrics by their names.

    Raises
    ------
    UnknownName : a name or a statistic that is none.

    Examples
    --------
    >>> chosen_metrics(["ttft:p99", "output_tokens_per_s"])
    [Metric(name='ttft_s', statistic='p99'), Metric(name='output_tokens_per_s', statistic=None)]
    """
    if not texts:
        texts = [*LATENCIES, *RATES]
    short = {name.removesuffix("_s"): name for name in LATENCIES}
    found: list[Metric] = []
    for text in texts:
        name, _, statistic = text.partition(":")
        name = short.get(name, name)
        if name not in (*LATENCIES, *RATES):
            raise UnknownName("metric", name, [*short, *RATES])
        if statistic and (name in RATES or statistic not in LEAST):
            raise UnknownName("statistic", statistic, () if name in RATES else LEAST, field="metric")
        wanted = (None,) if name in RATES else (statistic,) if statistic else SHOWN
        found += [Metric(name, one) for one in wanted]
    return list(dict.fromkeys(found))


def measured(a: list[Sample], b: list[Sample], chosen: Sequence[Metric], rng: np.random.Generator) -> list[Compared]:
    """Every metric that both sides have, without the correction for their number."""
    found: list[Compared] = []
    repeated = min(len(a), len(b)) >= LEAST_RUNS
    drawn = None if repeated else _drawn(a, b, rng)
    for metric in chosen:
        if metric.name in RATES:
            if metric.name == "goodput_per_s" and a[0].targets != b[0].targets:
                continue
            one = _repeated(a, b, metric) if repeated else _batched(a, b, metric)
        else:
            one = _repeated(a, b, metric) if drawn is None else drawn.compared(metric)
        if one is not None:
            found.append(one)
    return found


def _statistic(values: Floats, statistic: str | None) -> float | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    return float(known.mean() if statistic == "mean" else np.quantile(known, _share(statistic)))


def _share(statistic: str | None) -> float:
    return int((statistic or "p50")[1:]) / 100


def _compared(
    metric: Metric, a: float, b: float, many: tuple[int, int], method: str, chance: Chance | None
) -> Compared:
    bare = Compared(metric.name, metric.statistic, metric.better, a, b, *many, method, b - a, b / a if a > 0 else None)
    return bare if chance is None else replace(bare, low=chance.low, high=chance.high, p=chance.p)


def _repeated(a: list[Sample], b: list[Sample], metric: Metric) -> Compared | None:
    """By the figures of the repetitions (Welch's t on them)."""
    sides = []
    for side in (a, b):
        if metric.name in RATES:
            values = [one.rates[metric.name].value for one in side if metric.name in one.rates]
        else:
            values = [v for one in side if (v := _statistic(one.latencies[metric.name], metric.statistic)) is not None]
        if not values:
            return None
        sides.append(np.array(values))
    x, y = sides
    chance = None
    if min(x.size, y.size) >= LEAST_RUNS:
        errors = [(float(one.std(ddof=1)) / one.size**0.5, one.size) for one in sides]
        chance = unpaired(float(x.mean()), float(y.mean()), errors[0], errors[1])
    return _compared(metric, float(x.mean()), float(y.mean()), (x.size, y.size), "repetitions", chance)


def _batched(a: list[Sample], b: list[Sample], metric: Metric) -> Compared | None:
    """By batches of time."""
    means, errors = [], []
    for side in (a, b):
        rates = [one.rates[metric.name] for one in side if metric.name in one.rates]
        if not rates:
            return None
        means.append(float(np.mean([one.value for one in rates])))
        batches = [one.batches for one in rates if one.batches is not None]
        if len(batches) == len(rates):
            variance = sum(float(one.var(ddof=1)) / one.size for one in batches) / len(batches) ** 2
            errors.append((variance**0.5, sum(one.size for one in batches)))
    chance = unpaired(means[0], means[1], errors[0], errors[1]) if len(errors) == 2 else None
    many = (sum(one.size for one in a), sum(one.size for one in b))
    return _compared(metric, means[0], means[1], many, "batches", chance)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Latencies of both sides with their resamples; paired ones share them."""

    a: dict[str, Floats]
    b: dict[str, Floats]
    draws: tuple[Draws, Draws]
    paired: bool

    def compared(self, metric: Metric) -> Compared | None:
        x, y = self.a[metric.name], self.b[metric.name]
        if self.paired:  # a request without a figure has no partner
            both = np.isfinite(x) & np.isfinite(y)
            x, y = np.where(both, x, np.nan), np.where(both, y, np.nan)
        a, b = _statistic(x, metric.statistic), _statistic(y, metric.statistic)
        if a is None or b is None:
            return None
        many = int(np.isfinite(x).sum()), int(np.isfinite(y).sum())
        method = "paired" if self.paired else "unpaired"
        blocks = tuple(one.blocks for one in self.draws)
        if min(many) < LEAST[metric.statistic or "mean"] or min(blocks) < LEAST_BLOCKS:
            return _compared(metric, a, b, many, method, None)
        first, second = (
            one.means(v) if metric.statistic == "mean" else one.quantiles(v, _share(metric.statistic))
            for one, v in zip(self.draws, (x, y), strict=True)
        )
        if self.paired:
            together = (
                np.log(second / first) if a > 0 and b > 0 and min(first.min(), second.min()) > 0 else second - first
            )
            chance = judged(a, b, error_of(together, blocks[0]), blocks[0] - 1)
        else:
            chance = unpaired(a, b, (error_of(first, blocks[0]), blocks[0]), (error_of(second, blocks[1]), blocks[1]))
        return _compared(metric, a, b, many, method, chance)


def _drawn(a: list[Sample], b: list[Sample], rng: np.random.Generator) -> _Drawn | None:
    if len(a) == len(b) == 1:
        i, j = same_prompts(a[0].prompts, b[0].prompts)
        if i.size and i.size >= LEAST_PAIRED * max(a[0].size, b[0].size):
            x, y = ({name: v[k] for name, v in one.latencies.items()} for one, k in ((a[0], i), (b[0], j)))
            draws = draw([i.size], max(_length([a[0]]), _length([b[0]])), rng)
            return _Drawn(x, y, (draws, draws), True)
    if not all(any(one.size for one in side) for side in (a, b)):
        return None
    x, y = ({name: np.concatenate([one.latencies[name] for one in side]) for name in LATENCIES} for side in (a, b))
    draws = [draw([one.size for one in side if one.size], _length(side), rng) for side in (a, b)]
    return _Drawn(x, y, (draws[0], draws[1]), False)


def _length(side: list[Sample]) -> int:
    """Requests in a block: whole rounds of all users, and as many as depend on each other."""
    users = max(one.users for one in side)
    apart = max(dependence(one.latencies[name]) for one in side for name in LATENCIES)
    return users * -(-apart // users)


__all__ = ["LEAST_RUNS", "TOO_FEW", "Compared", "Metric", "chosen_metrics", "measured"]
