"""Energy less its idle part, per request or token, and shared out over the slices of a device.

In: `Energy` of a window. Out: what is left above idle, joules per request or token, energies of slices, each with the
scope and uncertainty of what was measured (reference/energy.md, sections 5.3 and 6). `steps.py` shares it out over the
steps of an engine, `lengths.py` over prefill and decode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Semantics
from inferatlas.measure.metering.energy import CORRELATED, Energy
from inferatlas.measure.metering.scope import Scope, one_scope

FAR = 2.0  # standard uncertainties below 0 from which a net energy is no chance


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean power of devices at rest, in W. Uncertainties are standard ones (k = 1).

    ``u_terms`` : name -> W, the terms of `Energy.u_terms` over the time. ``source``, ``scope``, ``part`` as measured.
    ``devices`` : all that rested; empty where they have no names. ``time_s`` : how long. ``remarks`` of the energy.

    Examples
    --------
    >>> rest = baseline(Energy(2250.0, {"edges": 15.0}, "counter", "nvml", Scope.GPU, 30.0, 30.0))
    >>> rest.power_w, rest.uncertainty_w
    (75.0, 0.5)
    """

    power_w: float
    u_terms: Mapping[str, float]
    method: Semantics | None
    source: str
    scope: Scope | None
    part: str
    devices: tuple[str, ...]
    time_s: float
    remarks: tuple[str, ...] = ()

    @property
    def uncertainty_w(self) -> float:
        """All terms together, as independent errors."""
        return math.hypot(*self.u_terms.values())


def baseline(energy: Energy) -> Baseline:
    """Idle power from the energy of a window in which, as somebody marked, nothing ran.

    Never the least reading of a run: the first reading under load would become idle. An open context on a device adds
    26 to 50 W on GPUs with HBM (https://arxiv.org/abs/2605.23918): bare idle and idle with the model loaded are two
    baselines. Idle by a model keeps its remark ``estimated``.

    Raises
    ------
    BadInput : an energy that is not valid, with its reasons.

    Examples
    --------
    >>> baseline(Energy(2250.0, {}, "counter", "nvml", Scope.GPU, 30.0, 30.0, reasons=("gap_too_long",)))
    Traceback (most recent call last):
    inferatlas.errors.BadInput: baseline: the idle window is not valid: gap_too_long (allowed: a valid energy)
    """
    time = covered_s(energy)
    if energy.joules is None or not energy.valid or not time > 0:
        why = ", ".join(energy.reasons) or ("its energy is unknown" if energy.joules is None else "no time in it")
        raise BadInput(f"the idle window is not valid: {why}", field="baseline", allowed="a valid energy")
    return Baseline(
        power_w=energy.joules / time,
        u_terms={name: joules / time for name, joules in energy.u_terms.items()},
        method=energy.method,
        source=energy.source,
        scope=energy.scope,
        part=energy.part,
        devices=device_names(energy),
        time_s=time,
        remarks=_with_estimate(energy.remarks, energy.method == "model"),
    )


def covered_s(energy: Energy) -> float:
    """Time that the readings cover: of windows one after the other their sum, of devices side by side their mean."""
    held: dict[str | int, float] = {}
    for n, one in enumerate(_leaves(energy)):
        device = n if one.device is None else one.device  # without names they are taken as side by side
        held[device] = held.get(device, 0.0) + one.covered_s
    return math.fsum(held.values()) / len(held)


def device_names(energy: Energy) -> tuple[str, ...]:
    """The devices of an energy, each once, sorted."""
    return tuple(sorted({one.device for one in _leaves(energy) if one.device is not None}))


def _leaves(energy: Energy) -> list[Energy]:
    return [leaf for one in energy.devices for leaf in _leaves(one)] if energy.devices else [energy]


