"""Two pools and the link between them: what users see at a rate, and the best division of a count into pools."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.disaggregation.rates import FINE, Settings, UnitRates, largest, unit_tops
from inferatlas.decide.disaggregation.sides import Index, Side
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.kv_transfer import Transfer, cache_bytes, transfer
from inferatlas.predict.performance.pools import DecodePool, PrefillPool, decode_pool, prefill_pool
from inferatlas.predict.performance.serving import SATURATED

TRIED = 5  # best units of each pool that are tried with one another
KEPT = 24
UNITS = 3


@dataclass(frozen=True)
class Pair:
    """Both sides; ``link`` B/s of all transfers together (None: the network ports of the pools), ``first_token``:
    which side sends the first token to the user.
    """

    ops: Operators
    prefill: Side
    decode: Side
    link: float | None
    first_token: str

    @property
    def same(self) -> bool:
        """One part on both sides, driven alike."""
        a, b = self.prefill.platform, self.decode.platform
        return (a.device.id, a.engine.name, a.precision) == (b.device.id, b.engine.name, b.precision)


@dataclass(frozen=True)
class Splits:
    """Divisions as arrays: setting, unit and copies of it on each side, rows of the tables, factor on the link."""

    s: Index
    prefill_unit: Index
    prefill_copies: Index
    decode_unit: Index
    decode_copies: Index
    prefill_row: Index
    decode_row: Index
    link_factor: Floats

    def __len__(self) -> int:
        return len(self.s)

    def __getitem__(self, index: Index) -> Splits:
        return Splits(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True)
class Operation:
    """What users and operators see of splits at a rate; arrays, means over requests."""

    ttft_s: Floats
    ttft_cv: Floats
    itl_s: Floats
    itl_cv: Floats
    latency_s: Floats
    latency_cv: Floats
    sent: Transfer
    size: Floats
    lane: Floats
    total: Floats
    prefill: PrefillPool
    decode: DecodePool
    ok: NDArray[np.bool_]


def operate(pair: Pair, asked: Settings, it: Splits, rate: Floats, slack: float = 1.0) -> Operation:
    """Serve a rate by splits. Blocks of the decode side are taken from the start of a prompt: layers arrive with it."""
    isl, osl, ops = asked.isl[it.s], asked.osl[it.s], pair.ops
    one = pair.prefill.points(it.prefill_unit, it.prefill_row, rate / it.prefill_copies, isl, osl, asked.cv)
    two = pair.decode.points(it.decode_unit, it.decode_row, rate / it.decode_copies, isl, osl, asked.cv)
    first = prefill_pool(ops, pair.prefill.table, one)
    size = cache_bytes(ops, isl, pair.decode.table.bytes_kv.take(it.decode_row))
    lane, total = _link(pair, it)
    latency = pair.prefill.platform.network.scale_out_s
    sent = transfer(size, rate, lane, total, first.prompt_s, ops.layers, latency)
    exposed = np.minimum(sent.exposed_s, 1e9)  # a link that is too slow has no end; the check below refuses it
    then = decode_pool(ops, pair.decode.table, two, first.prompt_s + exposed)
    gaps = np.maximum(osl - 1.0, 1.0)
    between = exposed + then.wait_s
    latency_s = first.ttft_s + between + gaps * then.itl_s
    ttft_s = first.ttft_s + (between if pair.first_token == "decode" else 0.0)
    itl_s = (latency_s - ttft_s) / gaps
    share = ttft_s / latency_s
    ttft_cv = first.ttft_cv * first.ttft_s / ttft_s
    itl_cv = then.itl_cv * then.itl_s / itl_s
    latency_cv = np.sqrt((share * ttft_cv) ** 2 + ((1.0 - share) ** 2) * (itl_cv**2 + asked.cv[1] ** 2))
    ok = (first.reason == 0) & (then.reason == 0) & (sent.utilisation < SATURATED)
    ok &= asked.met(
        it.s, slack, ttft=(ttft_s, ttft_cv), itl=(itl_s, itl_cv), latency=(latency_s, latency_cv)
    )  # fmt: skip
    return Operation(
        ttft_s, ttft_cv, itl_s, itl_cv, latency_s, latency_cv, sent, size, lane, total, first, then, ok
    )  # fmt: skip


def _link(pair: Pair, it: Splits) -> tuple[Floats, Floats]:
    """B/s of one transfer and of all together: the slower side's network ports, or the link that was given."""
    if pair.link is not None:
        rate = pair.link * it.link_factor
        return rate, rate
    ends = (
        (pair.prefill, it.prefill_unit, it.prefill_copies), (pair.decode, it.decode_unit, it.decode_copies)
    )  # fmt: skip
    lanes = [side.port_bytes_per_s * side.units.replica[u] for side, u, _ in ends]
    totals = [side.port_bytes_per_s * side.units.size[u] * copies for side, u, copies in ends]
    return np.minimum(*lanes) * it.link_factor, np.minimum(*totals) * it.link_factor


def best_rates(
    pair: Pair, asked: Settings, it: Splits, top: Floats, slack: float = 1.0, tolerance: float = FINE
) -> Floats:
    """The largest rate at which each split keeps every target; ``top``: what its pools could do on their own."""
    return largest(lambda rate, at: operate(pair, asked, it[at], rate, slack).ok, top, tolerance)


