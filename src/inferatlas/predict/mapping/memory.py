"""Memory of one device in a layout, and how many sequences fit: (4); (32) and (33), solved for the sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.predict.arrays import Floats, as_floats
from inferatlas.predict.llm.attention import index_bytes, kept, kv_values_per_rank
from inferatlas.predict.llm.operators import IMAGES, OUTPUTS, Operators
from inferatlas.predict.llm.recurrence import small_parameters, state_bytes

ACTIVATION_COPIES = 6  # live hidden-size buffers of a step: residual, normed input, block output, their collectives


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes per device (arrays): what is taken, what is offered, and the sequences that fit in the rest."""

    weights: Floats
    activations: Floats
    reserve: Floats
    capacity: Floats  # whole memory of the device
    usable: Floats  # capacity times the engine's memory fraction
    kv_per_sequence: Floats  # at the mean context
    kv_longest: Floats  # at the full length of one request
    sequences: Floats  # per replica; 0 where weights do not fit
    tiers_full: NDArray[np.bool_]  # what waits exceeds the slower memories
    kv_waiting: Floats  # per sequence, in slower memory


def weight_bytes(
    ops: Operators, tp: ArrayLike, pp: ArrayLike, ep: ArrayLike, bytes_w: ArrayLike, bytes_wide: ArrayLike,
    bytes_dense: ArrayLike | None = None, *, resident: bool = False, redundant: int = 0, tables: bool = True,
) -> Floats:  # fmt: skip
    """Bytes of weights on the fullest device.

    ``tp`` counts engine ranks. Layer weights are divided by tp (KV projections only as far as there are
    KV heads, MLA down-projections not at all), experts by the ranks they are spread over, layers by pp
    (the fullest stage has ceil(L/pp)); embedding and head sit on the first and last stage, 16-bit.
    ``bytes_dense`` is for formats that quantise experts only. Resident machines divide everything evenly.
    ``redundant``: spare copies of experts per layer. Without ``tables``: no embedding and no head.
    """
    tp, pp, ep = (as_floats(x) for x in (tp, pp, ep))
    width, wide = as_floats(bytes_w), as_floats(bytes_wide)
    dense = width if bytes_dense is None else as_floats(bytes_dense)
    layers = [row for row in ops.gemms if row.name != "lm_head"]
    # elements by how they are divided, summed over the model first: few array operations follow
    total = sum(r.count * r.weights for r in layers if not r.wide) / tp * dense
    whole = sum(r.count * r.replicated for r in layers if not r.wide)
    total = total + whole * dense if whole else total
    for heads in {r.kv_heads for r in layers if r.kv_weights}:
        elements = sum(r.count * r.kv_weights for r in layers if r.kv_heads == heads)
        total = total + elements / heads * np.ceil(heads / tp) * dense
    routers = sum(r.count * (r.weights + r.replicated) for r in layers if r.wide)
    experts = sum(r.count * r.experts * r.weights for r in ops.experts)
    total = total + experts / np.maximum(tp, ep) * width if experts else total
    if redundant:  # spare copies, spread over the devices like the experts; of no use where each holds all
        spare = sum(r.count * redundant * r.weights for r in ops.experts) / np.maximum(tp, ep) * width
        total = total + np.where(ep > 1, spare, 0.0)
    groups = (*ops.model.layers, *ops.model.encoder)
    norms = sum(group.count * group.norms for group in groups) * ops.model.hidden
    small = sum(row.count * small_parameters(row.recurrence, ops.model.hidden) for row in ops.recurrences)
    total = total + (norms + small + routers) * wide
    table = ops.model.vocab * ops.model.hidden * wide / tp if tables else 0.0 * wide
    both = table * (1.0 if ops.model.tied_embeddings else 2.0)
    if resident:
        return (total + both) / pp
    stage = np.ceil(ops.layers / pp) / ops.layers
    return total * stage + np.where(pp > 1, table, both)


def kv_bytes(
    ops: Operators, tp: ArrayLike, pp: ArrayLike, context: ArrayLike, bytes_kv: ArrayLike, *, block: ArrayLike = 1,
    resident: bool = False, source: ArrayLike = 0.0,
) -> Floats:  # fmt: skip
    """KV cache and state bytes of one sequence on one device at a context length, equation (4).

    The cache is rounded up to blocks; states have one size whatever the context. ``source``: tokens of the prompt
    within the context, which the decoder of an encoder-decoder keeps for its cross attention.
    """
    pp, block = as_floats(pp), as_floats(block)
    whole, source = np.ceil(as_floats(context) / block) * block, as_floats(source)
    total, fixed = 0.0 * whole, 0.0
    for row in ops.attentions:
        if not row.kept:
            continue
        length = {"answer": np.ceil((as_floats(context) - source) / block) * block, "source": source}
        tokens = kept(length.get(row.over, whole), row.attention.window)
        total = total + row.count * kv_values_per_rank(row.attention, tp) * tokens * as_floats(bytes_kv)
        if row.attention.index_heads:
            total = total + row.count * index_bytes(row.attention) * tokens
    for row in ops.recurrences:
        fixed = fixed + row.count * state_bytes(row.recurrence, ops.model.hidden) / as_floats(tp)
    stage = 1.0 / pp if resident else np.ceil(ops.layers / pp) / ops.layers
    return (total + fixed) * stage


def activation_bytes(ops: Operators, tp: ArrayLike, step_tokens: ArrayLike, bytes_a: ArrayLike) -> Floats:
    """Largest live activations of a step: hidden-size buffers and the widest divided block, 16-bit or wider."""
    tp = as_floats(tp)
    widest = max((row.io_split for row in ops.gemms if row.on not in (OUTPUTS, IMAGES)), default=0)
    experts = max((row.top_k * (row.hidden + 2 * row.width) for row in ops.experts), default=0)
    per_token = ACTIVATION_COPIES * ops.model.hidden + max(widest, experts) / tp
    return as_floats(step_tokens) * per_token * np.maximum(as_floats(bytes_a), 2.0)
