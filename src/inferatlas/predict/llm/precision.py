"""Number formats: bytes per element including scales, and which rate multiplies them.

``b_w``, ``b_a`` and ``b_kv`` of the performance model (section 1). Weights, activations and KV cache
have separate formats. The compute format is the widest of weight and activation formats that the part
multiplies natively: W4A16 computes at the 16-bit peak, so it never speeds up a compute-bound prefill.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Format:
    """``bytes`` per element with scales; ``bits`` of the element alone; ``rate`` names the peak_* fact."""

    name: str
    bytes: float
    bits: float
    rate: str
    note: str


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("fp32", 4.0, 32, "fp32", "IEEE single"),
        Format("bf16", 2.0, 16, "bf16", "bfloat16"),
        Format("fp16", 2.0, 16, "fp16", "IEEE half"),
        Format("fp8", 1.0, 8, "fp8", "e4m3 with per-tensor or 128x128 block scales (below 0.01 byte)"),
        Format("int8", 1.0, 8, "int8", "per-channel scales (below 0.01 byte)"),
        Format("blockfp8", 1.0625, 8, "blockfp8", "8-bit mantissa blocks of 16 with a shared 8-bit exponent"),
        Format("mxfp6", 0.78125, 6, "fp6", "OCP MX: blocks of 32 with an 8-bit scale: 0.75 + 1/32"),
        Format("nvfp4", 0.5625, 4, "fp4", "blocks of 16 with an 8-bit scale: 0.5 + 1/16"),
        Format("mxfp4", 0.53125, 4, "fp4", "OCP MX: blocks of 32 with an 8-bit scale: 0.5 + 1/32"),
        Format("int4", 0.515625, 4, "int4", "groups of 128 with a 16-bit scale: 0.5 + 2/128"),
    )
}
SIXTEEN_BIT = ("bf16", "fp16")
KV_FORMATS = ("bf16", "fp16", "fp8", "int8", "blockfp8")


@dataclass(frozen=True, slots=True)
class Precision:
    """The formats of one deployment: weights, activations and KV cache."""

    weights: str
    activations: str
    kv_cache: str

    def __post_init__(self) -> None:
        for field in ("weights", "activations", "kv_cache"):
            object.__setattr__(self, field, format_named(getattr(self, field), field))

    def text(self) -> str:
        """Short name, ``bf16`` or ``int4 (activations fp16, KV fp8)``."""
        extra = [f"activations {self.activations}"] if self.activations != self.weights else []
        extra += [f"KV {self.kv_cache}"] if self.kv_cache not in (self.weights, self.activations) else []
        return self.weights + (f" ({', '.join(extra)})" if extra else "")


def format_named(name: str, field: str = "weights") -> str:
    """A format's name as it is written here, whatever the case in which it was given.

    Raises
    ------
    UnknownName : ``field`` (weights, activations, kv_cache) takes no such format; near names are offered.

    >>> format_named("FP8")
    'fp8'
    """
    known = KV_FORMATS if field == "kv_cache" else tuple(FORMATS)
    if name.lower() not in known:
        raise UnknownName("format", name, known, field=field, allowed=", ".join(known))
    return name.lower()


def sixteen_bit(peaks: dict[str, float]) -> str | None:
    """The 16-bit format that a part multiplies: bf16 before fp16, None if neither rate is known."""
    return next((name for name in SIXTEEN_BIT if name in peaks), None)


def default_activations(weights: str, peaks: dict[str, float]) -> str:
    """The activation format that engines use with a weight format on a part with these native rates.

    8-bit and 4-bit activations need a native rate; without it the weights are expanded and the
    products are 16-bit (weight-only quantisation). MXFP4 experts are multiplied with 8-bit activations
    on parts with a native 4-bit rate and with 16-bit ones elsewhere; INT4 is weight-only.

    >>> default_activations("fp8", {"bf16": 1.0}), default_activations("fp8", {"bf16": 1.0, "fp8": 2.0})
    ('bf16', 'fp8')
    """
    wide = weights if weights in SIXTEEN_BIT else sixteen_bit(peaks) or "bf16"
    if weights in ("fp8", "int8", "blockfp8", "mxfp6", "nvfp4") and FORMATS[weights].rate in peaks:
        return weights
    if weights == "mxfp4" and {"fp4", "fp8"} <= peaks.keys():
        return "fp8"
    return wide


def compute_format(precision: Precision, peaks: dict[str, float]) -> tuple[str | None, str | None]:
    """The format in which products are formed and, if it is not the one asked for, why.

    Returns ``(format, note)``; ``format`` is None where the part cannot multiply the activations at
    all. Rates are never scaled from another width: a missing bf16 rate is answered by fp16 (same
    width) and says so, a missing fp8 rate is not answered by half of anything.
    """
    wide = max((precision.weights, precision.activations), key=lambda name: FORMATS[name].bits)
    if FORMATS[wide].rate in peaks:
        return wide, None
    if wide in SIXTEEN_BIT:
        other = sixteen_bit(peaks)
        return other, f"no {wide} rate is published for this part: its {other} rate is used" if other else None
    return None, None