def pool_tops(pair: Pair, asked: Settings, it: Splits) -> Floats:
    """What the slower pool of each split could do without targets."""
    first = unit_tops(pair.ops, pair.prefill, asked, it.s, it.prefill_unit, it.prefill_row)[0] * it.prefill_copies
    then = unit_tops(pair.ops, pair.decode, asked, it.s, it.decode_unit, it.decode_row)[1] * it.decode_copies
    return np.minimum(first, then)


def pool_rates(units: Floats, size: Index, most: int) -> tuple[Floats, Index]:
    """Of pools of 0 to ``most`` accelerators the rate and the unit, best first [setting, accelerators, `TRIED`].

    ``units``: rates [setting, unit]. What a whole number of units leaves over idles.

    Examples
    --------
    >>> rate, unit = pool_rates(np.array([[1.0, 2.5]]), np.array([1, 2], dtype=np.int32), 3)
    >>> rate[0, :, 0].tolist(), unit[0, :, 0].tolist()
    ([0.0, 1.0, 2.5, 3.0], [0, 0, 1, 0])
    """
    copies = np.arange(most + 1)[:, None] // size[None, :]
    rates = units[:, None, :] * copies[None, :, :]
    order = np.argsort(-rates, axis=2, kind="stable")[:, :, :TRIED]
    return np.take_along_axis(rates, order, axis=2), order.astype(np.int32)


def divisions(pair: Pair, rates: tuple[UnitRates, UnitRates], count: int) -> tuple[Splits, Floats]:
    """Every division of ``count`` accelerators in two pools, each with its best units; the rate of the slower pool."""
    ends = []
    for side, unit in ((pair.prefill, rates[0].prefill), (pair.decode, rates[1].decode)):
        value, which = pool_rates(unit, side.units.size, min(count, side.most))
        ends.append((value, which))
    (value_p, unit_p), (value_d, unit_d) = ends
    columns: list[tuple[Index, ...]] = []
    for n in range(max(1, count - value_d.shape[1] + 1), min(count, value_p.shape[1])):
        s, i, j = np.meshgrid(
            np.arange(value_p.shape[0]), np.arange(value_p.shape[2]), np.arange(value_d.shape[2]), indexing="ij"
        )
        s, i, j = s.ravel(), i.ravel(), j.ravel()
        top = np.minimum(value_p[s, n, i], value_d[s, count - n, j])
        columns.append((s, unit_p[s, n, i], unit_d[s, count - n, j], np.full_like(s, n), top))
    if not columns:
        empty = np.zeros(0, dtype=np.int32)
        return Splits(empty, empty, empty, empty, empty, empty, empty, np.zeros(0)), np.zeros(0)
    s, u, v, n, top = (np.concatenate(part) for part in zip(*columns, strict=True))
    keep = top > 0
    s, u, v, n, top = s[keep], u[keep], v[keep], n[keep], top[keep]
    zero = np.zeros_like(s)
    found = Splits(
        s, u, n // pair.prefill.units.size[u], v, (count - n) // pair.decode.units.size[v], zero, zero,
        np.ones(len(s)),
    )  # fmt: skip
    return found, top


def best_splits(
    pair: Pair, asked: Settings, rates: tuple[UnitRates, UnitRates], count: int
) -> tuple[Splits, Floats, Splits]:
    """The best division under every setting and its rate, settings that none serves left out; and its rivals.

    The link and targets on the whole take little away, so that the `KEPT` divisions of a setting whose pools could do
    most are tried. Rivals, by setting: the best division with each of `UNITS` units of either side, since another one
    may be better where the predictor errs.
    """
    every, top = divisions(pair, rates, count)
    used = every.prefill_copies * pair.prefill.units.size[every.prefill_unit]
    used = used + every.decode_copies * pair.decode.units.size[every.decode_unit]
    order = np.lexsort((-used, -top, every.s))
    rank = np.arange(len(order)) - np.searchsorted(every.s[order], every.s[order])
    tried = order[rank < KEPT]
    found = best_rates(pair, asked, every[tried], top[tried])
    with np.errstate(divide="ignore"):
        alike = -np.round(np.log(found), 2)  # whoever idles least among those that can do the same
    again = np.lexsort((-found, -used[tried], alike, every.s[tried]))
    again = again[found[again] > 0]
    _, first = np.unique(every.s[tried][again], return_index=True)
    best = again[first]
    rivals = np.concatenate([_with_each(every, unit, order) for unit in (every.prefill_unit, every.decode_unit)])
    served = np.isin(every.s[rivals], every.s[tried][best])
    rivals = np.unique(rivals[served])
    return every[tried[best]], found[best], every[rivals[np.argsort(every.s[rivals], kind="stable")]]


def _with_each(every: Splits, unit: Index, order: Index) -> Index:
    """The first in ``order`` with each of the `UNITS` best units under every setting."""
    _, first = np.unique(np.stack([every.s, unit], axis=1)[order], axis=0, return_index=True)
    first = np.sort(first)
    rank = np.arange(len(first)) - np.searchsorted(every.s[order[first]], every.s[order[first]])
    return order[first[rank < UNITS]]


def under(it: Splits, row_prefill: int, row_decode: int, link_factor: float) -> Splits:
    """The same splits with other rows of the sides' tables and another link."""
    return replace(
        it, prefill_row=np.full_like(it.s, row_prefill), decode_row=np.full_like(it.s, row_decode),
        link_factor=np.full(len(it), link_factor),
    )  # fmt: skip


def joined(parts: list[Splits]) -> Splits:
    """Several lists of splits as one."""
    return Splits(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Splits)))
