"""Blocks with a state of fixed size (Mamba, RWKV): their projections, their small tensors and what a sequence keeps.

In: a `Recurrence` and the hidden size. Out: exact counts of weights and of state values (integers, per layer), equation
(4) of the performance model. A product with a projection costs 2 FLOP per weight and token, as any other, equation (3).

Sources: Mamba (arXiv:2312.00752), Mamba-2 (arXiv:2405.21060), Jamba (arXiv:2403.19887), RWKV-6 (arXiv:2404.05892),
RWKV-7 (arXiv:2503.14456). The counts equal those of the checkpoints (`tests/predict/llm/test_parameters.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.model import Recurrence


@dataclass(frozen=True, slots=True)
class Projection:
    """A product of a recurrent block, or a pair of thin ones. Counts are over all ranks, for one layer.

    ``divided`` weights are divided over tensor-parallel ranks. ``grouped`` ones make B and C of Mamba-2: they are
    divided as far as there are groups, and a rank holds those of one group at least. ``replicated`` ones every rank
    holds. ``reads`` and ``writes`` are activation elements per token, in and out.
    """

    name: str
    divided: int
    grouped: int
    replicated: int
    reads: int
    writes: int

    @property
    def weights(self) -> int:
        return self.divided + self.grouped + self.replicated


@dataclass(frozen=True, slots=True)
class State:
    """Values that one layer keeps per sequence, over all ranks, however long the sequence is."""

    matrix: int  # heads x key x value; divided over ranks by heads
    convolution: int  # past inputs of the short convolution; divided by channels, B and C by groups
    shift: int  # RWKV: the previous token, once for this block and once for the feed-forward one; on every rank

    @property
    def total(self) -> int:
        return self.matrix + self.convolution + self.shift


def projections(r: Recurrence, hidden: int) -> tuple[Projection, ...]:
    """The products of one block with the weights of each, without biases.

    Mamba-1: in D x 2 D_in, x D_in x (rank + 2 N), dt rank x D_in, out D_in x D. Mamba-2: in D x (2 D_in + heads) and
    D x 2 G N for B and C, out. RWKV-6: receptance, key, value and gate, D x D each, out, and two pairs of thin matrices
    (token mixing, decay). RWKV-7: receptance, key, value, out, and up to four pairs (decay, rate, value, gate).

    Examples
    --------
    >>> falcon = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256)
    >>> [(p.name, p.divided, p.replicated) for p in projections(falcon, 4096)]
    [('in', 67108864, 0), ('x', 2359296, 0), ('dt', 2097152, 0), ('out', 33554432, 0)]
    """
    if r.form == "mamba1":
        return _mamba1(r, hidden)
    if r.form == "mamba2":
        return _mamba2(r, hidden)
    return _rwkv6(r, hidden) if r.form == "rwkv6" else _rwkv7(r, hidden)


def small_parameters(r: Recurrence, hidden: int) -> int:
    """Weights of one block outside its products: convolution, A, D, biases, norms, mixing and decay vectors.

    RWKV: with the mixing vectors of the feed-forward block, which shifts tokens as this block does.

    Examples
    --------
    >>> small_parameters(Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256), 4096)
    188416
    """
    if r.form == "mamba1":
        bias = 2 * r.inner + hidden if r.bias else 0
        norms = r.rank + 2 * r.key if r.inner_norms else 0
        return _convolution(r) + r.inner * (r.key + 2) + bias + norms  # A; D and the bias of dt
    if r.form == "mamba2":
        into = 2 * r.inner + 2 * r.groups * r.key + r.heads
        bias = into + hidden if r.bias else 0
        return _convolution(r) + 3 * r.heads + r.inner + bias  # A, D, bias of dt; gated norm
    if r.form == "rwkv6":
        # 6 mixing vectors, decay, bonus u, group norm with bias; 2 mixing vectors of the other block
        return 12 * hidden
    # 6 mixing vectors, offsets of decay and rate, k_k, k_a, r_k, group norm with bias; 1 of the other block
    return (14 + bool(r.value_rank)) * hidden  # the offset of the value adapter comes and goes with it


def recurrence_parameters(r: Recurrence, hidden: int) -> int:
    """All weights of one block: `projections` and `small_parameters`.

    Examples
    --------
    >>> recurrence_parameters(Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256), 4096)
    105308160
    """
    return sum(p.weights for p in projections(r, hidden)) + small_parameters(r, hidden)


def state(r: Recurrence, hidden: int) -> State:
    """What one layer keeps per sequence, in parts, equation (4).

    The convolution needs the last ``conv - 1`` inputs. Hugging Face transformers keeps ``conv`` of them: there the
    state of a layer is larger by `conv_channels`.

    Examples
    --------
    >>> state(Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256), 4096)
    State(matrix=131072, convolution=24576, shift=0)
    """
    matrix = r.heads * r.key * r.value
    if r.form in ("rwkv6", "rwkv7"):
        return State(matrix, 0, 2 * hidden)
    return State(matrix, max(r.conv - 1, 0) * conv_channels(r), 0)


def state_values(r: Recurrence, hidden: int) -> int:
    """Values that one layer keeps per sequence, equation (4).

    Examples
    --------
    >>> state_values(Recurrence("rwkv6", heads=64, key=64, value=64), 4096)
    270336
    """
    return state(r, hidden).total


def state_bytes(r: Recurrence, hidden: int) -> float:
    """Bytes that one layer keeps per sequence over all ranks: Mamba in 16 bit as vLLM does by default, RWKV's in 32.

    Examples
    --------
    >>> state_bytes(Recurrence("rwkv6", heads=64, key=64, value=64), 4096)
    1064960.0
    """
    kept = state(r, hidden)
    wide = 4.0 if r.form in ("rwkv6", "rwkv7") else 2.0
    return wide * kept.matrix + 2.0 * (kept.convolution + kept.shift)


def conv_channels(r: Recurrence) -> int:
    """Channels of the short convolution: D_in, of Mamba-2 with B and C; 0 without one.

    Examples
    --------
    >>> conv_channels(Recurrence("mamba2", heads=80, key=128, value=64, conv=4))
    5376
    """
    if not r.conv:
        return 0
    return r.inner + (2 * r.groups * r.key if r.form == "mamba2" else 0)


def _convolution(r: Recurrence) -> int:
    return conv_channels(r) * (r.conv + r.conv_bias)


def _divided(name: str, into: int, out: int) -> Projection:
    return Projection(name, into * out, 0, 0, into, out)


def _adapters(name: str, hidden: int, rank: int, times: int = 1) -> Projection:
    """``times`` pairs of thin matrices, hidden x rank and back; too small to divide."""
    return Projection(name, 0, 0, 2 * times * hidden * rank, hidden + times * rank, times * (rank + hidden))


def _mamba1(r: Recurrence, hidden: int) -> tuple[Projection, ...]:
    return (
        _divided("in", hidden, 2 * r.inner), _divided("x", r.inner, r.rank + 2 * r.key),
        _divided("dt", r.rank, r.inner), _divided("out", r.inner, hidden),
    )  # fmt: skip


def _mamba2(r: Recurrence, hidden: int) -> tuple[Projection, ...]:
    own, shared = 2 * r.inner + r.heads, 2 * r.groups * r.key
    return (
        Projection("in", hidden * own, hidden * shared, 0, hidden, own + shared),
        _divided("out", r.inner, hidden),
    )


def _rwkv6(r: Recurrence, hidden: int) -> tuple[Projection, ...]:
    # each of receptance, key, value and gate has its own mixture of the token and the one before as input
    return (
        _adapters("mix", hidden, r.mix_rank, times=5), _adapters("decay", hidden, r.decay_rank),
        Projection("in", 4 * hidden * r.inner, 0, 0, 4 * hidden, 4 * r.inner), _divided("out", r.inner, hidden),
    )  # fmt: skip


def _rwkv7(r: Recurrence, hidden: int) -> tuple[Projection, ...]:
    ranks = {"decay": r.decay_rank, "rate": r.rate_rank, "value": r.value_rank, "gate": r.gate_rank}
    return (
        *(_adapters(name, hidden, rank) for name, rank in ranks.items() if rank),
        Projection("in", 3 * hidden * r.inner, 0, 0, 3 * hidden, 3 * r.inner), _divided("out", r.inner, hidden),
    )  # fmt: skip
