"""The cache of a prompt on its way from the machine that computed it to the one that answers: equation (49)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats, as_floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping.memory import kv_bytes


@dataclass(frozen=True, slots=True)
class Transfer:
    """Seconds from the first byte sent to the last one there, those that no prefill hides, and how busy the link is.

    All are infinite where the requests send more than the link carries.
    """

    seconds: Floats
    exposed_s: Floats
    utilisation: Floats


def cache_bytes(ops: Operators, input_tokens: ArrayLike, bytes_kv: ArrayLike) -> Floats:
    """Bytes that one request sends: the cache of its prompt, ``S_in kv`` with kv from (4), and states of fixed size.

    One copy: shards that hold the same heads copy them inside their machine. ``bytes_kv`` of the decode side.

    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.llm.operators import operators
    >>> float(cache_bytes(operators(load_model("llama-3.3-70b")), 4096, 2.0)) / 2**20  # 80 layers, 8 heads of 128
    1280.0
    """
    tokens = as_floats(input_tokens)
    return kv_bytes(ops, 1.0, 1.0, tokens, bytes_kv, source=tokens)


def transfer(
    size: ArrayLike, rate: ArrayLike, lane: ArrayLike, total: ArrayLike, prompt_s: ArrayLike, layers: int,
    latency_s: ArrayLike = 0.0,
) -> Transfer:  # fmt: skip
    """Send caches of ``size`` bytes, ``rate`` per second, each layer as soon as it is computed (49).

    A transfer takes ``size/lane`` and waits for those before it as in M/D/1 (42), with ``rho = rate size/total``.
    What prefill does not hide is ``max(0, transfer - T_pre (L-1)/L)``.

    Parameters
    ----------
    lane : B/s of one transfer, the slower of two replicas' network ports. total : B/s of all transfers together.
    prompt_s : T_pre, seconds in which the prompt is computed. layers : L.

    Examples
    --------
    >>> sent = transfer(1e9, 4.0, 10e9, 10e9, 0.05, 10)  # 0.1 s, 0.4 of the link, 0.033 s of waiting
    >>> round(float(sent.seconds), 4), round(float(sent.exposed_s), 4)
    (0.1333, 0.0883)
    """
    size, rate, lane, total = (as_floats(x) for x in (size, rate, lane, total))
    utilisation = rate * size / total
    free = np.maximum(1.0 - utilisation, 0.0)
    with np.errstate(divide="ignore"):
        seconds = as_floats(latency_s) + size / lane * (1.0 + utilisation / (2.0 * free))
    exposed = np.maximum(seconds - hidden_s(prompt_s, layers), 0.0)
    return Transfer(seconds, exposed, utilisation)


def hidden_s(prompt_s: ArrayLike, layers: int) -> Floats:
    """Seconds of a transfer that prefill hides: ``T_pre (L-1)/L``."""
    return as_floats(prompt_s) * (layers - 1.0) / layers


def needed_bytes_per_s(
    size: ArrayLike, rate: ArrayLike, prompt_s: ArrayLike, layers: int, latency_s: ArrayLike = 0.0
) -> Floats:
    """The slowest link that all requests share and on which nothing of a transfer shows: `transfer` solved for it.

    With ``x = size/W``, ``x + rate x²/(2 (1 - rate x)) = T_pre (L-1)/L - latency``. It is above ``rate size``, so the
    pools are never bound by it. Infinite where a prompt hides nothing.

    Examples
    --------
    >>> link = needed_bytes_per_s(1e9, 4.0, 0.2, 10)
    >>> float(transfer(1e9, 4.0, link * 1.001, link * 1.001, 0.2, 10).exposed_s)
    0.0
    >>> bool(transfer(1e9, 4.0, link * 0.99, link * 0.99, 0.2, 10).exposed_s > 0)
    True
    """
    size, rate = as_floats(size), as_floats(rate)
    room = np.maximum(hidden_s(prompt_s, layers) - as_floats(latency_s), 0.0)
    a = rate * room
    # (1 + a - sqrt(1 + a²))/rate, without cancellation where the rate is small
    x = 2.0 * room / (1.0 + a + np.sqrt(1.0 + a * a))
    with np.errstate(divide="ignore"):
        return as_floats(size / x)
