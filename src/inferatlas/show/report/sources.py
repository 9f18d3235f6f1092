"""The dated rows behind a recommendation: prices, grid, site and embodied carbon, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.carbon import grid_intensities, pues
from inferatlas.catalogue.prices import prices
from inferatlas.decide.advisor.recommend import Recommendation
from inferatlas.predict.cost.economics import OWNERSHIP_TERM, RENTAL_TERM
from inferatlas.quantities import show

_TERMS = {"rental": RENTAL_TERM, "ownership": OWNERSHIP_TERM}


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
    given = found.inputs["limits"]["price"]
    out: list[Cited] = []
    for slug in dict.fromkeys(c.accelerator for c in found.candidates):
        rows = [
            Cited(f"{slug}: {row.kind}, {row.term}", f"{show(row.value, '1')} USD/h", row.date,
                  f"{row.source} (region: {row.region})", row.address, row.status)
            for row in prices()
            if row.accelerator == slug and row.per == "accelerator" and row.value is not None
            and row.term == _TERMS.get(row.kind) and not (given is not None and row.kind == "rental")
        ]  # fmt: skip
        used = next(c.economics for c in found.candidates if c.accelerator == slug)
        if used.usd_per_hour is not None and not any(
            row.value == f"{show(used.usd_per_hour, '1')} USD/h" for row in rows
        ):
            own = f"{show(used.usd_per_hour, '1')} USD/h"
            rows.insert(0, Cited(f"{slug}: price", own, "—", used.price_source or "", None, "given"))
        out += rows or [Cited(f"{slug}: price", "—", "—", "no price with a source is known", None, "unknown")]
    return out


def site_rows(found: Recommendation) -> list[Cited]:
    """Grid, PUE, use, and embodied carbon as used for the first candidate; nothing where there is none."""
    if not found.candidates:
        return []
    slug, money = found.candidates[0].accelerator, found.candidates[0].economics
    grid = next(
        (r for r in grid_intensities() if money.grid_source.startswith(f"{r.region} {r.year}, {r.method}")), None
    )
    place = next((r for r in pues() if money.pue_source.startswith(f"{r.site}:")), None)
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
