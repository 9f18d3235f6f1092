"""What a reading covers: a ladder of scopes, whose rungs are never added to each other."""

from __future__ import annotations

from enum import IntEnum

from inferatlas.errors import BadInput, UnknownName


class Scope(IntEnum):
    """From the narrowest to the widest; each rung contains the ones before it.

    ``BOARD`` is a card or package with all that is soldered to it, ``NODE_DC`` a server behind its power supplies,
    ``NODE_AC`` at its plug, ``RACK`` and ``FACILITY`` with hosts, switches and, at the last, cooling.
    """

    DIE = 1
    GPU = 2
    MODULE = 3
    BOARD = 4
    NODE_DC = 5
    NODE_AC = 6
    RACK = 7
    FACILITY = 8

    @property
    def label(self) -> str:
        """As files and people write it: ``node_ac``."""
        return self.name.lower()


# No reading above this is believed where the device's own limit is not known. A wafer-scale system draws 24 kW at its
# chassis (Brunetta et al., Sec. IV-C), racks about 140 kW, sites hundreds of megawatts; each with room to spare.
MOST_W = {
    Scope.DIE: 5e3, Scope.GPU: 5e3, Scope.MODULE: 20e3, Scope.BOARD: 20e3, Scope.NODE_DC: 100e3, Scope.NODE_AC: 100e3,
    Scope.RACK: 1e6, Scope.FACILITY: 5e9, None: 5e9,
}  # fmt: skip


def scope_of(name: str | None, *, field: str = "scope") -> Scope | None:
    """A scope by its label; None and "unknown" stay None.

    Raises
    ------
    UnknownName : with the labels there are.

    Examples
    --------
    >>> scope_of("node_ac"), scope_of("GPU"), scope_of(None)
    (<Scope.NODE_AC: 6>, <Scope.GPU: 2>, None)
    """
    if name is None or name.strip().lower() in ("", "unknown"):
        return None
    label = name.strip().lower().replace("-", "_")
    found = {one.label: one for one in Scope}
    if label not in found:
        raise UnknownName("scope", name, list(found), field=field, allowed=", ".join(found))
    return found[label]


def one_scope(scopes: list[Scope | None]) -> Scope | None:
    """The scope that all share.

    Raises
    ------
    BadInput : several scopes, which nothing may add or compare.

    Examples
    --------
    >>> one_scope([Scope.GPU, Scope.MODULE])
    Traceback (most recent call last):
    inferatlas.errors.BadInput: scope: gpu and module are different things: not added, not compared (allowed: one scope)
    """
    names = sorted(set(scopes), key=lambda one: 0 if one is None else int(one))
    if len(names) > 1:
        labels = " and ".join("unknown" if one is None else one.label for one in names)
        raise BadInput(f"{labels} are different things: not added, not compared", field="scope", allowed="one scope")
    return names[0] if names else None
