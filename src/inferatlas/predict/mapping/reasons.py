"""Why a design point cannot be: codes in arrays, words at the border."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

OK, WEIGHTS, KV_CACHE, HEADS, LAYERS, EXPERTS, INTERCONNECT, CONTEXT, RATE, RESIDENT, OFFLOAD, UNDIVIDED, TIERS = range(
    13
)

CODES = {
    OK: "ok",
    WEIGHTS: "memory",
    KV_CACHE: "kv_cache",
    HEADS: "tp_does_not_divide",
    LAYERS: "too_many_stages",
    EXPERTS: "ep_does_not_divide",
    INTERCONNECT: "interconnect_unknown",
    CONTEXT: "context_length",
    RATE: "rate_beyond_capacity",
    RESIDENT: "resident_layout",
    OFFLOAD: "no_slower_memory",
    UNDIVIDED: "context_undivided",
    TIERS: "tiers_full",
}
DETAILS = {
    WEIGHTS: "weights, activations and runtime reserve exceed the memory of a device",
    KV_CACHE: "weights fit, but the KV cache of a single sequence of this length does not",
    HEADS: "tensor parallelism must divide the query heads and the feed-forward width, and divide or be divided by "
    "the KV heads",
    LAYERS: "more pipeline stages than layers",
    EXPERTS: "expert parallelism must divide the experts and the ranks of the layout",
    INTERCONNECT: "the group leaves the scale-up domain and no scale-out bandwidth is known",
    CONTEXT: "input and output tokens exceed the model's context length",
    RATE: "the request rate exceeds what can be served",
    RESIDENT: "models resident in on-chip memory run as a pipeline over chips: tp, ep and cp must be 1",
    OFFLOAD: "weights cannot wait in slower memory: no rate of a second memory or of a link to the host is known",
    UNDIVIDED: "recurrent layers and encoders pass over the whole of a prompt: its context is not cut into shards",
    TIERS: "what waits in slower memory exceeds the capacity of its tiers",
}  # fmt: skip
# The inputs behind a reason, by its word; of several the largest number is at fault. The last three are not reasons of
# a layout: no format, no engine, a target that is missed.
FIELDS = {
    "memory": ("count",),
    "kv_cache": ("count",),
    "tp_does_not_divide": ("tp",),
    "too_many_stages": ("pp",),
    "ep_does_not_divide": ("ep",),
    "interconnect_unknown": ("tp", "ep", "cp"),
    "context_length": ("isl",),
    "rate_beyond_capacity": ("request_rate",),
    "resident_layout": ("tp", "ep", "cp"),
    "no_slower_memory": ("offload",),
    "context_undivided": ("cp",),
    "tiers_full": ("tier",),
    "precision": ("weights",),
    "engine": ("engine",),
    "target": ("slo",),
}
IN_LAYOUT = {  # the same of a layout that was named
    WEIGHTS: f"{DETAILS[WEIGHTS]} in this layout",
    RATE: "the request rate exceeds what this layout can serve",
}

MEMORY = (WEIGHTS, KV_CACHE)  # what more accelerators, or other stages, may hold
NEAREST = (RATE, KV_CACHE, WEIGHTS)  # to success: memory was enough, nearly enough, not enough


def nearest(codes: NDArray[np.integer]) -> int:
    """Why nothing serves, of the codes of all that was tried: that of what came closest, else the commonest one.

    >>> CODES[nearest(np.array([WEIGHTS, LAYERS, LAYERS, KV_CACHE]))], CODES[nearest(np.array([LAYERS, HEADS, HEADS]))]
    ('kv_cache', 'tp_does_not_divide')
    """
    counts = np.bincount(codes, minlength=len(CODES))
    counts[OK] = 0
    return next((code for code in NEAREST if counts[code]), int(counts.argmax()))


def field_of(code: str, given: Mapping[str, float | None] | None = None) -> str | None:
    """The input at fault for a reason; ``given``: numbers of the layout, None where left open: then it is the count.

    Without the numbers it is the first of several; None for a word that is no reason.

    >>> field_of("too_many_stages", {"tp": 1, "pp": 99}), field_of("interconnect_unknown", {"tp": 2, "ep": 64})
    ('pp', 'ep')
    >>> field_of("too_many_stages", {"tp": 1, "pp": None}), field_of("rate_beyond_capacity")
    ('count', 'request_rate')
    """
    if code not in FIELDS:
        return None
    numbers = given or {}
    field = max(FIELDS[code], key=lambda name: numbers.get(name) or 0)
    return "count" if numbers.get(field, 1) is None else field
