"""Table IV as an exhibit: every printed cell beside the system that is predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferatlas.catalogue.memory import main_memory_bytes
from inferatlas.catalogue.models import load_model
from inferatlas.predict.answer import Interval
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Label, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import listed, plural, span, times
from inferatlas.studies.reproducing.sharma import batch as table_iv
from inferatlas.studies.reproducing.sharma.batch import SCALED, Batched
from inferatlas.studies.reproducing.sharma.published import stated, table
from inferatlas.studies.reproducing.sharma.serving import ISL, MODEL, OSL
from inferatlas.studies.reproducing.sharma.systems import BATCHES, RATE, System

NAMED = "as named"
LOOP, BATCH = "gap_cov, closed loop", "gap_cov, one batch"
SAME, PROPORTION = "at the same batch", "with the batch in proportion"


def exhibit(rows: Sequence[Batched]) -> Exhibit:
    """The table, every cell beside what is predicted of the system that the row names."""
    held = table(table_iv.TABLE)
    pairs = tuple(pair for row in rows for pair in pairs_of(row))
    return Exhibit(
        id="table-iv",
        place=held.place,
        title="Batch processing of Llama 2 70B: throughput, its batch, variation of latency, scaling",
        finding=finding(rows, pairs),
        pairs=pairs,
        plot=Plot("bars", x="accelerator", colour="system", facet="quantity", log=True),
        notes=(
            f"ours: prompts of {ISL:,} and answers of {OSL} tokens (the table prints no lengths), 16-bit weights, "
            "the batch in flight over the whole system, the best layout for each batch",
            "variation is theory with a prior for the jitter of devices, not fitted to measurements of spread: it "
            "has no interval; in a closed loop each request that ends is replaced, so that some steps carry prompts",
            f"scaling: throughput of {SCALED} accelerators over that of the fewest that hold the model, per "
            "accelerator; the table does not say whether the batch grows with them",
        ),
    )


def pairs_of(it: Batched) -> Iterator[Pair]:
    """All columns of a row."""
    yield from _throughput(it)
    yield from _largest(it)
    yield from _spread(it)
    yield from _scaled(it)
    if (source := stated(it.row, table_iv.SOURCE)) is not None:
        yield _pair(it, NAMED, "source", source, None, "derived", "where the table says that the row comes from")


def _pair(
    it: Batched, system: str, quantity: str, printed: Printed | None, ours: Interval | float | None, label: Label,
    note: str,
) -> Pair:  # fmt: skip
    what = {"accelerator": it.row.title, "system": system}
    unit = "1/s" if quantity.endswith("_per_s") else "1"
    return Pair(what, quantity, unit, printed, exact(ours) if isinstance(ours, (float, int)) else ours, label, note)


def _called(it: Batched, one: System) -> str:
    held = NAMED if one is it.named else "that hold model and batch"
    return f"{plural(one.count, 'accelerator')} {held}"


def _throughput(it: Batched) -> Iterator[Pair]:
    printed = stated(it.row, table_iv.MAXIMUM)
    for one in (it.named, it.fewest):
        if one is None:
            continue
        i = one.best(it.batch)
        if i is None:
            yield _pair(it, _called(it, one), RATE, printed, None, "extrapolated", one.why_not)
            continue
        layout = one.designs.layout(i)
        words = (
            f"at their batch of {it.batch}: tensor {layout.tp} x pipeline {layout.pp} x {plural(layout.dp, 'replica')}"
        )
        running = one.running(it.batch)
        if running < it.batch:
            words += f"; {running:.0f} run at a time, the others wait"
        yield _pair(it, _called(it, one), RATE, printed, one.rate(it.batch), one.label(i), words)


def _largest(it: Batched) -> Iterator[Pair]:
    printed, batch = stated(it.row, table_iv.MAXIMUM), stated(it.row, table_iv.BATCH)
    top = it.named.largest()
    if top is None:
        yield _pair(it, _called(it, it.named), "batch_at_max", batch, None, "extrapolated", it.named.why_not)
        return
    i, near = top
    name, label = _called(it, it.named), it.named.label(i)
    most = it.named.designs.metrics[RATE].at(i)
    words = "most tokens per second at any batch; the table calls its figure the maximum"
    yield _pair(it, name, f"max_{RATE}", printed, most, label, words)
    yield _pair(it, name, "batch_at_max", batch, float(near), label, "the least batch within 5 % of our maximum")


def _spread(it: Batched) -> Iterator[Pair]:
    printed, one = stated(it.row, table_iv.COV), it.serving
    running = one.running(it.batch) if one is not None else 0.0
    at = max((batch for batch in BATCHES if batch <= running), default=None)
    i = one.best(at) if one is not None and at is not None else None
    if one is None or i is None:
        yield _pair(it, _called(it, it.named), LOOP, printed, None, "extrapolated", it.named.why_not)
        return
    for name, value in one.spread(i).items():
        words = f"at a batch of {at}, requests of equal length"
        yield _pair(it, _called(it, one), name, printed, value, one.label(i), words)


def _scaled(it: Batched) -> Iterator[Pair]:
    printed, scaled = stated(it.row, table_iv.EFFICIENCY), it.scaled
    if scaled is None:
        words = f"{SCALED} accelerators do not hold the model, or no fewer of them do"
        name = f"{SCALED} accelerators"
        yield _pair(it, name, "scaling_efficiency", printed, None, "extrapolated", words)
        return
    i = it.serving.best(it.batch) if it.serving is not None else None
    label = it.serving.label(i) if it.serving is not None and i is not None else "extrapolated"
    for way, value in ((SAME, scaled.same), (PROPORTION, scaled.proportion)):
        name = f"{SCALED} against {scaled.least}, {way}"
        yield _pair(it, name, "scaling_efficiency", printed, value, label, f"batch {it.batch} on {SCALED}")


def finding(rows: Sequence[Batched], pairs: Sequence[Pair]) -> str:
    """Who cannot hold the model as named, whether throughputs meet our intervals, how batches and spread compare."""
    return " ".join([_held(rows), _rates(pairs), _batches(pairs), _varies(pairs), _scales(pairs)]).strip()


def _held(rows: Sequence[Batched]) -> str:
    out = [f"{row.row.title}: {row.named.count:,} of {row.named.least:,}" for row in rows if row.named.least]
    if not out:
        return "Every system holds the model in 16 bit as named."
    narrow = parameters(load_model(MODEL)).total * FORMATS["int4"].bytes
    lacking = [row for row in rows if row.named.least]
    room = [row.row.title for row in lacking if narrow <= row.named.count * (main_memory_bytes(row.accelerator) or 0.0)]
    return (
        f"{plural(len(out), 'system')} of {len(rows)} cannot hold the model in 16 bit as named ({'; '.join(out)}); "
        f"with weights of 4 bits {len(room)} could{f' ({listed(room)})' if room else ''}."
    )


def _rates(pairs: Sequence[Pair]) -> str:
    met = [p.inside for p in pairs if p.quantity == RATE and p.inside is not None and NAMED in p.what["system"]]
    return f"Of the others {sum(met)} of {len(met)} printed throughputs lie within our interval at their batch."


def _batches(pairs: Sequence[Pair]) -> str:
    more = [ratio for p in pairs if p.quantity == "batch_at_max" and (ratio := p.ratio)]
    if not more:
        return ""
    return f"By our model throughput grows on to batches {times(min(more))} to {times(max(more))} as large as theirs."


def _varies(pairs: Sequence[Pair]) -> str:
    printed = {p.what["accelerator"]: p.published for p in pairs if p.quantity == LOOP and p.ours}
    ends = {name: _of(pairs, name) for name in (BATCH, LOOP)}
    if not printed or not all(ends.values()):
        return ""
    between = [
        name for name, one in printed.items()
        if one is not None and one.value is not None and ends[BATCH][name] <= one.value <= ends[LOOP][name]
    ]  # fmt: skip
    low, high = (span(list(ends[name].values())) for name in (BATCH, LOOP))
    return (
        f"Variation of the gaps between tokens is first of all one of arrivals, {low} within one batch and {high} in "
        f"a closed loop; {len(between)} of {len(printed)} printed coefficients lie between the two."
    )


def _of(pairs: Sequence[Pair], quantity: str) -> dict[str, float]:
    return {p.what["accelerator"]: p.ours.value for p in pairs if p.quantity == quantity and p.ours}


def _scales(pairs: Sequence[Pair]) -> str:
    found: dict[str, dict[str, float]] = {SAME: {}, PROPORTION: {}}
    printed: dict[str, float] = {}
    for p in pairs:
        way = next((way for way in found if way in p.what["system"]), None)
        if way and p.ours and p.published and p.published.value:
            found[way][p.what["accelerator"]] = p.ours.value
            printed[p.what["accelerator"]] = p.published.value
    if not printed:
        return ""
    between = [n for n, x in printed.items() if n in found[SAME] and found[SAME][n] <= x <= found[PROPORTION].get(n, x)]
    same, more = (span(list(found[way].values())) for way in (SAME, PROPORTION))
    return (
        f"Scaling to {SCALED} reaches {same} at the same batch and {more} where the batch grows in proportion; "
        f"{listed(between)} {'is' if len(between) == 1 else 'are'} printed between the two."
    )
