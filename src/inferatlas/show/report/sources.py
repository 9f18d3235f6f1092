"""The dated rows behind a recommendation: prices, grid, site and embodied carbon, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.decide.advisor.recommend import Recommendation
from inferatlas.predict.cost.economics import TERMS, grid_row, price_row, pue_row, source_of
from inferatlas.quantities import show


@dataclass(frozen=True, slots=True)
class Cited:
    """A value that entered the answer: what it is, the value in words, and where and when it comes from."""

    what: str
    value: str
    date: str
    source: str
    address: str | None
    status: str


def price_rows(found: Recommendation) -> list[Cited]:
    """The price of every accelerator among the candidates; one without a price says so."""
    out: list[Cited] = []
    for slug, money in {c.accelerator: c.economics for c in found.candidates}.items():
        used = (money.price_source, money.owned_source)
        chosen = [row for kind in TERMS if (row := price_row(slug, kind)) and source_of(row) in used]
        rows = [
            Cited(f"{slug}: {row.kind}, {row.term}", f"{show(row.value, '1')} USD/h", row.date,
                  f"{row.source} (region: {row.region})", row.address, row.status)
            for row in chosen
        ]  # fmt: skip
        if money.usd_per_hour is not None and all(source_of(row) != money.price_source for row in chosen):
            own = f"{show(money.usd_per_hour, '1')} USD/h"  # the user's, or the cluster's
            rows.insert(0, Cited(f"{slug}: price", own, "—", money.price_source or "", None, "given"))
        out += rows or [Cited(f"{slug}: price", "—", "—", "no price with a source is known", None, "unknown")]
    return out


def site_rows(found: Recommendation) -> list[Cited]:
    """Grid, PUE, use, and embodied carbon as used for the first candidate; nothing where there is none."""
    if not found.candidates:
        return []
    slug, money = found.candidates[0].accelerator, found.candidates[0].economics
    limits = found.inputs["limits"]
    grid, place = grid_row(limits["region"]), pue_row(limits["site"])
    grid = grid if source_of(grid) == money.grid_source else None  # a cluster has its own
    place = place if source_of(place) == money.pue_source else None
    rows = [
        Cited("grid carbon intensity", f"{show(money.gco2e_per_kwh, '1')} gCO2e/kWh", grid.year if grid else "—",
              money.grid_source, grid.address if grid else None, grid.status if grid else "documented"),
        Cited("PUE of the site", f"{money.pue:g}", place.year if place else "—", money.pue_source,
              place.address if place else None, place.status if place else "documented"),
    ]  # fmt: skip
    if money.embodied_g_per_hour is None:
        rows.append(Cited(f"embodied carbon of {slug}", "—", "—", "none is published: operation only", None, "unknown"))
    else:
        value = f"{show(money.embodied_g_per_hour, '1')} gCO2e per accelerator-hour"
        rows.append(Cited(f"embodied carbon of {slug}", value, "—", money.embodied_source or "", None, "derived"))
    used = money.utilisation
    rows.append(
        Cited("utilisation", f"{100 * used:g} %", "—", "share of all hours in which this load is served", None, "given")
    )
    return rows
