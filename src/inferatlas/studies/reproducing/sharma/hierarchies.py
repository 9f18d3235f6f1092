"""Fig. 7: the memories of each accelerator by level, capacity and bandwidth, from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.memory import main_memory
from inferatlas.quantities import show
from inferatlas.studies.claims.ledger import Row
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.catalogued import interval, note
from inferatlas.studies.reproducing.phrases import listed, span, times
from inferatlas.studies.reproducing.sharma.published import machines, stated, table

TABLE = "table-ii"
CAPACITY, BANDWIDTH, ON_CHIP = "capacity", "bandwidth", "on-chip"
UNITS = {CAPACITY: "B", BANDWIDTH: "B/s"}
ON = ("sram", "llc_infinity_cache", "sram_llc", "l2", "vmem", "sbuf")  # levels that stand for on-chip memory, in order


@dataclass(frozen=True)
class Level:
    """One memory of one accelerator; ``role``: main, on-chip or further."""

    row: Row
    accelerator: Accelerator
    name: str
    role: str

    def fact(self, quantity: str) -> Fact | None:
        return self.accelerator.facts.chosen(f"mem.{self.name}.{quantity}")

    def value(self, quantity: str) -> float | None:
        return self.accelerator.facts.number(f"mem.{self.name}.{quantity}")


def levels() -> list[Level]:
    """Every memory of the accelerators of Table II of which a capacity or a bandwidth is known."""
    return [level for row, accelerator in machines(TABLE).values() for level in _levels(row, accelerator)]


def _levels(row: Row, accelerator: Accelerator) -> Iterator[Level]:
    main = main_memory(accelerator)
    fields = [field.split(".") for field in accelerator.facts.fields() if field.startswith("mem.")]
    names = dict.fromkeys(parts[1] for parts in fields if len(parts) == 3 and parts[2] in UNITS)
    on = next((name for name in ON if name in names), None)
    for name in names:
        role = "main" if name == main else "on-chip" if name == on else "further"
        level = Level(row, accelerator, name, role)
        if any(level.value(quantity) for quantity in UNITS):  # 0 is a memory that is not there
            yield level


def exhibit() -> Exhibit:
    """The figure, a pair per level and quantity, beside what Table II and the figure print of it."""
    found = levels()
    return Exhibit(
        id="fig-7",
        place="Fig. 7, Sec. III-F",
        title="Memory hierarchies: capacity and bandwidth by level",
        finding=finding(found),
        pairs=tuple(_pair(level, quantity) for level in found for quantity in UNITS if _said(level, quantity)),
        plot=Plot("bars", x="accelerator", colour="level", facet="quantity", log=True),
        notes=(
            f"printed: capacities and bandwidths of {table(TABLE).place}, which the figure draws",
            "main memory is the one that holds weights and KV cache; on-chip memory the largest shared one",
        ),
    )


def _said(level: Level, quantity: str) -> bool:
    return level.fact(quantity) is not None or _printed(level, quantity) is not None


def _printed(level: Level, quantity: str) -> Printed | None:
    if level.role == "main":
        return stated(level.row, quantity)
    if level.role == "on-chip" and quantity == CAPACITY:
        return stated(level.row, ON_CHIP)
    return None


def _pair(level: Level, quantity: str) -> Pair:
    chosen = level.fact(quantity)
    others = [one for one in level.accelerator.facts.all(f"mem.{level.name}.{quantity}") if one is not chosen]
    what = {"accelerator": level.row.title, "level": f"{level.role}: {level.name.replace('_', ' ')}"}
    unit = UNITS[quantity]
    return Pair(
        what, quantity, unit, _printed(level, quantity), interval(chosen, unit), "catalogue", note(chosen, others)
    )


def finding(found: Sequence[Level]) -> str:
    """The three groups by what holds the model, and how much faster on-chip memory is where that is known."""
    groups: dict[str, list[Level]] = {}
    for level in found:
        if level.role == "main":
            groups.setdefault(_group(level.name), []).append(level)
    said = [f"{name} of {_span(group)} on {listed([one.row.title for one in group])}" for name, group in groups.items()]
    ratio = {}
    for level in (one for one in found if one.role == "on-chip"):
        main = next((o for o in found if o.role == "main" and o.accelerator is level.accelerator), None)
        fast, slow = level.value(BANDWIDTH), main.value(BANDWIDTH) if main else None
        if fast and slow:
            ratio[level.row.title] = fast / slow
    beside = [one for one in found if one.role == "on-chip"]
    tail = (
        f"{times(min(ratio.values()))} to {times(max(ratio.values()))} as fast ({listed(list(ratio))})" if ratio else ""
    )
    return (
        f"The model lies in {'; in '.join(said)}. {len(beside)} have a large on-chip memory beside that; its "
        f"bandwidth is known of {len(ratio)}{f', {tail}' if tail else ''}."
    )


def _group(name: str) -> str:
    return "on-chip SRAM" if name == "sram" else name.upper()


def _span(group: Sequence[Level]) -> str:
    sizes = [one.value(CAPACITY) or 0.0 for one in group]
    rates = [rate for one in group if (rate := one.value(BANDWIDTH))]
    speed = span(rates, "B/s") if rates else show(None, "B/s")
    return f"{span(sizes, 'B')} at {speed}"
