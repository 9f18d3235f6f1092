"""A bench: its points one after the other, and those that a search or repetitions add; begun, or gone on with."""

from __future__ import annotations

import errno
import math
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.errors import BadInput, ConflictingData
from inferatlas.measure.bench import protocols
from inferatlas.measure.bench.client.pool import most_connections
from inferatlas.measure.bench.loads import check_loads
from inferatlas.measure.bench.metrics.missed import missed_targets
from inferatlas.measure.bench.metrics.repeats import again, headlines
from inferatlas.measure.bench.metrics.validity import BY_CLIENT
from inferatlas.measure.bench.plan import MOST_REPETITIONS, NAME, Plan, Point, check, read_plan, write_plan
from inferatlas.measure.bench.point import Ran, run_point
from inferatlas.measure.bench.record.document import RUN, Facts
from inferatlas.measure.bench.record.finding import read_run
from inferatlas.measure.bench.record.journal import NAME as JOURNAL
from inferatlas.measure.bench.searching import Knee, Trial, knee, next_load, saturated
from inferatlas.measure.bench.server.environment import environment
from inferatlas.measure.bench.setting import Setting, prepare
from inferatlas.measure.bench.watching import Watcher
from inferatlas.workload import parse_targets

MOST_CLIENTS, MOST_RATE = 65_536.0, 1e6  # a search goes no further
NEEDED = "load", "validity", "requests", "metrics", "client", "definitions"  # of a record that a bench tells
# Verdicts with which a load does not count as served: for whatever reason, and those of an open loop
UNSERVED = frozenset({"too_many_failures", "nothing_completed"})
UNSENT = frozenset({"overloaded", "load_not_delivered"})
DISK = errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO  # what is wrong with a disk
WANTED = "output_tokens_per_s", "ttft_s.mean", "itl_s.mean"  # whose interval over repetitions is to be narrow


@dataclass(frozen=True, slots=True)
class Bench:
    """What a bench gave. ``runs`` : documents of `run.json` with their folders. ``knee`` : where one was searched.
    ``interrupted`` : it can go on. ``met`` : whether every run kept its targets; None without targets.
    """

    folder: Path
    plan: Plan
    runs: tuple[tuple[Path, dict[str, Any]], ...]
    knee: Knee | None
    interrupted: bool

    @property
    def met(self) -> bool | None:
        targets = parse_targets(self.plan.slo)
        if not targets:
            return None
        return all(missed_targets(document, targets) == [] for _, document in self.runs)

    @property
    def missed(self) -> bool:
        """Whether a target was missed; by every load, where the highest that keeps them was searched."""
        return self.met is False and (self.knee is None or self.knee.low is None)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: the issue's shape, and with a search where it ended."""
        found = {
            "directory": str(self.folder), "runs": [told(folder, document) for folder, document in self.runs],
            "interrupted": self.interrupted,
        }  # fmt: skip
        if self.knee is not None:
            found["knee"] = {"low": self.knee.low, "high": self.knee.high, "monotonic": self.knee.monotonic}
        return found


