"""Energy of a window: joules with the terms of their uncertainty, how it was found, and whether it may be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from inferatlas.measure.metering.channel import Semantics
from inferatlas.measure.metering.scope import Scope, one_scope
from inferatlas.quantities import show

SCHEMA = 1
CORRELATED = ("gain",)  # terms that devices of one kind share: they add up, the others as independent errors
PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "m": 1e-3, "µ": 1e-6, "n": 1e-9}

# Why a window is not valid (reference/energy.md, section 5.4, and faults of readings), and what may be remarked of a
# valid one. Numbers are kept either way.
REASONS = {
    "no_samples": "no reading in the window",
    "no_source": "nothing on this machine could be read",
    "edge_not_bracketed": "no reading on one side of an edge of the window",
    "gap_too_long": "two readings further apart than 3 s or a twentieth of the window",
    "window_too_short": "shorter than 20 steps of the counter or 5 windows of the sensor",
    "implausible": "readings below 0 or beyond 1.5 times the limit were left out, or less than idle was drawn",
    "counter_reset": "the counter started again within the window",
    "counter_stuck": "the counter did not move",
    "wrap_ambiguous": "readings so far apart that the counter may have wrapped unseen",
    "zero_power": "every reading is 0 W, which no working sensor gives",
    "sources_disagree": "two ways to the same energy differ by more than 5 %",
    "scope_shared": "the meters may cover the same devices, so they are not added",
    "device_missing": "a device has no reading in the window",
    "device_changed": "another device answered in its place",
    "device_lost": "the device went away",
    "driver_gone": "the driver went away",
    "permission_denied": "reading was not permitted",
    "not_supported": "the device does not give this reading",
    "not_available": "the device answered N/A",
    "timeout": "no answer in time",
    "unreadable": "what came could not be understood",
    "failed": "the interface reported a failure",
    "clock_jump": "the clock of the log went backwards",
}
REMARKS = {
    "counter_wrapped": "the counter wrapped, and was corrected",
    "mirrored_meter": "two names of one meter: counted once",
    "semantics_assumed": "nobody says for sure whether readings are instant or averages: taken as marked",
    "scope_unknown": "the log does not say what the readings cover",
    "readings_missing": "single readings held no value",
    "clock_step": "the wall clock was set; durations do not use it",
    "estimated": "no sensor made it: a model's estimate",
    "fallback": "a better way to the energy failed; see checks",
    "throttled": "power or temperature limited the clock in the window",
}


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy over a window. Uncertainties are standard ones (k = 1).

    Parameters
    ----------
    joules : None where nothing is known; never 0 in its place.
    u_terms : name -> J: ``edges``, ``sampling``, ``gain``, ``clock``; independent of each other.
    method : ``counter`` (difference), ``average`` or ``instant`` (integrated power), ``model``; None without readings.
    source, scope, part, device : as in `Channel`; ``device`` is None for several together.
    duration_s : of the window. covered_s : of it, the time that readings cover; the least of several devices.
    readings : good ones used. gap_s : the longest time between two of them; of a counter, which bridges the others,
        between those around an edge.
    reasons : codes of `REASONS` that make it invalid. remarks : codes of `REMARKS` that do not.
    checks : other ways to the same energy. devices : its parts, where it is a sum.

    Examples
    --------
    >>> print(Energy(10150.0, {"edges": 20.0, "gain": 507.0}, "counter", "nvml", Scope.GPU, 20.3, 20.3))
    10.2 kJ ± 0.51 kJ (counter, nvml, gpu, valid)
    """

    joules: float | None
    u_terms: Mapping[str, float]
    method: Semantics | None
    source: str
    scope: Scope | None
    duration_s: float
    covered_s: float
    part: str = ""
    device: str | None = None
    name: str = ""
    readings: int = 0
    gap_s: float = math.nan
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    checks: tuple[Energy, ...] = ()
    devices: tuple[Energy, ...] = field(default=())
    schema: int = SCHEMA

    @property
    def valid(self) -> bool:
        return self.joules is not None and not self.reasons

    @property
    def uncertainty_j(self) -> float | None:
        """All terms together, as independent errors."""
        return None if self.joules is None else math.hypot(*self.u_terms.values())

    @property
    def mean_w(self) -> float | None:
        """Over the time that readings cover; of several devices the sum, None where it lacks one of them."""
        if self.devices and self.joules is not None:
            each = [one.mean_w for one in self.devices]
            return None if None in each else math.fsum(one for one in each if one is not None)
        return None if self.joules is None or not self.covered_s > 0 else self.joules / self.covered_s

    def __str__(self) -> str:
        scope = "scope unknown" if self.scope is None else self.scope.label
        where = f"{self.source}, {scope}{self.part and ' ' + self.part}"
        judged = "valid" if self.valid else f"invalid: {', '.join(self.reasons)}"
        if self.joules is None:
            return f"unknown ({where}, {judged})"
        value = show(self.joules, "J")
        return f"{value} ± {_in_unit_of(value, self.uncertainty_j or 0.0)} ({self.method}, {where}, {judged})"

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "source": self.source,
            "scope": None if self.scope is None else self.scope.label,
            "part": self.part or None,
            "device": self.device,
            "name": self.name or None,
            "joules": self.joules,
            "uncertainty_j": self.uncertainty_j,
            "uncertainty_terms_j": dict(self.u_terms),
            "method": self.method,
            "valid": self.valid,
            "reasons": list(self.reasons),
            "remarks": list(self.remarks),
            "duration_s": self.duration_s,
            "covered_s": self.covered_s,
            "mean_w": self.mean_w,
            "readings": self.readings,
            "longest_gap_s": self.gap_s,
            "checks": [one.as_dict() for one in self.checks],
            "devices": [one.as_dict() for one in self.devices],
            "schema_version": self.schema,
        }


