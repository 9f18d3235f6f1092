"""Longer contexts in the same memory by packing or dropping the KV cache, equations (4) and (32)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferatlas.catalogue.models import load_model
from inferatlas.decide.tiering.contexts import longest_contexts
from inferatlas.decide.tiering.setting import setting_of
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.handbook.kv_compression import effective_bits
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.placement import UNIFORM
from inferatlas.predict.performance.platform import with_units
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.quantities import percent
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.published import said
from inferatlas.studies.reproducing.questions.words import listed, number
from inferatlas.studies.runs import exactly, over

ACCELERATOR, ANSWER = "nvidia-h100-sxm", 64
MODELS = (("llama-2-7b", 1), ("llama-3.1-8b", 1), ("llama-3.3-70b", 4))  # keys of every head, of a group, a larger one
RATIOS = (1.0, 2.0, 4.0, 8.0, 10.0)
WANTED = (8.0, 10.0)  # Sharma 2025, VII-C
# a quantised cache as (32) has it: 2 bits and a quarter of scales, 2 % outliers and rank 4 in 16 bit, blocks 1024 x 128
PACKED = {"bits": 2.25, "sparse_share": 0.02, "rank": 4, "rows": 1024, "columns": 128}
UNIT = "kv_engine.compression"


@dataclass(frozen=True)
class Held:
    """The longest context of one request with the cache packed ``ratio`` times, and what it is like to use it.

    ``itl``: the gap between tokens at its end, unpacked by the accelerator's own arithmetic; ``itl_unit``: by a unit
    of its own; ``ttft_s``: of a prompt as long.
    """

    model: str
    count: int
    ratio: float
    tokens: int
    itl: Interval
    itl_unit: Interval
    ttft_s: float


def held(model: str, count: int, ratios: Sequence[float] = RATIOS) -> list[Held]:
    """One model on ``count`` accelerators at every ratio; no limit of its training is taken into account."""
    found = []
    for ratio in ratios:
        setting = setting_of(
            model, ACCELERATOR, count=count, tp=count, pp=None, ep=None, dp=None, tier=(), workload=None, isl=1024,
            osl=ANSWER, concurrency=1, engine=None, weights=None, kv_cache=None, kv_compression=packing(ratio),
            routing=UNIFORM,
        )  # fmt: skip
        tokens = longest_contexts(setting, 0.0).tokens
        found.append(Held(model, count, ratio, tokens, *_served(model, count, ratio, tokens)))
    return found


def packing(ratio: float) -> float | None:
    """As predictions take it: nothing is packed once."""
    return ratio if ratio > 1 else None


def _served(model: str, count: int, ratio: float, tokens: int) -> tuple[Interval, Interval, float]:
    """ITL without and with a unit that unpacks on the way, and TTFT, of a request that takes all these tokens."""
    config = load_model(model)
    ops = operators(replace(config, context_length=0))
    plain = bind(ACCELERATOR, model=config, kv_compression=packing(ratio))
    table = platform_table([plain, with_units(plain, {UNIT: ratio})], is_moe=False)
    table = replace(table, capacity=table.capacity * 2.0)  # that it fits is known; here it is asked how fast it is
    points = make_points([0, 1], tp=count, concurrency=1, input_tokens=max(tokens - ANSWER, 1), output_tokens=ANSWER)
    found = predict(ops, table, points)
    itl = Metric(found.itl_s, found.itl_sigma)
    ends = [Interval(float(itl.low()[i]), float(itl.value[i]), float(itl.high()[i])) for i in (0, 1)]
    return ends[0], ends[1], float(found.ttft_s[0])


def kv_engine() -> OpenQuestion:
    """Open question 2 of Sharma 2025: contexts 8 to 10 times as long in the same memory, with the same accuracy?"""
    found = {model: held(model, count) for model, count in MODELS}
    packed = 16.0 / float(effective_bits(**PACKED))
    longest = {model: rows[RATIOS.index(WANTED[0])] for model, rows in found.items()}
    slower = {model: over(one.itl, found[model][0].itl) for model, one in longest.items()}
    with_unit = {model: over(one.itl_unit, found[model][0].itl) for model, one in longest.items()}
    sure, why = confidence(_grounds(packed, slower), unknown=["what packing or dropping does to the answers"])
    waits = [one.ttft_s / found[model][0].ttft_s for model, one in longest.items()]
    bits = [16.0 / ratio for ratio in WANTED]
    return OpenQuestion(
        id="kv-cache-engine",
        place="VII-C; open question 2",
        question="Do KV cache engines hold contexts 8 to 10 times as long in the same memory without loss of accuracy?",
        answer=(
            f"Memory is no obstacle: a cache packed {WANTED[0]:g} to {WANTED[1]:g} times, into {number(bits[1])} to "
            f"{number(bits[0])} bits a value with all it needs, holds as many times the context ({_tokens(found)}). "
            f"Two bits with their scales and corrections come to {number(packed)} times, so for {WANTED[0]:g} times "
            f"some {percent(1.0 - packed / WANTED[0])} of the tokens must go as well. Whether answers stay as good is "
            "not computed here, and nothing that this project measured says so."
        ),
        confidence=sure,
        why=why,
        conditions=(
            f"time: without a unit that unpacks, the gap between tokens at {WANTED[0]:g} times the context is "
            f"{_spread(slower)} that at the plain one; with a unit as fast as memory, {_spread(with_unit)}, equation "
            "(32)",
            f"a prompt of {WANTED[0]:g} times the tokens takes {number(min(waits))} to {number(max(waits))} times the "
            "time to the first token: attention grows with their square, and no cache engine changes that",
            f"the models were trained on {_trained()} tokens, fewer than memory holds as it is",
            f"{ACCELERATOR}, one request; weights in the checkpoint's format stay as they are, the cache is 16 bit "
            "before",
        ),
        pairs=tuple(_pair(one, rows[0]) for rows in found.values() for one in rows),
        plot=Plot("lines", x="packed (times)", colour="model"),
    )  # fmt: skip


def _grounds(packed: float, slower: dict[str, Interval]) -> list[Ground]:
    says = f"two bits with scales and corrections pack less than {WANTED[0]:g} times"
    return [
        Ground(says, exactly(packed), WANTED[0], "derived"),
        *(
            Ground(f"{model} is slower at the longer context without a unit", ratio, 1.0, "extrapolated")
            for model, ratio in slower.items()
        ),
    ]


def _tokens(found: dict[str, list[Held]]) -> str:
    first, last = 0, RATIOS.index(WANTED[0])
    return listed([f"{model}: {rows[first].tokens:,} to {rows[last].tokens:,} tokens" for model, rows in found.items()])


def _spread(ratios: dict[str, Interval]) -> str:
    values = [ratio.value for ratio in ratios.values()]
    return f"{number(min(values))} to {number(max(values))} times"


def _trained() -> str:
    return listed(sorted({f"{load_model(model).context_length or 0:,}" for model, _ in MODELS}))


def _pair(one: Held, plain: Held) -> Pair:
    wanted = WANTED[0] <= one.ratio <= WANTED[1]
    return Pair(
        {"model": one.model, "packed (times)": f"{one.ratio:g}"},
        "longer_context", "1", said("sharma-2025", "cache-engines") if wanted else None,
        exactly(one.tokens / plain.tokens), "derived",
        f"{one.tokens:,} tokens of one request on {one.count} x {ACCELERATOR}",
    )  # fmt: skip
