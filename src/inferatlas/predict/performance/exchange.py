"""Communication of a step: all-reduces per block, logits, experts, hops between stages; (18), (25), (26)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np

from inferatlas.catalogue.model import Attention
from inferatlas.predict.arrays import Floats, Ints
from inferatlas.predict.llm.operators import OUTPUTS, PROMPTS, TOKENS, Operators
from inferatlas.predict.performance.group_costs import GroupCosts
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard

INSIDE, ACROSS = 1, 2  # columns of `Collectives.send`
WIDEST = 65_536  # ranks, in the codes of `context_code`
BYTES = 2.0  # hidden states and logits are exchanged in 16 bit


@dataclass(frozen=True, slots=True)
class Collectives:
    """Group costs in use; ``None`` where no point needs the operation."""

    all_reduce: GroupCosts | None
    all_gather: GroupCosts | None
    all_to_all: GroupCosts | None
    send: GroupCosts | None  # columns: 0 no hop, INSIDE a scale-up domain, ACROSS domains
    context: GroupCosts | None = None  # column of a point: the place of its code in ``codes``
    codes: Ints | None = None  # ascending, 0 (no shards) first: `context_code`

    def astype(self, dtype: type[np.floating]) -> Collectives:
        costs = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "codes"}
        return Collectives(
            **{name: None if c is None else c.astype(dtype) for name, c in costs.items()}, codes=self.codes
        )


@dataclass(frozen=True, slots=True)
class _Law:
    """One collective per point: ``times * (latency^q + (units * per_unit)^q)^(1/q)``; q None: 1."""

    name: str
    count: int
    times: Floats | float
    latency: Floats  # to the power q
    per_unit: Floats  # seconds per token (or output row)
    q: Floats | None
    inverse: Floats | None
    on: str = TOKENS

    def seconds(self, units: Floats) -> Floats:
        out = units * self.per_unit
        if self.q is not None and self.inverse is not None:
            np.power(out, self.q, out=out)
            out += self.latency
            np.power(out, self.inverse, out=out)
        else:
            out += self.latency
        out *= self.times
        return out


@dataclass(frozen=True, slots=True)
class Exchange:
    """The laws that a set of points pays in every step."""

    laws: tuple[_Law, ...]
    ring: tuple[Floats, Floats] | None = None  # context parallelism: seconds a send, seconds a byte of it

    def spend(self, units: Mapping[str, Floats], sink: Callable[..., None] | None = None) -> Floats:
        """Seconds of communication of one step with so many ``units`` of each kind that laws are about."""
        total = np.zeros_like(units[TOKENS])
        for law in self.laws:
            if law.on not in units:
                continue  # of prompts, in a step without any
            seconds = law.seconds(units[law.on])
            total += seconds
            if sink is not None:
                sink(law.name, law.count, network=seconds)
        return total


def prepare_exchange(ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives) -> Exchange:
    """Gather the group costs of the points.

    Inside a replica each attention and feed-forward block ends with an all-reduce of the hidden states
    (experts spread over the ranks of the replica included). Experts spread wider exchange tokens with
    their owners instead: dispatch and combine.
    """
    hidden = BYTES * ops.model.hidden
    index, ranks, ep = shard.index, shard.ranks, shard.ep
    laws: list[_Law] = []
    wide = ep > ranks
    if collectives.all_reduce is not None:
        times = (
            float(ops.reductions)
            if not ops.experts
            else (ops.reductions - ops.expert_reductions * wide).astype(shard.ep_f.dtype)
        )
        on = OUTPUTS if ops.model.encoder else TOKENS
        tensor = collectives.all_reduce, index, ranks, hidden
        laws.append(_law(row, "all_reduce", ops.reductions, times, *tensor, curved=True, on=on))
        if ops.prompt_reductions:
            many = ops.prompt_reductions
            laws.append(_law(row, "encoder all_reduce", many, float(many), *tensor, curved=True, on=PROMPTS))
    if collectives.all_gather is not None and not ops.model.embeds:
        laws.append(
            _law(
                row,
                "logits all_gather",
                1,
                1.0,
                collectives.all_gather,
                index,
                ranks,
                BYTES * ops.model.vocab,
                on=OUTPUTS,
            )
        )
    if collectives.all_to_all is not None and ops.experts:
        # (18): a rank sends its share of the tokens to at most top_k owners, there and back
        sent = hidden / shard.ranks_f * np.minimum(max(op.top_k for op in ops.experts), shard.ep_f)
        count = 2 * ops.expert_reductions
        laws.append(
            _law(
                row,
                "expert all_to_all",
                count,
                float(count),
                collectives.all_to_all,
                index,
                np.where(wide, ep, 1),
                sent,
                curved=True,
            )
        )
    if collectives.send is not None:
        laws += _hops(row, shard, collectives.send, hidden / shard.ranks_f)
    if collectives.context is None or collectives.codes is None or shard.cp_f is None or collectives.send is None:
        return Exchange(tuple(laws))
    # a decoding sequence gathers its parts of attention, softmax statistics included, from the shards of its context
    values = max((row.attention.heads * _value_dim(row.attention) for row in ops.attentions), default=0)
    count = sum(row.count for row in ops.attentions)
    column = np.searchsorted(collectives.codes, context_code(shard.cp, ranks)).astype(np.int32)
    laws.append(
        _law(
            row, "context all_reduce", count, float(count), collectives.context, index, column,
            BYTES * values / shard.ranks_f, on=OUTPUTS,
        )
    )  # fmt: skip
    hop = _law(
        row, "context ring", 1, 1.0, collectives.send, index,
        np.where(shard.cp > 1, np.where(shard.cp * ranks > row.domain, ACROSS, INSIDE), 0), 1.0,
    )  # fmt: skip
    return Exchange(tuple(laws), (hop.latency, hop.per_unit))


def _value_dim(attention: Attention) -> int:
    return attention.kv_lora if attention.kv_lora is not None else attention.head_dim


def context_code(cp: Ints, ranks: Ints) -> Ints:
    """A number for a group of cp shards, each of ``ranks`` devices; 0 where there is none."""
    return np.where(cp > 1, cp * WIDEST + ranks, 0).astype(np.int32)


def _hops(row: PlatformTable, shard: Shard, send: GroupCosts, per_token: Floats) -> list[_Law]:
    """Hops from stage to stage, the way back to the first included: inside a domain, and between domains."""
    index = shard.index
    block = shard.ranks * shard.cp  # devices of one stage
    held = np.maximum(row.domain // block, 1).astype(np.int32)  # stages that share a domain
    across = np.where((shard.stages > 1) & (shard.stages * block > row.domain), -(-shard.stages // held), 0)
    inside = np.where(shard.stages > 1, shard.stages, 0) - across
    kind = shard.stages_f.dtype
    columns = ((inside, INSIDE), (across, ACROSS))
    return [
        _law(row, name, 1, many.astype(kind), send, index, np.where(many > 0, column, 0), per_token)
        for name, (many, column) in zip(("stage to stage", "stage to stage, between nodes"), columns, strict=True)
        if (many > 0).any()
    ]


def _law(
    row: PlatformTable,
    name: str,
    count: int,
    times: Floats | float,
    costs: GroupCosts,
    index: Ints,
    group: Ints,
    per_unit: Floats | float,
    *,
    curved: bool = False,
    on: str = TOKENS,
) -> _Law:
    """``curved`` keeps the exponent of equation (21); messages of which there are few per step take q = 1."""
    at = index.astype(np.intp) * costs.q.shape[1] + group  # one flat gather instead of three in two dimensions
    per_byte = costs.per_byte.ravel().take(at, mode="clip") * row.network_byte_scale
    if curved and (costs.q != 1.0).any():
        q = costs.q.ravel().take(at, mode="clip")
        return _Law(
            name,
            count,
            times,
            costs.latency_q.ravel().take(at, mode="clip") * row.network_scale**q,
            per_byte * per_unit,
            q,
            1.0 / q,
            on,
        )
    latency = costs.latency.ravel().take(at, mode="clip") * row.network_scale
    return _Law(name, count, times, latency, per_byte * per_unit, None, None, on)
