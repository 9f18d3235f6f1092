"""Which unit each field of a fact sheet takes, so that watts never stand where bytes belong.

A field is a dotted name; the tables below match it by pattern, first match first. A field that matches no
pattern is unknown and refused: that is how a misspelt ``mem.hbm.bandwith`` is found.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

from inferatlas.quantities import unit_factor

TEXT = "text"

# pattern of the field -> SI units it may have ("1" is a pure number), TEXT where words are allowed
FIELD_UNITS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "accelerator": (
        ("vendor", (TEXT,)), ("architectural_class", (TEXT,)), ("process_node", (TEXT,)), ("year", ("1",)),
        ("supported_precisions", (TEXT,)), ("die_area", ("m2",)), ("transistors", ("1",)),
        ("peak_*.measured", ("FLOP/s", "1")), ("peak_*", ("FLOP/s",)),
        ("cores", ("1", TEXT)), ("cores_*", ("1",)), ("clock", ("Hz",)), ("clock_*", ("Hz",)),
        ("mem.external.memoryx", ("B", TEXT)), ("mem.*.kind", (TEXT,)), ("mem.*.stacks", ("1",)),
        ("mem.*.bandwidth", ("B/s",)), ("mem.*.capacity", ("B",)), ("mem.*.capacity.*", ("B",)),
        ("interconnect.scale_up.max_domain", ("1",)), ("chips_per_node", ("1",)),
        ("interconnect.scale_up", (TEXT, "B/s")), ("interconnect.scale_out", (TEXT, "B/s")),
        ("interconnect.chip_to_chip", (TEXT, "B/s")), ("interconnect.card_to_card", (TEXT, "B/s")),
        ("interconnect.*.per_direction", ("B/s",)), ("interconnect.*.bidirectional", ("B/s",)),
        ("interconnect.aggregate", ("B/s",)), ("interconnect.*_to_*", ("B/s",)),
        ("interconnect.on_chip_exchange", ("B/s",)), ("interconnect.on_wafer_fabric", ("B/s",)),
        ("host_link", (TEXT, "B/s")), ("host_link.per_direction", ("B/s",)), ("host_link.bidirectional", ("B/s",)),
        ("power.*", ("W",)),
        ("moe.routing_time", ("s",)), ("moe.grouped_efficiency", ("1",)),
        ("kv_engine.compression", ("1",)), ("kv_engine.bandwidth", ("B/s",)),
        ("execution.max_batch", ("1",)), ("execution.fixed_batch", (TEXT,)), ("execution.batch_buckets", (TEXT,)),
        ("execution.static_shapes", (TEXT,)),
        ("software.*", (TEXT,)),
        ("measured.*_bandwidth", ("B/s",)), ("measured.matmul_*", ("FLOP/s",)),
        ("measured.*tokens_per_s*", ("1/s",)), ("published.*tokens_per_s*", ("1/s",)),
    ),
    "model": (
        ("attention", (TEXT,)), ("attention.pattern", (TEXT,)), ("moe.experts", (TEXT,)), ("licence", (TEXT,)),
        ("shape.*", ("1", TEXT)), ("context.advertised", (TEXT,)), ("context.*", ("1",)),
        ("kv.values_per_token", ("1",)), ("kv.index_values_per_token", ("1",)), ("vision.form", (TEXT,)),
        ("state.form", (TEXT,)), ("state.values_per_sequence", ("1",)),
        ("parameters.*", ("1",)),
    ),
    "engine": (
        ("memory_fraction", ("1",)), ("memory_basis", (TEXT,)), ("memory_reserve", ("B",)),
        ("kv_block_tokens", ("1",)),
        ("max_batched_tokens", ("1",)), ("max_batched_tokens.*_device", ("1",)),
        ("max_sequences", ("1",)), ("max_sequences.*_device", ("1",)),
        ("small_device.memory_below", ("B",)), ("small_device.names", (TEXT,)), ("large_device.memory_from", ("B",)),
        ("no_kernel.*", (TEXT,)),
        ("strategy.tensor", (TEXT,)), ("strategy.pipeline", (TEXT,)), ("strategy.expert", (TEXT,)),
        ("strategy.data", (TEXT,)), ("strategy.context", (TEXT,)), ("strategy.offload", (TEXT,)),
    ),
}  # fmt: skip

# What a number of a field may be in SI, ends included; elsewhere anything finite from 0 on.
LIMITS: dict[str, tuple[float, float]] = {
    "kv_engine.compression": (1.0, 1e6), "kv_engine.bandwidth": (1.0, float("inf")),
    "moe.routing_time": (1e-12, 1.0), "moe.grouped_efficiency": (1e-3, 1.0),
    "chips_per_node": (1.0, 1e6), "interconnect.scale_up.max_domain": (1.0, 1e6), "power.tdp": (1e-3, 1e9),
    "interconnect.scale_up.per_direction": (1.0, float("inf")),
}  # fmt: skip

# Fields of which many values may stand side by side: each is one observation under its own condition.
OBSERVATIONS = ("measured.", "published.")

# Words that count things; the word stays in the file because it says what is counted.
COUNT_UNITS: dict[str, float] = dict.fromkeys(
    ("SMs", "CUs", "Xe-cores", "NeuronCore-v2", "NeuronCore-v3", "Tensix", "PEs", "tiles", "cores", "GPUs", "OAMs",
     "chips", "cards", "systems", "sockets", "IPUs", "ASICs", "wafers", "nodes", "stacks", "sequences"), 1.0
) | {"million": 1e6, "billion": 1e9, "trillion": 1e12}  # fmt: skip


def si_factor(unit: str) -> tuple[float, str] | None:
    """Factor to SI and SI unit of a unit as written, counted things included; None if it is unknown.

    Examples
    --------
    >>> si_factor("TB/s"), si_factor("SMs"), si_factor("furlong")
    ((1000000000000.0, 'B/s'), (1.0, '1'), None)
    """
    return (COUNT_UNITS[unit], "1") if unit in COUNT_UNITS else unit_factor(unit)


@lru_cache(maxsize=4096)
def units_of(field: str, kind: str = "accelerator") -> tuple[str, ...] | None:
    """SI units that ``field`` may have, with `TEXT` among them where words are allowed; None for an unknown field.

    Examples
    --------
    >>> units_of("mem.hbm.bandwidth"), units_of("interconnect.scale_up"), units_of("mem.hbm.bandwith")
    (('B/s',), ('text', 'B/s'), None)
    """
    return next((units for pattern, units in _compiled(kind) if pattern.match(field)), None)


@lru_cache(maxsize=8)
def _compiled(kind: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile(fnmatch.translate(pattern)), units) for pattern, units in FIELD_UNITS[kind])


def known_fields(kind: str = "accelerator") -> list[str]:
    """The patterns of `FIELD_UNITS`, for error messages."""
    return [pattern for pattern, _ in FIELD_UNITS[kind]]
