"""``inferatlas catalogue``: what is known, on which source, where sources disagree, and whether files are sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import Out

app = App(name="catalogue", help="Accelerators, models and engines with every fact and its source.")
Kind = Literal["accelerators", "models", "engines", "workloads", "regimes"]


@app.command(name="list")
def list_(kind: Kind | None = None, /, *, out: Out = Out()) -> int:  # noqa: B008 - frozen
    """Names of accelerators, models, engines, workloads and regimes, with the figures they are known by.

    Parameters
    ----------
    kind
        Only these.
    """
    from inferatlas.catalogue.accelerators import accelerators
    from inferatlas.catalogue.engines import engines
    from inferatlas.catalogue.models import models
    from inferatlas.show.lists import list_page, list_rows, regime_rows, workload_rows

    sink = Sink(out)
    makers = {
        "accelerators": lambda: list_rows(accelerators()),
        "models": lambda: list_rows(models().values()),
        "engines": lambda: list_rows(engines()),
        "workloads": workload_rows,
        "regimes": regime_rows,
    }
    lists = {name: make() for name, make in makers.items() if kind in (None, name)}
    rows = [row for found in lists.values() for row in found]
    sink.put(rows, page=list_page, document=lambda: lists)
    return 0


@app.command
def show(name: str, /, *, out: Out = Out()) -> int:  # noqa: B008
    """Every fact about one accelerator, model or engine: value, unit, condition, status and source.

    Parameters
    ----------
    name
        Name in the catalogue, or a file.
    """
    from inferatlas.catalogue.find import find_thing
    from inferatlas.show.facts import fact_rows, thing_dict, thing_page

    sink = Sink(out)
    thing = find_thing(name)
    sink.put(thing, rows=fact_rows, page=thing_page, document=lambda: thing_dict(thing))
    return 0


@app.command
def conflicts(name: str | None = None, /, *, out: Out = Out()) -> int:  # noqa: B008
    """Where sources disagree: the value in use, the others, and why.

    Parameters
    ----------
    name
        Only this accelerator.
    """
    from dataclasses import asdict

    from inferatlas.catalogue.accelerators import load_accelerator
    from inferatlas.catalogue.conflicts import conflicts as all_conflicts
    from inferatlas.show.facts import conflict_rows, conflicts_page

    sink = Sink(out)
    wanted = None if name is None else load_accelerator(name).id
    found = [one for one in all_conflicts() if wanted in (None, one.accelerator)]
    sink.put(
        found,
        rows=conflict_rows,
        page=conflicts_page,
        document=lambda: {
            "count": len(found),
            "conflicts": [asdict(one) | {"reason": one.reason} for one in found],
        },
    )
    return 0


@app.command
def check(
    path: Annotated[Path | None, Parameter(help="A YAML file or a folder of them; default: the catalogue.")] = None,
    /,
    *,
    out: Out = Out(),  # noqa: B008
) -> int:
    """Read files strictly and hold their facts against each other.

    Exit code 2 if something must be mended, 5 if all that is wrong is facts that contradict each other.
    """
    from dataclasses import asdict

    from inferatlas.catalogue.check import check as findings_of
    from inferatlas.catalogue.check import exit_code
    from inferatlas.show.findings import findings_page

    sink = Sink(out)
    found = findings_of(path)
    code, rows = exit_code(found), [asdict(one) for one in found]
    sink.put(found, rows=lambda _: rows, page=findings_page, document=lambda: {"sound": code == 0, "findings": rows})
    return code