def net(energy: Energy, idle: Baseline) -> Energy:
    """What a window took above idle: ``E - P_idle t``, over the time t that its readings cover.

    The gain of the meter is the same error in both and acts on their difference; the other terms are independent. Below
    0 the number stays; ``implausible`` it is from 2 standard uncertainties on. An unknown energy stays unknown.

    Raises
    ------
    BadInput : another scope, source, part or other devices than those that rested.

    Examples
    --------
    >>> run = Energy(10150.0, {"gain": 507.5, "edges": 20.0}, "counter", "nvml", Scope.GPU, 20.0, 20.0)
    >>> idle = baseline(Energy(2250.0, {"gain": 112.5, "edges": 15.0}, "counter", "nvml", Scope.GPU, 30.0, 30.0))
    >>> above = net(run, idle)
    >>> above.joules, above.u_terms["gain"], round(above.u_terms["edges"], 2)
    (8650.0, 432.5, 22.36)
    """
    _same(energy, idle)
    if energy.joules is None:
        return energy
    # a net energy must not be taken for a gross one
    name = f"{energy.name or energy.device or energy.source}, net of {idle.power_w:.1f} W idle"
    estimated = "estimated" in idle.remarks
    time = covered_s(energy)
    joules = energy.joules - idle.power_w * time
    terms: dict[str, float] = {}
    for term in dict.fromkeys((*energy.u_terms, *idle.u_terms)):
        ours, theirs = energy.u_terms.get(term, 0.0), idle.u_terms.get(term, 0.0) * time
        terms[term] = abs(ours - theirs) if term in CORRELATED else math.hypot(ours, theirs)
    beyond = ("implausible",) if joules < -FAR * math.hypot(*terms.values()) else ()
    return replace(
        energy, joules=joules, u_terms=terms, method="model" if estimated else energy.method, name=name,
        reasons=tuple(dict.fromkeys((*energy.reasons, *beyond))), remarks=_with_estimate(energy.remarks, estimated),
        checks=(), devices=(),
    )  # fmt: skip


def _same(energy: Energy, idle: Baseline) -> None:
    one_scope([energy.scope, idle.scope])
    for field, run, rest in (
        ("source", energy.source, idle.source),
        ("part", energy.part, idle.part),
        ("devices", ", ".join(device_names(energy)), ", ".join(idle.devices)),
    ):
        if run != rest:
            message = f"'{run}' ran and '{rest}' rested: one does not tell the idle power of the other"
            raise BadInput(message, field=field, allowed=f"a baseline of the same {field}")


def _with_estimate(remarks: tuple[str, ...], estimated: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*remarks, "estimated"))) if estimated else remarks


@dataclass(frozen=True, slots=True)
class WithIdle:
    """A window gross and net; idle is a line of its own, charged to the deployment (reference/energy.md, 5.3).

    ``idle_j`` : idle power over the window, ``idle_share`` : of the gross energy; None where that is unknown or 0.
    """

    gross: Energy
    net: Energy
    idle: Baseline
    idle_j: float
    idle_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "gross": self.gross.as_dict(),
            "net": self.net.as_dict(),
            "idle_w": self.idle.power_w,
            "idle_uncertainty_w": self.idle.uncertainty_w,
            "idle_j": self.idle_j,
            "idle_share": self.idle_share,
        }


def with_idle(energy: Energy, idle: Baseline) -> WithIdle:
    """A window gross and net of an idle power, and the share of idle (errors as `net`).

    Examples
    --------
    >>> run = Energy(10000.0, {}, "counter", "nvml", Scope.GPU, 20.0, 20.0)
    >>> both = with_idle(run, baseline(Energy(3000.0, {}, "counter", "nvml", Scope.GPU, 30.0, 30.0)))
    >>> both.gross.joules, both.net.joules, both.idle_share
    (10000.0, 8000.0, 0.2)
    """
    idle_j = idle.power_w * covered_s(energy)
    share = idle_j / energy.joules if energy.joules is not None and energy.joules > 0 else None
    return WithIdle(energy, net(energy, idle), idle, idle_j, share)


