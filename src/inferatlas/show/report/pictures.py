"""The charts of a recommendation: which are drawn, from which numbers, with which sentence and table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inferatlas.decide.advisor.recommend import Candidate, Recommendation
from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent, show
from inferatlas.show.charts.intervals import Estimate, Target, latency, ranked
from inferatlas.show.charts.memory import PARTS, MemoryBar, memory
from inferatlas.show.charts.probability import Chance, probabilities
from inferatlas.show.charts.style import NAMED, AnyChart, Axis
from inferatlas.show.charts.tradeoff import Attained, tradeoff
from inferatlas.show.numbers import listed
from inferatlas.show.page import Column, Table
from inferatlas.show.report import words
from inferatlas.show.report.metrics import METRICS, middle, number, spread

ROWS = 16  # candidates drawn; tables hold all
DEAREST = 5  # times the lowest cost that is drawn
PAIRS = (
    ("usd_per_million_tokens", "latency_s"),
    ("usd_per_million_tokens", "tokens_per_joule"),
    ("latency_s", "tokens_per_joule"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart with the question it answers, a sentence above and a table below."""

    key: str
    title: str
    sentence: str
    description: str
    chart: AnyChart
    table: Table


def pictures(found: Recommendation) -> list[Picture]:
    """Every chart that the recommendation has numbers for, in reading order; none without candidates."""
    makers: tuple[Callable[[Recommendation], Picture | None], ...] = (_ranking, _chances, _latency, _memory, _tradeoff)
    return [made for make in makers if found.candidates and (made := make(found))]


