"""Which layout answers where the user left it open: the smallest replica that fits, and as many as asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping import layouts
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.workload import Workload

MOST_ACCELERATORS = 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """tp x pp x cp accelerators a replica, dp replicas, experts on ep ranks; shares of weights and cache offloaded."""

    tp: int
    pp: int
    ep: int
    dp: int
    cp: int = 1
    offload: float = 0.0
    kv_offload: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether anything is in slower memory."""
        return self.offload > 0 or self.kv_offload > 0

    @property
    def count(self) -> int:
        return self.tp * self.pp * self.dp * self.cp


def label_of(platform: Platform, layout: Layout) -> str:
    """``predicted`` or ``extrapolated``: no calibration has seen shards of the context or offloaded weights."""
    return "extrapolated" if layout.cp > 1 or layout.waits else platform.label


def assumes_hops(platform: Platform, layout: Layout) -> bool:
    """Whether stages pass activations between nodes over a network whose bandwidth nobody publishes."""
    part = platform.device
    stages = layout.tp * layout.pp * layout.cp * part.engine_devices
    known = part.scale_out_bytes_per_s or is_resident(part)
    return layout.pp > 1 and stages > platform.network.domain and not known


def hops_note(platform: Platform, who: str) -> str:
    """The bandwidth assumed for such hops; ``who``: the accelerator, or a list in words."""
    rate = platform.network.default_scale_out / 1e9
    return f"no scale-out bandwidth of {who} is published: {rate:g} GB/s assumed for hops between nodes (3 to 50 GB/s)"


def layout_notes(platform: Platform, layout: Layout) -> list[str]:
    """What an answer for this layout assumes beside what the platform's own notes say."""
    part, notes = platform.device, []
    if assumes_hops(platform, layout):
        notes.append(hops_note(platform, part.id))
    if layout.cp > 1 or layout.waits:
        notes.append("no measurement with shards of the context or offloaded weights is known: the interval is a prior")
    if layout.waits and part.behind:
        what = [f"{layout.offload:.3g} of the layers' weights"] * (layout.offload > 0)
        what += [f"{layout.kv_offload:.3g} of the KV cache"] * (layout.kv_offload > 0)
        tiers = " and ".join(
            f"{tier.name} memory at up to {(tier.reached_bytes_per_s or 0.0) / 1e9:g} GB/s" for tier in part.behind
        )
        notes.append(f"{' and '.join(what)} (shares) stream from {tiers} per accelerator, each over its own channel")
        notes.append(
            "what waits is fetched a layer ahead; experts leave the main memory first, and are fetched all "
            "ahead or only those that tokens take, whichever costs less"
        )
        if any(np.isinf(tier.bytes) for tier in part.behind):
            notes.append("the slower memory is taken to be large enough")
    return notes


def load_columns(load: Workload) -> dict[str, float]:
    """A workload as columns of `make_points`."""
    return {
        "concurrency": np.nan if load.concurrency is None else load.concurrency,
        "request_rate": np.nan if load.request_rate is None else load.request_rate,
        "input_tokens": load.input_tokens, "output_tokens": load.output_tokens,
        "input_cv": load.input_cv, "output_cv": load.output_cv, "prefix": load.prefix_tokens,
    }  # fmt: skip


def points_of(load: Workload, chosen: list[Layout]) -> Points:
    """Design points of a workload in several layouts on the first platform."""
    return make_points(
        0,
        tp=[x.tp for x in chosen],
        pp=[x.pp for x in chosen],
        ep=[x.ep for x in chosen],
        dp=[x.dp for x in chosen],
        cp=[x.cp for x in chosen],
        offload=[x.offload for x in chosen],
        kv_offload=[x.kv_offload for x in chosen],
        **load_columns(load),
    )


