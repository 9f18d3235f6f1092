"""The sentences of a report: the question, the answer, and what each chart shows."""

from __future__ import annotations

from inferatlas.decide.advisor.rank import OBJECTIVES, TIES
from inferatlas.decide.advisor.recommend import Candidate, Recommendation
from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import AIMS, layout_words, undecided
from inferatlas.show.numbers import as_given, listed
from inferatlas.show.report.metrics import METRICS, number, spread
from inferatlas.workload import ServiceTarget, parse_targets

SHORT = {"ttft": "TTFT", "itl": "ITL", "latency": "latency"}
REASONS = {
    "budget": "over budget",
    "context_length": "context too long",
    "engine": "no engine",
    "interconnect_unknown": "interconnect unknown",
    "kv_cache": "memory (KV cache)",
    "layout": "no legal layout",
    "memory": "memory",
    "precision": "precision not supported",
    "rate_beyond_capacity": "request rate too high",
    "target": "target missed",
    "vendor": "vendor not asked for",
}
LABELS = {
    "measured": "read off a meter or a clock by this project or by a source whose run record is at hand.",
    "published": "stated by a source; conditions as the source gives them.",
    "predicted": "computed here, where accelerator, engine and formats were each measured, not necessarily together.",
    "extrapolated": "computed here, where at least one of accelerator, engine and formats was never measured.",
}


def targets_of(found: Recommendation) -> tuple[ServiceTarget, ...]:
    """The service targets of the question, read back from its inputs."""
    return parse_targets(found.inputs["slo"])


def objective_metric(found: Recommendation) -> str:
    """The metric that the candidates are ranked by."""
    return OBJECTIVES[found.inputs["objective"]][0]


def target_words(target: ServiceTarget) -> str:
    """A target in words.

    >>> from inferatlas.workload import parse_target
    >>> target_words(parse_target("ttft:p95<500ms")), target_words(parse_target("output_tokens_per_s>1000"))
    ('p95 TTFT below 500 ms', 'output throughput above 1,000 tokens/s')
    """
    way = "below" if target.sense.startswith("<") else "above"
    if target.metric in SHORT:
        return f"{target.statistic} {SHORT[target.metric]} {way} {show(target.bound, 's')}"
    return f"{METRICS[target.quantity].name} {way} {as_given(target.bound)} tokens/s"


def question(found: Recommendation) -> str:
    """The question as one would ask it."""
    asked = found.inputs
    name = asked["workload"]["name"]
    work = "" if "/" in name else f" for {name}"
    goal = f" with {listed([target_words(t) for t in targets_of(found)])}" if asked["slo"] else ""
    return f"Which accelerators serve {asked['model']}{work}{goal}, and which is {AIMS[asked['objective']]}?"


def short_name(candidate: Candidate) -> str:
    """The accelerator without its vendor, where the vendor is only a prefix."""
    return candidate.name.removeprefix(candidate.vendor).strip() or candidate.name


def row_name(candidate: Candidate) -> str:
    """What names a candidate in every chart and table; the rank makes it unique."""
    return f"{candidate.rank}. {design_name(candidate)}"


def design_name(candidate: Candidate) -> str:
    """Accelerator, count and weights of a candidate, for sentences."""
    return f"{short_name(candidate)}\u00a0×\u00a0{candidate.count}, {candidate.weights}"