def _in_unit_of(shown: str, joules: float) -> str:
    """Joules in the unit that another value was shown in."""
    unit = shown.rpartition(" ")[2]
    prefix = unit.removesuffix("J")
    if prefix not in PREFIXES:
        return show(joules, "J")
    return f"{float(f'{joules / PREFIXES[prefix]:.2g}'):g} {unit}"  # 150, not 1.5e+02


def together(energies: Sequence[Energy]) -> Energy:
    """Energies of several devices in one scope, or of several windows of one device, as one.

    Gain is the same error everywhere and adds up; the other terms are independent. A part that is not known leaves the
    sum of the others, invalid.

    Raises
    ------
    BadInput : scopes that differ. ValueError : nothing to add, sources or parts that differ.

    Examples
    --------
    >>> one = Energy(300.0, {"gain": 15.0, "edges": 4.0}, "counter", "nvml", Scope.GPU, 1.0, 1.0)
    >>> both = together([one, one])
    >>> both.joules, both.u_terms["gain"], round(both.u_terms["edges"], 2)
    (600.0, 30.0, 5.66)
    """
    if not energies or len({(one.source, one.part) for one in energies}) > 1:
        raise ValueError("energies of one source and part are needed")
    scope = one_scope([one.scope for one in energies])
    known = [one for one in energies if one.joules is not None]
    methods: set[Semantics | None] = {one.method for one in known}
    reasons = list(dict.fromkeys(code for one in energies for code in one.reasons))
    if len(known) < len(energies) and known:
        reasons.append("device_missing")
    names = dict.fromkeys(name for one in known for name in one.u_terms)
    terms = {
        name: (sum if name in CORRELATED else _root_sum)([one.u_terms.get(name, 0.0) for one in known])
        for name in names
    }
    first = energies[0]
    return replace(
        first,
        joules=math.fsum(one.joules for one in known if one.joules is not None) if known else None,
        u_terms=terms,
        method=_worst(methods),
        scope=scope,
        duration_s=max(one.duration_s for one in energies),
        covered_s=min(one.covered_s for one in energies),
        device=None,
        name="",
        readings=sum(one.readings for one in energies),
        gap_s=max((one.gap_s for one in energies if not math.isnan(one.gap_s)), default=math.nan),
        reasons=tuple(dict.fromkeys(reasons)),
        remarks=tuple(dict.fromkeys(code for one in energies for code in one.remarks)),
        checks=(),
        devices=tuple(energies),
    )


def spans_together(energies_of_spans: tuple[Energy, ...]) -> Energy:
    """The energy of one device or group over several spans of time that do not overlap, as one window."""
    if len(energies_of_spans) == 1:
        return energies_of_spans[0]
    whole, first = together(energies_of_spans), energies_of_spans[0]
    names = {tuple(one.device for one in each.devices) for each in energies_of_spans}
    each = zip(*(one.devices for one in energies_of_spans), strict=True) if len(names) == 1 else ()
    return replace(
        whole,
        duration_s=sum(one.duration_s for one in energies_of_spans),
        covered_s=sum(one.covered_s for one in energies_of_spans),
        device=first.device,
        name=first.name,
        devices=tuple(spans_together(own) for own in each),
    )


def _root_sum(values: Sequence[float]) -> float:
    return math.hypot(*values)


def _worst(methods: set[Semantics | None]) -> Semantics | None:
    """A sum is found as its least direct part is."""
    order: tuple[Semantics, ...] = ("model", "instant", "average", "counter")
    return next((one for one in order if one in methods), None)