def choose_layout(
    ops: Operators, table: PlatformTable, load: Workload, *, count: int | None, tp: int | None, pp: int | None,
    ep: int | None, dp: int | None, cp: int | None = None, offload: float = 0.0,
    speculation: Speculation | None = None,
) -> tuple[Layout, list[str]]:  # fmt: skip
    """Fill in what the user left open, and say how it was chosen.

    The smallest replica that fits, then replicas up to ``count``; more replicas than requests in flight would idle, so
    with few requests the replicas are larger. Without a count, a rate takes the fewest accelerators that serve it.

    Raises
    ------
    BadInput : a number that is not whole, below 1 or above 1,024, or tp*pp*dp*cp that is not ``count``; a share of
    weights to offload outside 0 to 1.
    """
    given = {"tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": cp}
    _check_counts(count, given)
    if not 0.0 <= offload <= 1.0:
        raise BadInput(f"{offload!r} is not a share of the weights", field="offload", allowed="0 to 1")
    shards = cp or 1
    if count is None and dp is None and load.request_rate is not None:
        serves = fewest_that_serve(ops, table, load, given, offload, speculation)
        if serves is not None:
            return serves, _chosen(
                serves, given, f"the fewest accelerators that serve {load.request_rate:g} requests/s"
            )
    if tp is not None and pp is not None:
        return Layout(tp, pp, ep or 1, dp or (count // (tp * pp * shards) if count else 1), shards, offload), []
    rows = [replace(row, offload=offload) for row in _replicas(ops, table.platforms[0].device, count, given)]
    if not rows:  # nothing legal: let the prediction say why
        rest = count // math.prod(value or 1 for value in (tp, pp, dp, cp)) if count else 1
        one = {"dp": dp or rest} if dp is None else {"pp": rest} if pp is None else {"tp": rest}
        return replace(Layout(tp or 1, pp or 1, ep or 1, dp or 1, shards, offload), **one), []
    # on-chip memory is so scarce that chips follow from the requests in flight, not from one of them
    flying = load.concurrency or 1 if table.resident[0] else 1
    light = replace(load, concurrency=flying, request_rate=None)
    legal = shards == 1 and not offload
    found = predict(ops, table, points_of(light, rows), checked=legal, speculation=speculation)
    batch = np.nan_to_num(found.batch)
    wanted = min(flying / (dp or 1), int(table.max_sequences[0]), ops.layers, batch.max())
    fits = [row for row, held in zip(rows, batch, strict=True) if held > 0 and held >= wanted]
    filled = [row for row in fits if count is None or count // row.count <= (load.concurrency or count)]
    best = (filled or fits or rows[-1:])[0]
    chosen = best if dp or not count else replace(best, dp=count // best.count)
    if chosen.count > MOST_ACCELERATORS:
        raise BadInput(
            f"{dp} replicas need {best.count // (dp or 1)} accelerators each, {chosen.count} in all",
            field="dp",
            allowed=f"{MOST_ACCELERATORS} accelerators in all",
        )
    why = (
        "none that fits was found" if not fits
        else f"the fewest chips that hold {wanted:g} requests at once" if wanted > 1
        else "the smallest replica that fits" if best is fits[0]
        else "no more replicas than requests in flight"
    )  # fmt: skip
    return chosen, _chosen(chosen, given, why)


def _chosen(layout: Layout, given: dict[str, int | None], why: str) -> list[str]:
    """The note about what was left open; none where nothing was."""
    left = [name for name in ("tp", "pp", "ep", "dp") if given[name] is None]
    words = ", ".join(f"{name} {getattr(layout, name)}" for name in left)
    return [f"layout not given in full: {words} chosen, {why}"] if left else []


def fewest_that_serve(
    ops: Operators, table: PlatformTable, load: Workload, given: dict[str, int | None], offload: float = 0.0,
    speculation: Speculation | None = None,
) -> Layout | None:  # fmt: skip
    """The layout of fewest accelerators, of those with what is given, that serves a load; None: there is none."""
    shards = given.get("cp") or 1
    found = layouts.enumerate_layouts(ops, table.platforms[0].device, MOST_ACCELERATORS // shards)
    keep = np.ones(len(found), dtype=bool)
    for name in ("tp", "pp", "ep", "dp"):
        if given.get(name) is not None:
            keep &= getattr(found, name) == given[name]
    columns = {name: getattr(found, name)[keep] for name in ("tp", "pp", "ep", "dp")}
    if not keep.any():
        return None
    points = make_points(0, **columns, cp=shards, offload=offload, **load_columns(load))
    legal = shards == 1 and not offload
    serves = np.flatnonzero(predict(ops, table, points, checked=legal, speculation=speculation).fits)
    if not serves.size:
        return None
    best = serves[np.lexsort((points.ep[serves], points.pp[serves], points.accelerators[serves]))[0]]
    whole = {name: int(column[best]) for name, column in columns.items()}
    return Layout(**whole, cp=shards, offload=offload)


def _check_counts(count: int | None, given: dict[str, int | None]) -> None:
    for name, value in {"count": count, **given}.items():
        if value is not None and (not 1 <= value <= MOST_ACCELERATORS or value != int(value)):
            raise BadInput(f"{value} is out of range", field=name, allowed=f"whole numbers, 1 to {MOST_ACCELERATORS}")
    parts = {name: value for name, value in given.items() if name != "ep" and value is not None}
    product = math.prod(parts.values())
    if product > MOST_ACCELERATORS:
        raise BadInput(
            f"{' x '.join(parts)} is {product} accelerators", field="count", allowed=f"1 to {MOST_ACCELERATORS}"
        )
    if count is not None and {"tp", "pp", "dp"} <= set(parts) and product != count:
        raise BadInput(f"{' x '.join(parts)} is {product}, not {count}", field="count", allowed=str(product))
    if count is not None and count % product:
        words = " x ".join(parts)
        raise BadInput(
            f"{count} accelerators cannot be divided into {words} = {product}",
            field="count",
            allowed=f"multiples of {product}",
        )


def replicas_of(ops: Operators, table: PlatformTable, count: int, given: dict[str, int | None]) -> list[Layout]:
    """Every legal layout of ``count`` accelerators that leaves what is given as it is."""
    rows = _replicas(ops, table.platforms[0].device, count, given)
    return [row if given["dp"] else replace(row, dp=count // row.count) for row in rows]


def _replicas(ops: Operators, part: Device, count: int | None, given: dict[str, int | None]) -> list[Layout]:
    """Replicas that leave what is given as it is and divide ``count``, smallest first; one, or ``dp`` if it is given.

    Stages that do not divide the layers are there where ``pp`` or ``count`` asks for them. Experts over more ranks
    than a replica has need the replicas that share them.
    """
    shards, ep, dp = given["cp"] or 1, given["ep"] or 1, given["dp"]
    uneven = count is not None or given["pp"] is not None
    single = _single_replicas(ops, part, (count or MOST_ACCELERATORS) // shards, uneven=uneven)
    shapes = {
        (row.tp, row.pp) for row in single if given["tp"] in (None, row.tp) and given["pp"] in (None, row.pp)
    }  # fmt: skip
    rows = [Layout(tp, pp, ep, dp or 1, shards) for tp, pp in shapes]
    rows = [row for row in rows if _is_legal(ops, part, row)]
    if count is not None:
        rows = [row for row in rows if (count % row.count == 0 if dp is None else row.count == count)]
    return sorted(rows, key=lambda row: (row.count, row.pp))


def _is_legal(ops: Operators, part: Device, row: Layout) -> bool:
    """Whether the experts of a layout can be spread so; of the rest, replicas with experts in one place are legal."""
    tp, pp, ep, dp = (np.array([n], dtype=np.int32) for n in (row.tp, row.pp, row.ep, row.dp))
    return bool(layouts.legal(ops, part, tp, pp, ep, dp)[0] == 0)


def _single_replicas(ops: Operators, part: Device, most: int, *, uneven: bool) -> list[Layout]:
    """Legal layouts of one replica; ``uneven``: with every number of pipeline stages, as engines allow."""
    if is_resident(part):
        return [Layout(1, chips, 1, 1) for chips in range(1, most + 1)]
    found = layouts.enumerate_layouts(ops, part, most, every_count=False)
    one = found.dp == 1
    shapes = set(zip(found.tp[one].tolist(), found.pp[one].tolist(), found.ep[one].tolist(), strict=True))
    if uneven:
        flat = [(tp, ep) for tp, pp, ep in shapes if pp == 1]
        shapes = {(tp, pp, ep) for tp, ep in flat for pp in range(1, min(ops.layers, most // tp) + 1)}
    return [Layout(tp, pp, ep, 1) for tp, pp, ep in sorted(shapes)]


def least_count(
    ops: Operators, table: PlatformTable, load: Workload, speculation: Speculation | None = None
) -> int | None:
    """The smallest number of accelerators on which one request of this workload fits in any legal layout."""
    least = least_replica(ops, table, load, speculation)
    return least.count if least else None


def least_replica(
    ops: Operators, table: PlatformTable, load: Workload, speculation: Speculation | None = None
) -> Layout | None:
    """The legal layout of fewest accelerators that holds one request of this workload; None: there is none."""
    light = replace(load, concurrency=1, request_rate=None)
    rows = _single_replicas(ops, table.platforms[0].device, MOST_ACCELERATORS, uneven=True)
    if not rows:
        return None
    fits = predict(ops, table, points_of(light, rows), checked=True, speculation=speculation).fits
    return min((row for row, ok in zip(rows, fits, strict=True) if ok), key=lambda row: row.count, default=None)