def axis(metric: str) -> Axis:
    """The axis of a metric."""
    known = METRICS[metric]
    return Axis(known.name, known.unit, known.smaller_is_better)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table under a chart: what the first column names has its numbers in the others."""
    return Table("", [Column(header[0]), *(Column(name, right=True) for name in header[1:])], rows)


def _cut(sentence: str, drawn: int, all_of: int) -> str:
    return sentence if drawn == all_of else f"{sentence} Drawn are the first {drawn} of {all_of}; the table holds all."


def _unknown(found: Recommendation, known: int, name: str) -> str:
    rest = len(found.candidates) - known
    return f" For {rest} of {len(found.candidates)} candidates no {name} is known: they rank last." if rest else ""


def _estimate(candidate: Candidate, held: Interval) -> Estimate:
    return Estimate(words.row_name(candidate), candidate.accelerator, held.low, held.value, held.high, candidate.label)


def _ranking(found: Recommendation) -> Picture | None:
    metric = words.objective_metric(found)
    known = METRICS[metric]
    rows = [_estimate(c, held) for c in found.candidates if (held := c.metrics[metric])]
    if not rows:
        return None
    table = _table(
        ("candidate", f"{known.name} ({known.unit})", "80 % interval", "evidence"),
        [
            (words.row_name(c), middle(metric, c.metrics[metric]), spread(metric, c.metrics[metric]), c.label)
            for c in found.candidates
        ],
    )
    best = rows[0]
    return Picture(
        "ranking",
        f"How far apart are the candidates in {known.name}?",
        _cut(
            words.ranking_sentence(found, metric) + _unknown(found, len(rows), known.name),
            min(len(rows), ROWS),
            len(rows),
        ),
        f"{known.name} of {min(len(rows), ROWS)} candidates with 80 % intervals; the first is {best.name} at "
        f"{number(metric, best.value, unit=True)}. The numbers are in the table below.",
        ranked(rows[:ROWS], axis(metric)),
        table,
    )


def _chances(found: Recommendation) -> Picture | None:
    if not found.inputs["slo"]:
        return None
    rows = [Chance(words.row_name(c), c.accelerator, c.p_meets_target) for c in found.candidates]
    asked = found.inputs["limits"]["min_probability"]
    best = max(found.candidates, key=lambda c: c.p_meets_target)
    goal = listed([words.target_words(t) for t in words.targets_of(found)])
    return Picture(
        "probability",
        "Will the targets be met?",
        _cut(
            f"Probability of {goal}, from the intervals. The safest candidate is {words.design_name(best)} with "
            f"{percent(best.p_meets_target)}; the dashed line is the {percent(asked)} asked for.",
            min(len(rows), ROWS),
            len(rows),
        ),
        f"Bars of the probability of meeting every target; the highest is {percent(best.p_meets_target)}. "
        "The numbers are in the table below.",
        probabilities(rows[:ROWS], asked),
        _table(("candidate", "probability of meeting every target"), [(r.name, percent(r.probability)) for r in rows]),
    )


def _latency(found: Recommendation) -> Picture | None:
    """Latencies as the targets ask for them: a percentile where one is bounded, else the mean."""
    targets = {t.quantity: t for t in words.targets_of(found)}
    keys = ["ttft_s", "itl_s"] + (["latency_s"] if "latency_s" in targets else [])

    def held(candidate: Candidate, key: str) -> Interval | None:
        judged = next((t for t in candidate.targets if key in targets and t["target"] == targets[key].text()), None)
        return judged["value"] if judged else candidate.metrics[key]

    def name(key: str) -> str:
        statistic = targets[key].statistic if key in targets else "mean"
        return METRICS[key].name if statistic == "mean" else f"{statistic} of {METRICS[key].name.removeprefix('mean ')}"

    shown = [c for c in found.candidates if all(held(c, k) for k in keys)]
    if not shown:
        return None
    panels = []
    for key in keys:
        rows = [_estimate(c, value) for c in shown[:ROWS] if (value := held(c, key))]
        target = targets.get(key)
        line = Target(target.bound, f"target: {target.sense} {show(target.bound, 's')}") if target else None
        panels.append((replace(axis(key), name=name(key)), rows, line))
    header = ("candidate", *(text for key in keys for text in (name(key), "80 % interval")))
    cells = (middle, spread)
    table = [
        (words.row_name(c), *(cell(key, held(c, key)) for key in keys for cell in cells)) for c in found.candidates
    ]
    return Picture(
        "latency",
        "How soon does the first token come, and how fast do the next ones follow?",
        _cut(words.latency_sentence(found), min(len(shown), ROWS), len(shown)),
        f"{' and '.join(name(key) for key in keys)} of {min(len(shown), ROWS)} candidates with 80 % intervals and the "
        "target lines. The numbers are in the table below.",
        latency(panels),
        _table(header, table),
    )


def _memory(found: Recommendation) -> Picture:
    bars = [
        MemoryBar(words.row_name(c), **{k: c.memory[k] for k in MemoryBar.__slots__ if k != "name"})
        for c in found.candidates
    ]
    rows = [(b.name, *(show(held, "B") for held in b.parts().values()), show(b.capacity_bytes, "B")) for b in bars]
    return Picture(
        "memory",
        "Does it fit, and how much is left?",
        _cut(words.memory_sentence(found), min(len(bars), ROWS), len(bars)),
        "Stacked bars of the memory of one device: weights, KV cache, activations, runtime reserve and what is free, "
        "against its capacity. The numbers are in the table below.",
        memory(bars[:ROWS]),
        _table(("candidate", *PARTS, "capacity"), rows),
    )


def _design(accelerator: str, weights: str, layout: Mapping[str, Any]) -> tuple[Any, ...]:
    return accelerator, weights, *(layout[name] for name in ("tp", "pp", "ep", "dp"))


def _tradeoff(found: Recommendation) -> Picture | None:
    wanted = {metric for pair in PAIRS for metric in pair}
    named: set[str] = set()
    points: list[Attained] = []
    for c in found.candidates:
        values = {m: held.value for m in wanted if (held := c.metrics[m])}
        first = c.accelerator not in named and len(named) < NAMED - 2
        named |= {c.accelerator} if first else set()
        points.append(Attained(c.accelerator, values, words.design_name(c) if first else None))
    # far more expensive designs are in the table: drawn, they would crowd all others into a corner
    cheapest = min((row["usd_per_million_tokens"] for row in found.pareto), default=0.0)
    front = [row for row in found.pareto if row["usd_per_million_tokens"] <= DEAREST * cheapest]
    drawn = {_design(c.accelerator, c.weights, c.layout) for c in found.candidates}
    ends = (
        [max(front, key=lambda row: row["tokens_per_joule"]), min(front, key=lambda row: row["latency_s"])]
        if front
        else []
    )
    names = {c.accelerator: words.short_name(c) for c in found.candidates}
    for row in front:
        if _design(row["accelerator"], row["weights"], row) in drawn:
            continue
        text = f"{names.get(row['accelerator'], row['accelerator'])} × {row['count']}, {row['weights']}"
        values = {m: row[m] for m in wanted if row.get(m) is not None}
        points.append(Attained(row["accelerator"], values, text if row in ends else None, candidate=False))
    pairs = [pair for pair in PAIRS if sum(pair[0] in p.values and pair[1] in p.values for p in points) > 1][:2]
    if not pairs:
        return None
    table = [
        (f"{row['accelerator']} × {row['count']}, {row['weights']}",
         *(number(m, row.get(m)) for m in ("usd_per_million_tokens", "latency_s", "tokens_per_joule")))
        for row in found.pareto
    ]  # fmt: skip
    return Picture(
        "tradeoff",
        "What does less cost, latency or energy take away from the others?",
        "Large marks are candidates, small ones other designs that nothing beats in cost, latency and energy at once: "
        "they have narrower weights or more accelerators. The line joins the best that is attained, step by step. "
        f"Where cost is an axis, designs without a price or above {DEAREST} times the lowest cost are not drawn.",
        f"Scatter of {len(points)} designs: "
        + "; ".join(f"{METRICS[x].name} against {METRICS[y].name}" for x, y in pairs)
        + ". The designs that no other beats are in the table below.",
        tradeoff(points, [((x, axis(x)), (y, axis(y))) for x, y in pairs]),
        _table(
            ("design no other beats", "cost (USD per million output tokens)", "mean latency", "output tokens/J"), table
        ),
    )
