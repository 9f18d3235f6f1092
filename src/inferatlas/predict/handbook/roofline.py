"""The deliberately plain roofline of section 16: the public baseline that stands beside predictions.

Efficiency 1, ideal overlap of compute and memory, ring all-reduces, no overhead, one format for all
weights. Everybody who knows the numbers of a data sheet gets these values; a model is worth what it adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import NotModelled
from inferatlas.predict.arrays import Floats
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.attention import flops_per_pair, kv_values
from inferatlas.predict.llm.parameters import attention_parameters, expert_parameters, ffn_parameters

RING_STEP_S = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """What the plain roofline sees of a model; counts over all layers.

    ``weights`` of the layers and those of them that one token uses (``active``; the same unless there are
    experts), ``head`` = V*D, ``kv_values`` per token, ``pair_flops`` = 4*L*H*d per query-key pair
    (``prefill_pair_flops`` differs only for MLA, which decodes in absorbed form).
    """

    layers: int
    hidden: int
    weights: float
    active: float
    head: float
    kv_values: float
    pair_flops: float
    prefill_pair_flops: float

    @staticmethod
    def of(model: ModelConfig) -> Shape:
        """Read the shape of a decoder. Windows of attention are ignored: that is what plain means.

        Raises
        ------
        NotModelled : the model has recurrent layers or an encoder, or it embeds and decodes nothing.
        """
        if model.encoder or model.embeds or any(g.recurrence for g in model.layers):
            raise NotModelled(f"{model.id}: the plain roofline knows attention of decoders only", field="model")
        attention = [(g.count, g.attention) for g in model.layers if g.attention is not None]
        ffn = [(g.count, g.ffn) for g in model.layers if g.ffn is not None]
        weights = sum(n * attention_parameters(a, model.hidden) for n, a in attention)
        weights += sum(n * ffn_parameters(f, model.hidden) for n, f in ffn)
        idle = sum(n * (f.experts - f.top_k) * expert_parameters(f, model.hidden) for n, f in ffn if f.is_moe)
        return Shape(
            layers=model.layer_count,
            hidden=model.hidden,
            weights=weights,
            active=weights - idle,
            head=model.vocab * model.hidden,
            kv_values=sum(n * kv_values(a) for n, a in attention),
            pair_flops=sum(n * flops_per_pair(a, decode=True) for n, a in attention),
            prefill_pair_flops=sum(n * flops_per_pair(a, decode=False) for n, a in attention),
        )


@dataclass(frozen=True, slots=True)
class Peaks:
    """Data-sheet numbers of one device, SI; fields may be arrays. ``link`` is one direction, byte/s."""

    flop_per_s: ArrayLike
    bytes_per_s: ArrayLike
    capacity: ArrayLike
    link: ArrayLike

    @staticmethod
    def of(device: Device, rate: str = "bf16") -> Peaks:
        """Peaks of a catalogue device at one of its native rates (KeyError if it has no such rate).

        An unpublished link is NaN: the answer is then NaN for groups of more than one device.
        """
        link = np.nan if device.link_bytes_per_s is None else device.link_bytes_per_s
        bandwidth = np.nan if device.memory.bytes_per_s is None else device.memory.bytes_per_s
        return Peaks(device.peaks[rate], bandwidth, device.memory.bytes, link)


def ring_all_reduce(devices: ArrayLike, size: ArrayLike, link: ArrayLike, step_s: float = RING_STEP_S) -> Floats:
    """``2(n-1) α + 2(n-1)/n V/W`` in seconds, 0 for one device (section 16; equation (19)).

    >>> [round(float(t) * 1e6, 2) for t in ring_all_reduce([1, 8], 16 * 2**20, 450e9)]
    [0.0, 79.24]
    """
    n = np.asarray(devices, dtype=np.float64)
    time = 2.0 * (n - 1.0) * step_s + 2.0 * (n - 1.0) / n * np.asarray(size) / np.asarray(link)
    return np.where(n > 1, time, 0.0)


def decode_step(
    shape: Shape, peaks: Peaks, batch: ArrayLike, context: ArrayLike, devices: ArrayLike = 1, *,
    weight_bytes: float = 2.0, kv_bytes: float = 2.0,
) -> Floats:  # fmt: skip
    """Seconds of one decode step of ``batch`` sequences with ``context`` cached tokens each.

    ``max((2(P+P_e)B + 4 B S L H d)/(n peak), (b_w(P+P_e) + B S kv)/(n M_bw)) + 2L ar(2 B D)``. Of routed
    experts a step reads ``min(all, B times those of a token)``: an upper bound of equation (13).

    >>> llama = Shape(32, 4096, 6979321856, 6979321856, 525336576, 65536, 524288, 524288)  # Llama-3.1-8B
    >>> a100 = Peaks(312e12, 2039e9, 80e9, 300e9)
    >>> [round(float(t) * 1e3, 4) for t in decode_step(llama, a100, [1, 32, 128], 1024)]
    [7.4269, 9.4675, 15.7868]
    """
    b, s, n = (np.asarray(x, dtype=np.float64) for x in (batch, context, devices))
    flop = 2.0 * (shape.active + shape.head) * b + shape.pair_flops * b * s
    moved = _weights_read(shape, b) * weight_bytes + b * s * shape.kv_values * kv_bytes
    reduces = 2 * shape.layers * ring_all_reduce(n, 2.0 * b * shape.hidden, peaks.link)
    return _slower(peaks, n, flop, moved) + reduces


def prefill_step(
    shape: Shape, peaks: Peaks, batch: ArrayLike, tokens: ArrayLike, devices: ArrayLike = 1, *,
    weight_bytes: float = 2.0, kv_bytes: float = 2.0,
) -> Floats:  # fmt: skip
    """Seconds of the prefill of ``batch`` prompts of ``tokens`` tokens, causal.

    ``max((2 P B S + 2 P_e B + 2 B S² L H d)/(n peak), (b_w(P+P_e) + B S kv)/(n M_bw)) + 2L ar(2 B S D)``.

    >>> llama = Shape(32, 4096, 6979321856, 6979321856, 525336576, 65536, 524288, 524288)
    >>> round(float(prefill_step(llama, Peaks(312e12, 2039e9, 80e9, 300e9), 1, 1024)) * 1e3, 4)
    46.6974
    """
    b, s, n = (np.asarray(x, dtype=np.float64) for x in (batch, tokens, devices))
    flop = 2.0 * shape.active * b * s + 2.0 * shape.head * b + 0.5 * shape.prefill_pair_flops * b * s * s
    moved = _weights_read(shape, b * s) * weight_bytes + b * s * shape.kv_values * kv_bytes
    reduces = 2 * shape.layers * ring_all_reduce(n, 2.0 * b * s * shape.hidden, peaks.link)
    return _slower(peaks, n, flop, moved) + reduces


def fits(
    shape: Shape, peaks: Peaks, batch: ArrayLike, context: ArrayLike, devices: ArrayLike = 1, *,
    weight_bytes: float = 2.0, kv_bytes: float = 2.0,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether weights with both tables and the cache fit: ``(b_w(P+2P_e) + B S kv)/n <= capacity``."""
    b, s, n = (np.asarray(x, dtype=np.float64) for x in (batch, context, devices))
    held = (shape.weights + 2.0 * shape.head) * weight_bytes + b * s * shape.kv_values * kv_bytes
    return held / n <= np.asarray(peaks.capacity)


def _weights_read(shape: Shape, tokens: Floats) -> Floats:
    return np.minimum(shape.weights, shape.active * np.maximum(tokens, 1.0)) + shape.head


def _slower(peaks: Peaks, n: Floats, flop: Floats, moved: Floats) -> Floats:
    return np.maximum(flop / (n * np.asarray(peaks.flop_per_s)), moved / (n * np.asarray(peaks.bytes_per_s)))
