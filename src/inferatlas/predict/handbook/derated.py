"""A roofline with stated efficiencies: equation (11), the form of section 14 B, and the usual ratios.

One expression per phase, for sweeps by hand and as a second opinion; attention is added to the weights'
term, not hidden behind it. Six TensorRT-LLM points on A100 come out with 10 % mean error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.handbook.roofline import Peaks, Shape


@dataclass(frozen=True, slots=True)
class Derating:
    """Efficiencies and overhead per step (section 14 B: 32 layers x 7 kernels x 6 µs)."""

    compute: float = 0.7
    memory: float = 0.8
    attention: float = 0.6  # of the compute efficiency, prefill attention only
    overhead_s: float = 32 * 7 * 6e-6


def decode_step(shape: Shape, peaks: Peaks, derating: Derating, batch: ArrayLike, context: ArrayLike) -> Floats:
    """Equation (11): ``max(2 B N_act/(P η_c), W/(M η_m)) + B S kv/(M η_m) + overhead``, seconds, 16 bit.

    >>> llama = Shape(32, 4096, 6476005376, 6476005376, 131072000, 262144, 524288, 524288)  # LLaMA-7B
    >>> round(float(decode_step(llama, Peaks(312e12, 2039e9, 80e9, 300e9), Derating(), 16, 3072)) * 1e3, 2)
    25.24
    """
    b, s = np.asarray(batch, dtype=np.float64), np.asarray(context, dtype=np.float64)
    bandwidth = np.asarray(peaks.bytes_per_s) * derating.memory
    compute = 2.0 * (shape.active + shape.head) * b / (np.asarray(peaks.flop_per_s) * derating.compute)
    weights = 2.0 * (shape.weights + shape.head) / bandwidth
    return np.maximum(compute, weights) + b * s * shape.kv_values * 2.0 / bandwidth + derating.overhead_s


def prefill_step(shape: Shape, peaks: Peaks, derating: Derating, batch: ArrayLike, tokens: ArrayLike) -> Floats:
    """Section 14 B: ``max((2 P B S + 2 P_e B)/(P η_c), W/(M η_m)) + 2 B S² L H d/(P η_c η_att) + overhead``, seconds.

    >>> llama = Shape(32, 4096, 6476005376, 6476005376, 131072000, 262144, 524288, 524288)
    >>> round(float(prefill_step(llama, Peaks(312e12, 2039e9, 80e9, 300e9), Derating(), 1, 128)) * 1e3, 2)
    9.48
    """
    b, s = np.asarray(batch, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    rate = np.asarray(peaks.flop_per_s) * derating.compute
    products = (2.0 * shape.active * b * s + 2.0 * shape.head * b) / rate
    weights = 2.0 * (shape.weights + shape.head) / (np.asarray(peaks.bytes_per_s) * derating.memory)
    scores = 0.5 * shape.prefill_pair_flops * b * s * s / (rate * derating.attention)
    return np.maximum(products, weights) + scores + derating.overhead_s


def static_throughput(batch: ArrayLike, output_tokens: ArrayLike, prefill_s: ArrayLike, decode_s: ArrayLike) -> Floats:
    """Output tokens per second of one static batch: ``B G / (prefill + G step)``.

    >>> float(static_throughput(8, 100, 0.5, 0.015))
    400.0
    """
    g = np.asarray(output_tokens, dtype=np.float64)
    return np.asarray(batch) * g / (np.asarray(prefill_s) + g * np.asarray(decode_s))


def critical_batch(
    peak_flop_per_s: ArrayLike, bytes_per_s: ArrayLike, weight_bytes: float = 2.0, sparsity: float = 1.0
) -> Floats:
    """Equation (11): the batch from which products are bound by compute, ``P b_w/(2 M_bw)``, times E/k with experts.

    >>> [round(float(b), 1) for b in critical_batch([312e12, 989e12, 1307e12], [2039e9, 3350e9, 5300e9])]
    [153.0, 295.2, 246.6]
    """
    return np.asarray(peak_flop_per_s, dtype=np.float64) * weight_bytes * sparsity / (2.0 * np.asarray(bytes_per_s))


def memory_bandwidth_utilisation(moved_bytes: ArrayLike, step_s: ArrayLike, bytes_per_s: ArrayLike) -> Floats:
    """MBU, equation (11): ``(W_bytes + KV bytes)/(T M_bw)``.

    >>> float(memory_bandwidth_utilisation(16e9, 0.01, 3.2e12))
    0.5
    """
    return np.asarray(moved_bytes, dtype=np.float64) / (np.asarray(step_s) * np.asarray(bytes_per_s))


def model_flops_utilisation(
    active_parameters: ArrayLike, tokens: ArrayLike, step_s: ArrayLike, peak_flop_per_s: ArrayLike
) -> Floats:
    """MFU, equation (11): ``2 N_act T/(T_step P)``.

    >>> float(model_flops_utilisation(8e9, 1000, 0.032, 1e15))
    0.5
    """
    work = 2.0 * np.asarray(active_parameters, dtype=np.float64) * np.asarray(tokens)
    return work / (np.asarray(step_s) * np.asarray(peak_flop_per_s))