def answer(found: Recommendation) -> str:
    """The answer in one sentence, with interval and probability."""
    if not found.candidates:
        return (
            f"None of the {len(found.rejected)} accelerators searched is an answer within the limits given: "
            f"{_why_none(found)}."
        )
    best, metric = found.candidates[0], objective_metric(found)
    held = best.metrics[metric]
    if held is None:
        value = f"{undecided(found.inputs['objective'], best.metrics)}; it has the {TIES[0]} of all that qualify"
    elif held.low == held.high:
        value = f"{METRICS[metric].name} {number(metric, held.value, unit=True)}, given by the load and the price list"
    else:
        value = _with_interval(metric, held)
    goals = dict.fromkeys(t.quantity for t in targets_of(found) if t.quantity != metric)
    also = [_with_interval(key, i) for key in goals if (i := best.metrics[key]) and i.low < i.high]
    chance = (
        f"; it meets every target with a probability of {percent(best.p_meets_target)}" if found.inputs["slo"] else ""
    )
    return (
        f"{best.count} × {best.name} with {best.weights} weights on {best.engine} ({layout_words(best.layout)}): "
        f"{'; '.join([value, *also])}{chance}."
    )


def _with_interval(metric: str, held: Interval) -> str:
    return f"{METRICS[metric].name} {number(metric, held.value, unit=True)} (80 % interval {spread(metric, held)})"


def _why_none(found: Recommendation) -> str:
    counts: dict[str, int] = {}
    for out in found.rejected:
        counts[out.code] = counts.get(out.code, 0) + 1
    words = [
        f"{REASONS.get(code, code.replace('_', ' '))} ({n})" for code, n in sorted(counts.items(), key=lambda c: -c[1])
    ]
    return listed(words) if words else "nothing was searched"


def order(found: Recommendation) -> str:
    """What the candidates are ranked by."""
    metric = METRICS[objective_metric(found)]
    if found.candidates and (blind := undecided(found.inputs["objective"], found.candidates[0].metrics)):
        return f"ranked by {listed(TIES)}, since {blind.replace(', so', ' and')}"
    return f"ranked by {metric.name} ({metric.better})"


def ranking_sentence(found: Recommendation, metric: str) -> str:
    """What the chart of ranked intervals shows: whether the first place is open."""
    rows = [(c, i) for c in found.candidates if (i := c.metrics[metric])]
    known = METRICS[metric]
    if len(rows) < 2:
        return f"One candidate has a known {known.name}."
    (first, held), rest = rows[0], rows[1:]
    if all(i.low == i.high for _, i in rows):
        fixed = "offered load and the price list give" if metric.startswith("usd") else "offered load gives"
        return (
            f"The {fixed} the {known.name}, so it has no interval of its own here: what is uncertain is whether the "
            "targets are met."
        )
    near = [c for c, i in rest if (i.low <= held.high if known.smaller_is_better else i.high >= held.low)]
    if not near:
        return f"The interval of {design_name(first)} overlaps no other: its place is safe within the model."
    open_race = "overlap" if len(near) > 1 else "overlaps"
    return (
        f"Of {len(rest)} other interval{'s' if len(rest) > 1 else ''}, {len(near)} {open_race} that of "
        f"{design_name(first)}: the order may change."
    )


def latency_sentence(found: Recommendation) -> str:
    """What the chart of latencies shows: the statistic that each target bounds, else means."""
    line = "; the dashed line is the target" if found.inputs["slo"] else ""
    text = f"Dots are means over requests with their 80 % interval{line}."
    tails = [t for t in targets_of(found) if t.metric in SHORT and t.statistic != "mean"]
    if tails:
        what = listed([f"{t.statistic} of {SHORT[t.metric]}" for t in tails])
        text = text.replace("means over requests", f"the {what}, else means over requests,")
    return text


def memory_sentence(found: Recommendation) -> str:
    """What the memory chart shows: who has the least room."""
    tight = min(found.candidates, key=lambda c: _free(c) / c.memory["capacity_bytes"])
    return (
        "Each bar is one device as an engine sees it, at the predicted batch. The least room is left on "
        f"{design_name(tight)}: {show(max(_free(tight), 0.0), 'B')} of {show(tight.memory['capacity_bytes'], 'B')}."
    )


def _free(candidate: Candidate) -> float:
    m = candidate.memory
    return m["usable_bytes"] - m["weights_bytes"] - m["kv_bytes"] - m["activations_bytes"] - m["reserve_bytes"]
