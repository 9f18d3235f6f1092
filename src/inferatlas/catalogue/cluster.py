"""A cluster of one's own: which accelerator, how many in which nodes, joined how, at which price and site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from inferatlas.catalogue.accelerator import Accelerator, Cluster
from inferatlas.catalogue.factfile import bad, check_keys
from inferatlas.catalogue.facts import Fact, FactSheet
from inferatlas.documents import Document
from inferatlas.errors import InferAtlasError
from inferatlas.quantities import parse

_REQUIRED = ("id", "accelerator", "nodes", "accelerators_per_node", "source")
_QUANTITIES = {"scale_out": "B/s", "price": "USD/h", "grid": "gCO2e/kWh"}
_MOST = {"scale_out": 1e15, "price": 1e6, "grid": 1e5}  # what no site has
_OPTIONAL = ("name", "scale_up_domain", "pue", *_QUANTITIES)


def clustered(document: Document, load: Callable[[str], Accelerator]) -> Accelerator:
    """The accelerator of a cluster file, with the cluster's figures in front of the catalogue's.

    ``load`` finds the accelerator that the file names.

    Values with a unit are texts: ``scale_out: 50 GB/s``, ``price: 2.10 USD/h``, ``grid: 369 gCO2e/kWh``.

    Raises
    ------
    BadInput : with file and line: a stray or missing key, a unit of another kind, a number out of range, an unknown
        accelerator.
    """
    data = document.data
    check_keys(document, (), data, _REQUIRED, _OPTIONAL)
    for key in ("id", "accelerator", "source", *(["name"] if "name" in data else [])):
        if not isinstance(data[key], str) or not data[key].strip():
            raise bad(document, "a text is needed here", key)
    try:
        base = load(data["accelerator"])
    except InferAtlasError as error:
        raise bad(document, error.message, "accelerator", allowed=error.allowed, hint=error.hint) from None
    if base.cluster is not None:
        raise bad(document, "a cluster is made of accelerators, not of clusters", "accelerator")
    pue = data.get("pue")
    if pue is not None and (isinstance(pue, bool) or not isinstance(pue, int | float) or not 1 <= pue < 10):
        raise bad(document, f"{pue!r} is not a PUE", "pue", allowed="a number from 1 up to 10")
    quantities = {key: _quantity(document, key, unit) for key, unit in _QUANTITIES.items()}
    per_node = _count(document, "accelerators_per_node")
    cluster = Cluster(
        id=data["id"],
        name=data.get("name", data["id"]),
        nodes=_count(document, "nodes"),
        accelerators_per_node=per_node,
        usd_per_hour=quantities["price"],
        pue=None if pue is None else float(pue),
        gco2e_per_kwh=quantities["grid"],
        source=data["source"],
    )
    own: dict[str, tuple[float, str]] = {"chips_per_node": (float(per_node), "1")}
    if "scale_up_domain" in data:
        own["interconnect.scale_up.max_domain"] = (float(_count(document, "scale_up_domain")), "1")
    if quantities["scale_out"] is not None:
        own["interconnect.scale_out.per_direction"] = (quantities["scale_out"], "B/s")
    rivals = [replace(fact, status="alternative") if fact.used and fact.field in own else fact for fact in base.facts]
    stated = [_stated(field, value, unit, cluster) for field, (value, unit) in own.items()]
    facts = FactSheet([*stated, *rivals])
    return replace(base, name=f"{base.name} in {cluster.name}", facts=facts, cluster=cluster, file=document.file)


def _stated(field: str, value: float, unit: str, cluster: Cluster) -> Fact:
    return Fact(
        field, value, unit, f"{value:g}", unit, f"cluster {cluster.id}", "chosen", "retrieved", cluster.source, None,
        "medium", "stated by the user",
    )  # fmt: skip


def _count(document: Document, key: str) -> int:
    value: Any = document.data[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
        raise bad(document, f"{value!r} is not a count", key, allowed="a whole number, 1 or more")
    return value


def _quantity(document: Document, key: str, unit: str) -> float | None:
    if key not in document.data:
        return None
    try:
        value = parse(str(document.data[key]), unit, field=key)
    except InferAtlasError as error:
        raise bad(document, error.message, key, allowed=error.allowed) from None
    if not 0 <= value <= _MOST[key] or (value == 0 and key != "grid"):
        least = "0" if key == "grid" else "above 0"
        allowed = f"{least} and up to {_MOST[key]:,.0f} {unit}"
        raise bad(document, f"{document.data[key]!r} is out of range", key, allowed=allowed)
    return value