@dataclass(frozen=True, slots=True)
class Per:
    """Joules per request or token, with standard uncertainty (k = 1); None where the energy is unknown.

    ``name`` says what was measured: ``gpu_joules_per_request``, with ``estimated_`` before it where no sensor did.
    """

    name: str
    joules: float | None
    uncertainty_j: float | None
    count: float
    energy: Energy

    @property
    def valid(self) -> bool:
        return self.energy.valid

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; the names of the numbers carry the scope."""
        return {
            self.name: self.joules,
            f"{self.name}_uncertainty": self.uncertainty_j,
            "count": self.count,
            "valid": self.valid,
            "reasons": list(self.energy.reasons),
            "remarks": list(self.energy.remarks),
        }


def per(energy: Energy, count: float, what: str) -> Per:
    """Joules for each of ``count`` things of a window.

    Parameters
    ----------
    count : of requests or tokens in the same window, above 0. what : one of them: ``request``, ``output_token``; say
        which tokens.

    Raises
    ------
    BadInput : a count of nothing.

    Examples
    --------
    >>> one = per(Energy(5000.0, {"gain": 250.0}, "counter", "nvml", Scope.GPU, 10.0, 10.0), 2500, "output_token")
    >>> one.name, one.joules, one.uncertainty_j
    ('gpu_joules_per_output_token', 2.0, 0.1)
    """
    if not 0 < count < math.inf:
        raise BadInput(f"{count!r} in the window", field=f"count of {what}", allowed="above 0")
    estimated = "estimated_" if energy.method == "model" or "estimated" in energy.remarks else ""
    scope = "unknown_scope" if energy.scope is None else energy.scope.label
    part, u = energy.part and f"_{energy.part.replace(' ', '_')}", energy.uncertainty_j
    return Per(
        f"{estimated}{scope}{part}_joules_per_{what.replace(' ', '_')}",
        None if energy.joules is None else energy.joules / count,
        None if u is None else u / count,
        count,
        energy,
    )


def shares(energy: Energy, weights: Mapping[str, float]) -> dict[str, Energy]:
    """Energy of a device shared out over its slices (MIG) or tenants: the shares sum to the device, exactly.

    No sensor reads a slice, so every share is ``estimated``. The idle part goes by the same weights; take it off first
    (`net`) where it is to stay with the owner. The uncertainty is the device's, in proportion; what the weights
    themselves miss is not in it.

    Parameters
    ----------
    weights : name of the slice -> 0 or more: slices of compute held, or work done in the window.

    Raises
    ------
    BadInput : no weights, a negative one, or a sum of 0.

    Examples
    --------
    >>> card = Energy(700.0, {"gain": 35.0}, "counter", "nvml", Scope.GPU, 1.0, 1.0, device="GPU-1")
    >>> [(one.part, one.joules, one.u_terms["gain"]) for one in shares(card, {"3g.40gb": 3, "4g.40gb": 4}).values()]
    [('3g.40gb', 300.0, 15.0), ('4g.40gb', 400.0, 20.0)]
    """
    whole = math.fsum(weights.values())
    if not all(0 <= one < math.inf for one in weights.values()) or not 0 < whole < math.inf:
        raise BadInput("weights that share nothing out", field="weights", allowed="0 or more each, above 0 together")
    parts = {name: one / whole for name, one in weights.items()}
    joules = {name: None if energy.joules is None else energy.joules * part for name, part in parts.items()}
    if energy.joules is not None:
        # the second largest takes what rounding left: at most a half, its own rounding does not show in the sum
        takes = sorted(parts, key=lambda name: -parts[name])[:2][-1]
        joules[takes] = math.fsum([energy.joules, *(-(joules[name] or 0.0) for name in parts if name != takes)])
    plain = replace(energy, remarks=_with_estimate(energy.remarks, True), checks=(), devices=())
    terms = {name: {term: u * part for term, u in energy.u_terms.items()} for name, part in parts.items()}
    return {
        name: replace(plain, joules=joules[name], u_terms=terms[name], part=f"{energy.part} {name}".strip())
        for name in parts
    }
