"""Tokens per joule, over the same window as the joules, with and without what the devices draw when idle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferatlas.errors import BadInput

SAME = 0.01  # share by which the two windows may differ: power is read at its own times
SAME_S = 0.1  # and seconds, for short ones


@dataclass(frozen=True, slots=True)
class EnergySum:
    """Energy in the window of the metrics.

    Parameters
    ----------
    joules : gross. u_joules : its standard uncertainty (k = 1), None: unknown. scope : what the meters cover (chip,
        board, node, rack ...). window_s : seconds in which it was drawn. idle_w : what the same scope draws when
        nothing is asked of it; None: not measured. reasons : why the meter's own account says that it may be wrong.
    """

    joules: float
    u_joules: float | None
    scope: str
    window_s: float
    idle_w: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Power and tokens per joule, gross, and net of idle power; None where unknown.

    ``u_share``: standard uncertainty of the energy as a share of it, which is that of tokens per joule.
    """

    power_w: float
    tokens_per_joule: float | None
    total_tokens_per_joule: float | None
    tokens_per_joule_net: float | None
    total_tokens_per_joule_net: float | None
    u_share: float | None
    energy: EnergySum

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it; ``scope`` says what the joules cover."""
        names = ("tokens_per_joule", "total_tokens_per_joule", "tokens_per_joule_net", "total_tokens_per_joule_net")
        e = self.energy
        return {
            "joules": e.joules, "u_joules": e.u_joules, "scope": e.scope, "window_s": e.window_s, "idle_w": e.idle_w,
            "reasons": list(e.reasons),
            "power_w": self.power_w, "u_share": self.u_share, **{name: getattr(self, name) for name in names},
        }  # fmt: skip


def efficiency_of(energy: EnergySum, seconds: float, output: float | None, total: float | None) -> Efficiency:
    """Tokens of a window over joules of the same window.

    Parameters
    ----------
    seconds : of the window in which ``output`` and ``total`` tokens came; None tokens: unknown.

    Raises
    ------
    BadInput : joules of another window, or none at all.

    Examples
    --------
    >>> found = efficiency_of(EnergySum(1000.0, 50.0, "gpu", 10.0, idle_w=40.0), 10.0, 3000.0, 9000.0)
    >>> found.power_w, found.tokens_per_joule, found.tokens_per_joule_net, found.total_tokens_per_joule
    (100.0, 3.0, 5.0, 9.0)
    """
    if not energy.joules > 0:
        raise BadInput(f"{energy.joules} J", field="joules", allowed="above 0; unknown energy is no energy at all")
    if abs(energy.window_s - seconds) > max(SAME * seconds, SAME_S):
        raise BadInput(
            f"joules of {energy.window_s:.6g} s and tokens of {seconds:.6g} s",
            field="window_s",
            allowed="the same window",
        )
    net = None if energy.idle_w is None else energy.joules - energy.idle_w * energy.window_s

    def per(tokens: float | None, joules: float | None) -> float | None:
        return tokens / joules if tokens is not None and joules is not None and joules > 0 else None

    return Efficiency(
        energy.joules / energy.window_s,
        per(output, energy.joules),
        per(total, energy.joules),
        per(output, net),
        per(total, net),
        None if energy.u_joules is None else energy.u_joules / energy.joules,
        energy,
    )
