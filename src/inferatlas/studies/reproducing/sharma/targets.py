"""Table I: what the model says of inference where the table contrasts it with training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.decide.variability import variability
from inferatlas.predict.answer import Interval
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.quantities import percent
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Label, Pair
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import plural, span, times
from inferatlas.studies.reproducing.sharma.interactive import NARROW, ONE, SERVER, Interactive
from inferatlas.studies.reproducing.sharma.published import claimed, stated, table
from inferatlas.studies.reproducing.sharma.serving import ISL, MODEL, OSL

TABLE = "table-i"
TRAINING, INFERENCE = "training", "inference"
PRECISION, BATCH, MEMORY, PATTERN = "precision", "batch-size", "memory-access", "computation-pattern"
AIMS, SCALE = "optimization-target", "deployment-scale"
BATCHES = (1, 16, 128)  # the table's span of inference, with one between
SIXTEEN_BIT = 2.0  # bytes
DENSE, MOE, ON, COUNT = "llama-2-70b", "mixtral-8x22b", "nvidia-b200-sxm", 8  # of like size, on one node
RATE = "output_tokens_per_s"


def exhibit(rows: Sequence[Interactive]) -> Exhibit:
    """The table, every cell; ``rows``: the accelerators of Table III as they serve one stream and many."""
    held = table(TABLE)
    pairs = (*_words(), *_precision(rows), *_batch(rows), *_memory(), *_pattern(), *_scale(rows))
    return Exhibit(
        id="table-i", place=held.place, title=held.title, finding=finding(pairs), pairs=pairs,
        notes=(
            "training is not modelled here: its column has nothing of ours beside it",
            "whether INT8 or INT4 suffices is a question of quality, which a performance model does not answer: "
            "ours is what the narrower format gains",
            f"{MODEL}, {ISL:,} tokens in and {OSL} out; batch and precision at the most tokens per second and "
            "accelerator",
        ),
    )  # fmt: skip


def _cell(row: str, side: str) -> Printed | None:
    return stated(table(TABLE).rows[row], side)


def _pair(
    row: str, of: str, quantity: str, unit: str, ours: Interval | float | None, label: Label, note: str = "",
    side: str = INFERENCE,
) -> Pair:  # fmt: skip
    held = table(TABLE)
    what = {"characteristic": held.rows[row].title, "workload": held.columns[side].title, "of": of}
    found = exact(ours) if isinstance(ours, (float, int)) else ours
    return Pair(what, quantity, unit, _cell(row, side), found, label, note)


def _words() -> Iterator[Pair]:
    """The cells that state no quantity of inference."""
    for row in table(TABLE).rows:
        if _cell(row, TRAINING):
            yield _pair(row, "", "in words", "1", None, "derived", "training is not modelled", TRAINING)
    yield _pair(AIMS, "", "in words", "1", None, "derived", "a list of aims, which each regime of Fig. 8 makes one of")


def _precision(rows: Sequence[Interactive]) -> Iterator[Pair]:
    """What the best narrow format gains over 16 bit, in throughput per accelerator."""
    for it in rows:
        wide, narrow = (it.by_load.get(load) for load in (SERVER, NARROW))
        if wide is None or narrow is None:
            continue
        gain = (narrow.value(RATE) / narrow.count) / (wide.value(RATE) / wide.count)
        words = f"{narrow.weights} over {wide.weights}, tokens per second and accelerator of a loaded server"
        yield _pair(PRECISION, it.row.title, "gain_of_narrow_weights", "1", gain, narrow.label, words)


def _batch(rows: Sequence[Interactive]) -> Iterator[Pair]:
    """Sequences that run at a time where more requests in flight add no throughput."""
    for it in rows:
        if (one := it.by_load.get(SERVER)) is not None:
            words = f"{plural(one.count, 'accelerator')}, {one.weights}: what memory holds of {one.concurrency:,.0f}"
            yield _pair(BATCH, it.row.title, "batch", "1", float(one.predictions.batch[0]), one.label, words)


def _memory() -> Iterator[Pair]:
    """Share of the weights in the bytes that a decode step reads."""
    config = load_model(MODEL)
    ops = operators(config)
    weights = parameters(config).streamed * SIXTEEN_BIT
    cache = float(kv_bytes(ops, 1, 1, ISL + OSL / 2, SIXTEEN_BIT))
    for batch in BATCHES:
        share = weights / (weights + batch * cache)
        words = f"a step reads the weights once and {batch} caches of {ISL + OSL // 2:,} tokens"
        yield _pair(MEMORY, f"batch {batch}", "weight_share_of_reads", "1", share, "derived", words)


def _pattern() -> Iterator[Pair]:
    """Variation of the gaps between tokens that the routing of experts adds."""
    for model, spread in ((DENSE, 1), (MOE, COUNT)):
        found = variability(model, ON, count=COUNT, tp=COUNT, ep=spread, isl=ISL, osl=OSL, concurrency=BATCHES[1])
        routing = next(cause["gap_cov"] for cause in found.causes if cause["cause"] == "routing")
        label: Label = "predicted" if found.label == "predicted" else "extrapolated"
        words = f"{COUNT} x {ON}, {BATCHES[1]} in flight, experts over {spread}"
        yield _pair(PATTERN, load_model(model).name, "gap_cov of routing", "1", float(routing or 0.0), label, words)


def _scale(rows: Sequence[Interactive]) -> Iterator[Pair]:
    """Accelerators that one deployment takes."""
    for it in rows:
        words = f"the fewest that hold {MODEL} in {it.by_load[ONE].weights}"
        yield _pair(SCALE, it.row.title, "accelerators", "1", float(it.by_load[ONE].count), "derived", words)


def finding(pairs: Sequence[Pair]) -> str:
    """What reads dominate, which batches run, what narrow weights gain, and what experts add to variation."""
    shares = _ours(pairs, "weight_share_of_reads")
    batches, gains = [round(x) for x in _ours(pairs, "batch")], _ours(pairs, "gain_of_narrow_weights")
    dense, moe = _ours(pairs, "gap_cov of routing")
    counts = _ours(pairs, "accelerators")
    printed = claimed("inference-batch-sizes")
    within = sum((printed.low or 0.0) <= batch <= (printed.high or 0.0) for batch in batches)
    return (
        f"Weights are {percent(shares[0])} of what a decode step reads at batch {BATCHES[0]} and "
        f"{percent(shares[-1])} at batch {BATCHES[-1]}; memory lets {span(batches)} sequences run at a time on the "
        f"accelerators of Table III, {within} of {len(batches)} in the printed span ({printed.text}); the best "
        f"narrow format gains {times(min(gains))} to {times(max(gains))} in throughput; routing adds a variation of "
        f"{100 * dense:.2g} % to the gaps of the dense model and {100 * moe:.2g} % to those of the mixture of "
        f"experts; one deployment takes {span(counts)} accelerators."
    )


def _ours(pairs: Sequence[Pair], quantity: str) -> list[float]:
    found = [pair.ours.value for pair in pairs if pair.quantity == quantity and pair.ours is not None]
    assert np.isfinite(found).all()
    return found
