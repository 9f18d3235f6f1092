"""The validated closed form of dense tensor-parallel decode, equation (10) and section 14 A.

Two constants of an engine (seconds per layer, seconds per sequence) and a measured all-reduce explain 21
measured runs at another load to 1.2 %. It is evidence for the form of `step.run`, which charges kernels instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats


@dataclass(frozen=True, slots=True)
class DenseDecode:
    """What the closed form needs, SI.

    ``weight_bytes`` streamed per step by all devices together, ``kv_bytes`` per cached token over all layers,
    ``bytes_per_s`` memory bandwidth of one device, ``layer_s`` (h_layer) and ``sequence_s`` (h_seq) the engine's
    constants. The latency of an all-reduce depends on the group and is passed beside.
    """

    weight_bytes: float
    kv_bytes: float
    layers: int
    bytes_per_s: float
    memory_efficiency: float = 0.8
    layer_s: float = 59.1e-6
    sequence_s: float = 0.371e-3


def fixed_time(form: DenseDecode, devices: ArrayLike, all_reduce_s: ArrayLike) -> Floats:
    """``c0 = W_bytes/(n M_bw η_m) + 2 L α_AR(n) + L h_layer``: a step without sequences, in seconds."""
    n = np.asarray(devices, dtype=np.float64)
    streaming = form.weight_bytes / (n * form.bytes_per_s * form.memory_efficiency)
    return streaming + 2.0 * form.layers * np.asarray(all_reduce_s) + form.layers * form.layer_s


def sequence_time(form: DenseDecode, devices: ArrayLike, context: ArrayLike) -> Floats:
    """``per = S kv/(n M_bw η_m) + h_seq``: what one more sequence of S cached tokens adds, in seconds."""
    n = np.asarray(devices, dtype=np.float64)
    return np.asarray(context) * form.kv_bytes / (n * form.bytes_per_s * form.memory_efficiency) + form.sequence_s


def decode_step(
    form: DenseDecode, devices: ArrayLike, all_reduce_s: ArrayLike, batch: ArrayLike, context: ArrayLike
) -> Floats:
    """Equation (10): ``c0 + b per``, seconds of a step of b sequences.

    Three measured points are 32.59, 20.14 and 14.13 ms (vLLM, H100, Llama-3.1-70B, TP 2/4/8):

    >>> form = DenseDecode(139.0e9, 327680, 80, 3.35e12, layer_s=60e-6, sequence_s=0.0)
    >>> [round(float(t) * 1e3, 2) for t in decode_step(form, [2, 4, 8], [8.4e-6, 11.8e-6, 17.5e-6], 2, 400)]
    [32.13, 19.68, 14.1]
    """
    return fixed_time(form, devices, all_reduce_s) + np.asarray(batch) * sequence_time(form, devices, context)


def loaded_step(
    form: DenseDecode, devices: ArrayLike, all_reduce_s: ArrayLike, context: ArrayLike, rate: ArrayLike,
    output_tokens: ArrayLike,
) -> Floats:  # fmt: skip
    """Section 14 A: the step under Poisson load, ``T = c0/(1 - λ G per)``, with b = λ G T by Little's law.

    Parameters
    ----------
    rate : requests per second and replica; ``output_tokens`` G of each.

    Returns
    -------
    Seconds; infinite where sequences arrive faster than steps can serve them (λ G per of 1 or more).

    Examples
    --------
    >>> form = DenseDecode(139.0e9, 327680, 80, 3.35e12)
    >>> round(float(loaded_step(form, 8, 17.5e-6, 877.5, 0.2454, 1138.2)) * 1e3, 2)
    15.7
    """
    fixed = fixed_time(form, devices, all_reduce_s)
    load = np.asarray(rate) * np.asarray(output_tokens) * sequence_time(form, devices, context)
    with np.errstate(divide="ignore"):
        return np.where(load < 1.0, fixed / np.maximum(1.0 - load, 0.0), np.inf)


def running(step_s: ArrayLike, rate: ArrayLike, output_tokens: ArrayLike) -> Floats:
    """Sequences in a step by Little's law: ``b = λ G T``.

    >>> round(float(running(15.7e-3, 0.2454, 1138.2)), 2)
    4.39
    """
    return np.asarray(rate, dtype=np.float64) * np.asarray(output_tokens) * np.asarray(step_s)
