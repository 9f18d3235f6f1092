"""What is sent to a fleet, as it was asked for: a workload, conversations or a trace, and how they are spread.

In: the ``workload`` section of a deployment's file, and what is given beside it, which wins. Out: `Traffic`; what is
None was not given. `requests_of` makes the `Requests`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import yaml

from inferatlas.errors import BadInput
from inferatlas.simulate.values import amount, choice, count, name_or_file, quantity
from inferatlas.workload.arrivals import SHAPES, ArrivalKind
from inferatlas.workload.yaml_fields import boolean, items, line_at, mapping, refuse_unknown


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests as they are asked for; ``lines`` of ``file`` say where each was read.

    ``workload`` to ``request_rate`` as in `workload.make_workload`; ``arrival`` and its parameters as in
    `arrivals.arrival_times`; ``think_s``, ``turns`` and ``fixed_turns`` as in `make_requests` and `conversations`.
    ``dataset``: a file whose lengths are drawn in pairs: conversations, whose tokens are their characters over
    ``characters_per_token``, or a trace without its times. ``requests`` of them (of a trace: the first). ``trace``,
    ``speed``: a file to replay instead. ``longest``: tokens of a request beyond which it is left out. ``shares``: of
    the models of a fleet. ``adapter_share`` of requests use an adapter, the i-th of them in proportion to
    ``i**-adapter_zipf``.
    """

    workload: str | None = None
    isl: int | None = None
    osl: int | None = None
    input_cv: float | None = None
    output_cv: float | None = None
    prefix_tokens: int | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    arrival: str | None = None
    burstiness: float | None = None
    burst_factor: float | None = None
    burst_every_s: float | None = None
    burst_s: float | None = None
    peak_to_mean: float | None = None
    think_s: float | None = None
    turns: float | None = None
    fixed_turns: bool | None = None
    requests: int | None = None
    dataset: str | None = None
    characters_per_token: float | None = None
    trace: str | None = None
    speed: float | None = None
    longest: int | None = None
    shares: tuple[float, ...] | None = None
    adapter_share: float | None = None
    adapter_zipf: float | None = None
    file: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        """What was asked for, by name."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("file", "lines")}
        return {name: value for name, value in found.items() if value is not None}

    def under(self, over: Traffic) -> Traffic:
        """This, with what ``over`` says; a load or a source given there replaces the one here.

        Examples
        --------
        >>> Traffic(isl=100, osl=10, concurrency=4).under(Traffic(request_rate=2.0, osl=20)).given()
        {'isl': 100, 'osl': 20, 'request_rate': 2.0}
        """
        said = over.given()
        gone = {rival for name in said for rival in _RIVALS.get(name, ())} - said.keys()
        kept = {name: line for name, line in self.lines.items() if name not in said}
        return replace(self, **dict.fromkeys(gone), **said, lines=kept)


_LENGTHS = ("workload", "isl", "osl", "input_cv", "output_cv", "prefix_tokens")
_DATASET = ("dataset", "characters_per_token")
SHAPE = ("burstiness", "burst_factor", "burst_every_s", "burst_s", "peak_to_mean")
_OPEN = ("arrival", *SHAPE)
# what a trace says itself
OF_TRACE = (*_LENGTHS, *_DATASET, "concurrency", "request_rate", *_OPEN, "think_s", "turns", "fixed_turns")
_RIVALS = {
    "concurrency": ("request_rate", *_OPEN, "turns", "fixed_turns"), "request_rate": ("concurrency",),
    "trace": OF_TRACE, "workload": ("trace", "speed", *_DATASET), "isl": ("trace", "speed", *_DATASET),
    "osl": ("trace", "speed", *_DATASET), "dataset": ("trace", "speed", *_LENGTHS, "turns", "fixed_turns"),
}  # fmt: skip

Reader = Callable[[str, yaml.Node, Path], Any]


def _seconds(key: str, node: yaml.Node, path: Path) -> float:
    return quantity(key, node, path, "s")


def _above(key: str, node: yaml.Node, path: Path) -> float:
    return amount(key, node, path, positive=True)


def _arrival(key: str, node: yaml.Node, path: Path) -> str:
    return choice(key, node, path, get_args(ArrivalKind))


def _shares(key: str, node: yaml.Node, path: Path) -> tuple[float, ...]:
    return tuple(amount(f"{key}[{i}]", one, path) for i, one in enumerate(items(node), 1))


# key of the file: (field, how it is read)
KEYS: dict[str, tuple[str, Reader]] = {
    "name": ("workload", name_or_file), "isl": ("isl", count), "osl": ("osl", count),
    "input_cv": ("input_cv", amount), "output_cv": ("output_cv", amount), "prefix_tokens": ("prefix_tokens", count),
    "concurrency": ("concurrency", count), "request_rate": ("request_rate", _above), "arrival": ("arrival", _arrival),
    "burstiness": ("burstiness", _above), "burst_factor": ("burst_factor", _above),
    "burst_every": ("burst_every_s", _seconds), "burst": ("burst_s", _seconds),
    "peak_to_mean": ("peak_to_mean", _above), "think": ("think_s", _seconds), "turns": ("turns", _above),
    "fixed_turns": ("fixed_turns", boolean), "dataset": ("dataset", name_or_file),
    "characters_per_token": ("characters_per_token", _above), "requests": ("requests", count),
    "trace": ("trace", name_or_file),
    "speed": ("speed", _above), "longest": ("longest", count), "shares": ("shares", _shares),
    "adapter_share": ("adapter_share", amount), "adapter_zipf": ("adapter_zipf", amount),
}  # fmt: skip


def read_traffic(key: str, node: yaml.Node, path: Path) -> Traffic:
    """The ``workload`` section of a file: a name or a file of lengths, or a mapping of `KEYS`.

    Raises
    ------
    BadInput : with file and line.
    """
    if isinstance(node, yaml.ScalarNode):
        return Traffic(workload=name_or_file(key, node, path), file=str(path), lines={"workload": line_at(node)})
    given = mapping(key, node, path)
    known = tuple(f"{key}.{name}" for name in KEYS)
    refuse_unknown(given, known, path)
    found, lines = {}, {}
    for full, (value, line) in given.items():
        name, read = KEYS[full.removeprefix(f"{key}.")]
        found[name], lines[name] = read(full, value, path), line
    for name in OF_TRACE:
        if "trace" in found and name in found:
            raise BadInput("a trace says this itself", field=name, allowed="speed, requests and longest beside it",
                           file=path, line=lines[name])  # fmt: skip
    return Traffic(**found, file=str(path), lines=lines)


def shape_of(traffic: Traffic) -> dict[str, float]:
    """Parameters of the arrival process that were given."""
    given = traffic.given()
    return {name: given[name] for name in SHAPE if name in given}


assert set(SHAPE) >= {name for names in SHAPES.values() for name in names}
