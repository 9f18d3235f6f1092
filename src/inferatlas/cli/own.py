"""``inferatlas own``: dollars, carbon and water of a deployment that is owned, and what would change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter, Token

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import COST, DEPLOYMENT, flag


def grams(_: Any, tokens: Sequence[Token]) -> float:
    """Embodied carbon with its unit: ``150kg``, ``0.15 tCO2e``."""
    from inferatlas.quantities import parse

    text = tokens[0].value.strip()
    return parse(f"{text}CO2e" if text.endswith("g") else text, "gCO2e", field="embodied")


def watts(help: str, name: str) -> Parameter:
    """A flag for a power with its unit."""
    return flag(help, COST, name, converter=flags.watts, n_tokens=1)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Figures:
    """The owner's figures, per accelerator."""

    capex: Annotated[float | None, flag("USD per accelerator with its share of the server.", COST)] = None
    life: Annotated[float | None, flag("Years of use. Default: 5.", COST)] = None
    interest: Annotated[float | None, flag("Cost of capital per year. Default: 0.08.", COST)] = None
    network: Annotated[float | None, flag("Network and storage, share of capex. Default: 0.15.", COST)] = None
    residual: Annotated[float | None, flag("Share of capex at the end of life. Default: 0.", COST)] = None
    maintenance: Annotated[float | None, flag("Share of capex per year. Default: 0.04.", COST)] = None
    availability: Annotated[float | None, flag("Share of the year. Default: 0.97.", COST)] = None
    utilisation: Annotated[float | None, flag("Share of usable hours that serve. Default: 0.5.", COST)] = None
    electricity: Annotated[float | None, flag("USD per kWh. Default: 0.08.", COST)] = None
    pue: Annotated[float | None, flag("Overhead of the site. Default: 1.2.", COST, "--pue")] = None
    colo: Annotated[float | None, flag("USD per kW reserved and month. Default: 184.06.", COST)] = None
    provisioned: Annotated[float | None, watts("Power reserved: 1.73kW.", "--provisioned")] = None
    idle: Annotated[float | None, watts("Power drawn idle: 70W.", "--idle")] = None
    embodied: Annotated[
        float | None, flag("Carbon of making it: 150kg.", COST, "--embodied", converter=grams, n_tokens=1)
    ] = None
    water_site: Annotated[float | None, flag("Litres per kWh at the site.", COST)] = None
    water_grid: Annotated[float | None, flag("Litres per kWh at the power stations.", COST)] = None


def own(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    spread: flags.Spread = flags.Spread(),  # noqa: B008 - frozen
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    power: flags.Power = flags.Power(),  # noqa: B008
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008
    figures: Figures = Figures(),
    region: Annotated[str, flag("Grid whose carbon and water count.", COST)] = "USA",
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """USD, gCO2e and litres of water per million output tokens of hardware that is owned, with elasticities.

    Idle hours count. Without --capex the dollars stay unknown, without --water-site the water: nothing is guessed.
    Exit code 3 if the deployment does not fit.
    """
    from inferatlas.decide.ownership.own import own as owned
    from inferatlas.decide.ownership.owner import Owner
    from inferatlas.show.ownership import ownership_html, ownership_page, ownership_rows

    sink = Sink(out)
    found = owned(
        model,
        accelerator,
        owner=Owner(**asdict(figures)),
        region=region,
        **asdict(traffic),
        **asdict(spread),
        engine=engine,
        weights=weights,
        kv_cache=kv_cache,
        **asdict(power),
    )
    sink.put(found, rows=ownership_rows, page=ownership_page, html=ownership_html)
    return 0
