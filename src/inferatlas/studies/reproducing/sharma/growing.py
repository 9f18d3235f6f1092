"""Guideline: experts scale parameters 5 to 10 times with minimal increase of latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.studies.exhibits import Guideline, Pair, Plot, Verdict
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import plural, span
from inferatlas.studies.reproducing.sharma.published import claimed
from inferatlas.studies.reproducing.sharma.serving import ISL, MODEL, OSL

ON = ("nvidia-b200-sxm", "amd-mi300x")
RANKS = 8  # of one node, tensor- and expert-parallel
TOP_K = 8  # experts that a token takes, as most mixtures do
SCALES = (1, 5, 10)  # times the feed-forward parameters
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
MINIMAL = 1.1  # a latency within 10 % of the dense model's
ROOM = 1e18  # bytes: what more parameters cost in time is asked, not whether they fit
CLAIM = "expert-parameter-scaling"


@dataclass(frozen=True)
class Grown:
    """A mixture of so many times the parameters at the same computation per token: its time over the dense one's."""

    accelerator: str
    scale: int
    total: int
    ratio: Floats  # by batch


def mixture(dense: ModelConfig, scale: int) -> ModelConfig:
    """The dense model with each feed-forward block as experts: as wide together per token, ``scale`` times as many.

    Examples
    --------
    >>> dense = load_model("llama-2-70b")
    >>> parameters(mixture(dense, 10)).ffn / parameters(dense).ffn
    10.0
    """
    layers = []
    for group in dense.layers:
        ffn = group.ffn
        assert ffn is not None and ffn.width % TOP_K == 0
        layers.append(replace(group, ffn=replace(ffn, width=ffn.width // TOP_K, experts=TOP_K * scale, top_k=TOP_K)))
    return replace(dense, layers=tuple(layers))


def grown() -> list[Grown]:
    """Every scale on every accelerator, over the dense model on the same node."""
    dense = load_model(MODEL)
    out = []
    for name in ON:
        before = _gaps(dense, name)
        for scale in SCALES:
            model = mixture(dense, scale)
            out.append(Grown(name, scale, parameters(model).total, _gaps(model, name) / before))
    return out


def _gaps(model: ModelConfig, name: str) -> Floats:
    """Seconds between tokens at every batch."""
    ops = operators(model)
    table = platform_table([bind(name, model=model)], is_moe=bool(ops.experts))
    points = make_points(
        0, tp=RANKS, ep=RANKS if ops.experts else 1, concurrency=list(BATCHES), input_tokens=ISL, output_tokens=OSL
    )
    return predict(ops, replace(table, capacity=np.full(1, ROOM)), points).itl_s


def guideline() -> Guideline:
    """The rule, by batch: what a mixture of the same computation costs over the dense model, and over a small one."""
    found = grown()
    small = {one.accelerator: one.ratio for one in found if one.scale == 1}
    tried = [one for one in found if one.scale > 1]
    added = {(one.accelerator, one.scale): one.ratio / small[one.accelerator] for one in tried}
    held = sum(int(np.count_nonzero(ratio <= MINIMAL)) for ratio in added.values())
    like_dense = sum(int(np.count_nonzero(one.ratio <= MINIMAL)) for one in tried)
    cases = len(tried) * len(BATCHES)
    free = _free(list(added.values()))
    verdict: Verdict = "agrees" if held == cases else "agrees_under_condition" if held else "disagrees"
    batches = [f"{batch:,}" for batch in BATCHES if batch in free]
    worst = max(tried, key=lambda one: float(one.ratio.max()))
    at = BATCHES[int(np.argmax(worst.ratio))]
    return Guideline(
        id="expert-scaling",
        place="Sec. V-C",
        quote="can achieve 5-10x parameter scaling with minimal latency increase",
        verdict=verdict,
        where=(
            f"everywhere within {MINIMAL - 1:.0%} of a mixture of the dense model's size at batches of "
            f"{', '.join(batches)}, where every expert is read anyway"
            if batches
            else f"at no batch within {MINIMAL - 1:.0%} on every accelerator and scale"
        ),
        held=held,
        tried=cases,
        finding=(
            f"{claimed(CLAIM).text} the parameters at the same computation take "
            f"{span([float(x) for ratio in added.values() for x in ratio])} times as long between tokens as a "
            f"mixture of the dense model's size, and {_span(tried)} times as long as the dense model: {held} and "
            f"{like_dense} of {plural(cases, 'case')} stay within {MINIMAL - 1:.0%}. Experts cost "
            f"{_span([one for one in found if one.scale == 1])} times without one parameter more; the worst case is "
            f"{worst.scale} times the parameters at a batch of {at} on {worst.accelerator}."
        ),
        pairs=tuple(pair for one in found for pair in _pairs(one)),
        plot=Plot("lines", x="batch", colour="parameters", facet="accelerator", log=True),
        notes=(
            f"{MODEL} with its feed-forward blocks cut into experts of which a token takes {TOP_K}; {RANKS} "
            "accelerators with memory for any size, uniform choice of experts",
            "a case holds where a mixture takes no longer than one of the dense model's size: what kernels and "
            "exchanges of experts cost at all is not charged to their number",
        ),
    )


def _free(added: Sequence[Floats]) -> list[int]:
    """Batches at which no larger mixture takes noticeably longer than the one of the dense model's size."""
    worst = np.max(added, axis=0).tolist()
    return [batch for batch, ratio in zip(BATCHES, worst, strict=True) if ratio <= MINIMAL]


def _span(found: Sequence[Grown]) -> str:
    return span([float(x) for one in found for x in one.ratio])


def _pairs(one: Grown) -> list[Pair]:
    words = f"{one.total / 1e9:,.0f} billion parameters in all"
    return [
        Pair(
            {"accelerator": one.accelerator, "parameters": f"{one.scale} times", "batch": str(batch)},
            "itl_over_dense", "1", None, exact(float(x)), "extrapolated", words,
        )
        for batch, x in zip(BATCHES, one.ratio, strict=True)
    ]  # fmt: skip
