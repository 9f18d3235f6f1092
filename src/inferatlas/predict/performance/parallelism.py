"""Which parallelism a layer wants: tensor or expert parallelism (26); how busy a pipeline is (27)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import distinct_uniform, expected_maximum, imbalance_uniform
from inferatlas.predict.performance.collectives import Network, law_time, ring, switch_all_to_all


@dataclass(frozen=True, slots=True)
class ExpertLayer:
    """One mixture-of-experts layer: E experts of ``weights`` elements, k per token, hidden size D, bytes of each."""

    experts: int
    top_k: int
    weights: int
    hidden: int
    weight_bytes: float = 2.0
    activation_bytes: float = 2.0


@dataclass(frozen=True, slots=True)
class Machine:
    """n devices on a switch: bandwidth and peak of each, injection bandwidth ``link`` and latency ``alpha_s``; SI.

    ``network``: the laws of a real part's network, which then stand for ring and switch.
    """

    devices: int
    flop_per_s: float
    bytes_per_s: float
    link: float
    alpha_s: float
    network: Network | None = None

    def all_reduce(self, size: Floats) -> Floats:
        """Seconds to all-reduce ``size`` bytes: the network's law, or a ring (19)."""
        if self.network is None:
            return ring("all_reduce", self.devices, size, self.alpha_s, self.link)
        return law_time(self.network, "all_reduce", self.devices, size)

    def all_to_all(self, sent: Floats) -> Floats:
        """Seconds of an all-to-all in which each device distributes ``sent`` bytes, its own share included."""
        if self.network is None:
            return switch_all_to_all(self.devices, sent * (1.0 - 1.0 / self.devices), self.alpha_s, self.link)
        return law_time(self.network, "all_to_all", self.devices, sent)


def tensor_parallel_time(layer: ExpertLayer, machine: Machine, tokens: ArrayLike) -> Floats:
    """Equation (26): ``C_TP = AR(T D b_a) + E(U(T)) w_e/(n M_bw)`` in seconds, ring all-reduce.

    The reference prints the work ``2 T k g D F_e/(n P)`` with C_EP only; both need it, so that both count it here
    (C_EP times its imbalance) and like is compared with like.
    """
    t, n = np.asarray(tokens, dtype=np.float64), machine.devices
    touched = distinct_uniform(layer.experts, layer.top_k, t) * layer.weights * layer.weight_bytes
    reduce = machine.all_reduce(t * layer.hidden * layer.activation_bytes)
    work = 2.0 * t * layer.top_k * layer.weights / (n * machine.flop_per_s)
    return reduce + touched / (n * machine.bytes_per_s) + work


def expert_parallel_time(layer: ExpertLayer, machine: Machine, tokens: ArrayLike) -> Floats:
    """Equation (26): ``C_EP = 2 A2A(T k D b_a/n) + E(max_g U_g) w_e/M_bw + I 2 T k g D F_e/(n P)`` in seconds.

    Uniform routing. The busiest device touches ``μ + m_n σ`` of its E/n experts, each with probability
    ``1 - (1 - k/E)^T``; its load is the mean times I of equation (16).
    """
    t, n = np.asarray(tokens, dtype=np.float64), machine.devices
    sent = t * layer.top_k * layer.hidden * layer.activation_bytes / n
    exchange = 2.0 * machine.all_to_all(sent)
    held = layer.experts / n
    hit = distinct_uniform(layer.experts, layer.top_k, t) / layer.experts
    most = np.minimum(held * hit + expected_maximum(n) * np.sqrt(held * hit * (1.0 - hit)), held)
    uneven = imbalance_uniform(layer.experts, layer.top_k, np.maximum(t, 1e-9), n)
    work = uneven * 2.0 * t * layer.top_k * layer.weights / (n * machine.flop_per_s)
    return exchange + most * layer.weights * layer.weight_bytes / machine.bytes_per_s + work


def expert_parallel_from(layer: ExpertLayer, machine: Machine, most_tokens: int = 65536) -> int | None:
    """Fewest tokens per step from which expert parallelism stays cheaper up to ``most_tokens``; None if it never is."""
    t = np.unique(np.geomspace(1, most_tokens, 2000).round())
    cheaper = expert_parallel_time(layer, machine, t) < tensor_parallel_time(layer, machine, t)
    if not cheaper[-1]:
        return None
    dearer = np.flatnonzero(~cheaper)
    return int(t[0] if not dearer.size else t[dearer[-1] + 1])


def pipeline_bubble(stages: ArrayLike, micro_batches: ArrayLike) -> Floats:
    """Idle share of a pipelined prefill, equation (27): ``(p-1)/(m+p-1)``.

    >>> round(float(pipeline_bubble(4, 8)), 4)
    0.2727
    """
    p, m = np.asarray(stages, dtype=np.float64), np.asarray(micro_batches, dtype=np.float64)
    return (p - 1.0) / (m + p - 1.0)


def pipeline_utilisation(stages: ArrayLike, micro_batches: ArrayLike) -> Floats:
    """Share of stages at work in decode, equation (27): ``min(1, m/p)``.

    >>> [float(u) for u in pipeline_utilisation(4, [1, 4, 8])]
    [0.25, 1.0, 1.0]
    """
    return np.minimum(1.0, np.asarray(micro_batches, dtype=np.float64) / np.asarray(stages))