def told(folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """A run as JSON tells it."""
    validity = document["validity"]
    return {
        "directory": str(folder), "load": document["load"], "valid": validity["valid"],
        "verdict": validity["verdict"], "reasons": validity["reasons"], "remarks": validity["remarks"],
        "requests": document["requests"], "metrics": document["metrics"], "client": document["client"],
        "missed": missed_targets(document, parse_targets(document["slo"])), "definitions": document["definitions"],
    } | ({"protocol_metrics": document["protocol_metrics"]} if "protocol_metrics" in document else {})  # fmt: skip


def begin(plan: Plan, output: Path, watcher: Watcher, *, typed: tuple[str, ...] = ()) -> Bench:
    """Begin a bench in a new folder below another.

    Parameters
    ----------
    plan : as given; its protocol is applied here. output : where the folder of the bench is made. typed : the command.

    Raises
    ------
    BadInput : a plan that cannot be done, a server that is not there, a folder that cannot be written, an accelerator
    that is neither in the catalogue nor a file.
    """
    plan = check(protocols.apply(plan))
    check_loads(plan)
    if plan.accelerator is not None:  # a name that nobody knows is no use beside figures
        plan = replace(plan, accelerator=load_accelerator(plan.accelerator).id)
    _writable(output)
    setting = prepare(plan, waiting=_waiting(watcher), stopped=watcher.stopped)
    plan = replace(plan, model=setting.model, engine=_engine(setting))
    folder = _new(output, setting.model)
    write_plan(plan, folder)
    watcher.told(f"writing {folder}")
    return _run(plan, folder, lambda: setting, watcher, typed)


def resume(folder: Path, watcher: Watcher, *, typed: tuple[str, ...] = ()) -> Bench:
    """Go on with a bench that was killed or interrupted: nothing that was measured is lost or measured again.

    Parameters
    ----------
    folder : of the bench, or of one of its points.

    Raises
    ------
    BadInput : no bench, or one that another program still writes. ConflictingData : another engine answers now.
    """
    folder = folder if (folder / NAME).is_file() or not (folder.parent / NAME).is_file() else folder.parent
    plan = check(read_plan(folder))
    return _run(plan, folder, cache(lambda: _the_same(plan, watcher)), watcher, typed)


def _the_same(plan: Plan, watcher: Watcher) -> Setting:
    """The servers of a bench that goes on.

    Raises
    ------
    ConflictingData : another engine answers than when it began.
    """
    setting = prepare(plan, waiting=_waiting(watcher), stopped=watcher.stopped)
    if plan.engine is not None and _engine(setting) != plan.engine:
        raise ConflictingData(
            f"{_engine(setting)} answers, and {plan.engine} did when it began", field="resume",
            hint="one record is of one engine: begin another bench",
        )  # fmt: skip
    return setting


def _engine(setting: Setting) -> str:
    """What answers, as far as it says."""
    return " ".join(one for one in (setting.engines[0].name, setting.engines[0].version) if one) or "unknown"


def _run(plan: Plan, folder: Path, setting: Callable[[], Setting], watcher: Watcher, typed: tuple[str, ...]) -> Bench:
    """All points. ``setting`` : of the servers, which are not needed where everything was measured before."""
    with _alone(folder):
        facts = Facts(environment(typed or ("inferatlas",)), plan.command, plan.notes, _hardware(plan))
        found: dict[str, Ran] = {}
        at = 0
        while at < len(plan.points):
            point = plan.points[at]
            place = folder / point.name
            with _told_how_to_go_on(folder, watcher):
                ran = _whole(place) or run_point(place, plan, point, setting(), watcher, facts)
            found[point.name] = ran
            if ran.interrupted:
                break
            at += 1
            if at == len(plan.points) and (more := _more(plan, found)):
                plan = plan.with_points(*more)
                write_plan(plan, folder)
        runs = tuple((ran.folder, ran.document) for ran in found.values())
        interrupted = any(ran.interrupted for ran in found.values())
        seen = trials(plan, found) if plan.find_knee else []
        return Bench(folder, plan, runs, knee(seen) if seen else None, interrupted)


@contextmanager
def _told_how_to_go_on(folder: Path, watcher: Watcher) -> Iterator[None]:
    """What is measured stays: whoever stops a bench, or fills the disk, is told how it goes on."""
    how = f"inferatlas bench run --resume {shlex.quote(str(folder))}"
    try:
        yield
    except KeyboardInterrupt:
        watcher.told(f"go on with: {how}")
        raise
    except OSError as error:
        if error.errno not in (None, *DISK):  # Polars tells no number
            raise
        raise BadInput(
            f"cannot be written: {error.strerror or error}", field="output", file=error.filename or folder,
            hint=f"make room, then go on with: {how}",
        ) from None  # fmt: skip
    except BadInput as error:
        if error.field == "output":
            error.hint = f"make room, then go on with: {how}"
        raise


def _whole(folder: Path) -> Ran | None:
    """A point that was measured before, to its end.

    Raises
    ------
    BadInput : its `run.json` is damaged.
    """
    file = folder / RUN
    if not file.is_file() or (folder / JOURNAL).exists():
        return None
    document = read_run(folder, field="resume").document
    if missing := [name for name in NEEDED if not isinstance(document.get(name), dict)]:
        raise BadInput(
            f"has no {', '.join(missing)}", field="resume", allowed=f"{RUN} as it was written", file=file,
            hint="without its folder a load is measured again",
        )  # fmt: skip
    return None if document.get("unfinished") else Ran(folder, document, False)


# Points that follow from what was measured


def _more(plan: Plan, found: dict[str, Ran]) -> tuple[Point, ...]:
    """Points to add: repetitions that an interval asks for, else the next load of a search."""
    last = plan.points[-1]
    if plan.precision is not None:
        same = [found[one.name].document["metrics"] for one in plan.points if one.load == last.load]
        if _wide(same, plan.precision):
            return (replace(last, name=_name(last, len(same) + 1), repetition=len(same) + 1),)
    if not plan.find_knee:
        return ()
    seen = trials(plan, found)
    if not seen:
        return ()
    if not plan.slo and last.kind == "closed" and saturated(seen):
        return ()
    whole = last.kind == "closed"
    load = next_load(seen, whole=whole, most=min(MOST_CLIENTS, most_connections()) if whole else MOST_RATE)
    if load is None or (last.duration_s is not None and not whole and load * last.duration_s < 1):
        return ()  # known, or not one request would be sent on the mean
    requests = None if last.requests is None else last.requests
    point = replace(
        last, concurrency=round(load) if whole else None, request_rate=None if whole else float(f"{load:.4g}"),
        requests=requests, repetition=1,
    )  # fmt: skip
    point = replace(point, name=_name(point, 1))
    return () if any(one.name == point.name for one in plan.points) else (point,)


def _wide(runs: list[dict[str, Any]], within: float) -> bool:
    """Whether another repetition is needed: an interval of one of the main metrics is wider than asked."""
    values = [[headlines(one).get(name) for one in runs] for name in WANTED]
    return any(again(one, within, most=MOST_REPETITIONS) for one in values)


def trials(plan: Plan, found: dict[str, Ran]) -> list[Trial]:
    """What each load that was measured gave."""
    targets = parse_targets(plan.slo)
    seen = []
    for point in plan.points:
        if point.name not in found:
            continue
        document = found[point.name].document
        if not document["requests"]["sent"]:  # none was due in its time: that says nothing of the server
            continue
        metrics, load = document["metrics"], point.concurrency if point.kind == "closed" else point.request_rate
        reasons = set(document["validity"]["reasons"]) | set(document["validity"]["remarks"])
        kept = not missed_targets(document, targets) if targets else True
        stands = not reasons & (UNSERVED if point.kind == "closed" else UNSERVED | UNSENT)
        served = not BY_CLIENT & set(document["validity"]["reasons"])  # as a remark it leaves figures standing
        seen.append(Trial(float(load or 0), kept and stands and served, metrics["output_tokens_per_s"]))
    return seen


def _name(point: Point, repetition: int) -> str:
    """The name of a point's folder: what is loaded, and which repetition."""
    more = "" if point.isl is None or point.osl is None else f"-i{point.isl:.0f}-o{point.osl:.0f}"
    return point_name(point.kind, point.concurrency, point.request_rate, repetition, more)


def point_name(kind: str, concurrency: int | None, rate: float | None, repetition: int = 1, more: str = "") -> str:
    """A folder's name.

    Examples
    --------
    >>> point_name("closed", 8, None), point_name("open", None, 0.5, 2), point_name("trace", None, None)
    ('c8', 'r0.5-2', 'trace')
    """
    base = f"c{concurrency}" if kind == "closed" else f"r{rate:g}" if kind == "open" else kind
    return base + more + (f"-{repetition}" if repetition > 1 else "")


# Folders


def _writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        trial = output / ".inferatlas"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", field="output", file=output) from None


def _new(output: Path, model: str) -> Path:
    """A folder that did not exist: the moment, and the model."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", model.rstrip("/").rsplit("/", 1)[-1]).strip("-.")[:40] or "model"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S")
    for number in range(1, 1000):
        folder = output / (f"{stamp}-{slug}" + (f"-{number}" if number > 1 else ""))
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInput(f"cannot be written: {error.strerror}", field="output", file=output) from None
        return folder
    raise BadInput("a thousand benches began in this second", field="output", file=output)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder of a bench for this process only; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise BadInput(
            "is being written by another program", field="resume", file=folder, hint="wait for it, or end it"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _hardware(plan: Plan) -> dict[str, Any]:
    """What serves, as whoever measures says: the client cannot see it from afar."""
    return {
        "accelerator": plan.accelerator, "accelerators": plan.count, "tp": plan.tp, "pp": plan.pp, "ep": plan.ep,
        "dp": plan.dp, "weights": plan.weights, "kv_cache": plan.kv_cache,
    }  # fmt: skip


def _waiting(watcher: Watcher) -> Callable[[float, str], None]:
    said = -math.inf

    def wait(seconds: float, why: str) -> None:
        nonlocal said
        if watcher.stopped():
            raise KeyboardInterrupt
        if time.monotonic() - said > 5.0:
            said = time.monotonic()
            watcher.told(f"waiting for the server ({seconds:.0f} s): it {why}")

    return wait
