"""The names of the catalogue with the figures they are known by, as a page and as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.find import Thing
from inferatlas.catalogue.memory import main_memory, main_memory_bytes
from inferatlas.catalogue.model import ModelConfig
from inferatlas.quantities import show
from inferatlas.show.facts import context, kind_of
from inferatlas.show.numbers import NONE
from inferatlas.show.page import Block, Column, Command, Page, Table
from inferatlas.workload import load_workload, regimes, workload_names
from inferatlas.workload.regimes import DATA as REGIMES

Rows = Sequence[dict[str, Any]]


def list_rows(things: Iterable[Thing]) -> list[dict[str, Any]]:
    """One row per thing: what it is called, and the few figures by which it is known."""
    rows = []
    for thing in things:
        row: dict[str, Any] = {
            "kind": kind_of(thing),
            "id": thing.id,
            "name": thing.name,
            "aliases": ", ".join(thing.aliases),
        }
        if isinstance(thing, Accelerator):
            level, facts = main_memory(thing), thing.facts
            row |= {"vendor": thing.vendor, "class": thing.architectural_class, "memory": level}
            row |= {
                "memory_bytes": main_memory_bytes(thing),
                "memory_bytes_per_s": facts.number(f"mem.{level}.bandwidth"),
            }
            row |= {
                "peak_flop_per_s": facts.number("peak_bf16") or facts.number("peak_fp16"),
                "power_w": facts.number("power.tdp"),
            }
        elif isinstance(thing, ModelConfig):
            row |= {"family": thing.family, "architecture": thing.kind, "parameters": _parameters(thing)}
            row |= {
                "context_length": thing.context_length,
                "weights": thing.checkpoint_weights,
                "images": thing.vision is not None,
                "modelled": thing.not_modelled is None,
            }
        rows.append(row)
    return rows


def workload_rows() -> list[dict[str, Any]]:
    """One row per named workload."""
    return [{"kind": "workload", "id": name, **asdict(load_workload(name))} for name in workload_names()]


def regime_rows() -> list[dict[str, Any]]:
    """One row per operating regime; its file is there to be copied."""
    return [
        {
            "kind": "regime", "id": one.name, "name": one.title, "metric": one.metric, "per": one.per,
            "better": one.better, "input_tokens": one.input_tokens, "output_tokens": one.output_tokens,
            "model": one.model, "source": one.source, "file": str(REGIMES / f"{one.name}.yaml"),
        }
        for one in regimes()
    ]  # fmt: skip


def _parameters(model: ModelConfig) -> float | None:
    if model.facts is None:
        return None
    names = ("parameters.exact", "parameters.computed", "parameters.nominal")
    return next((value for name in names if (value := model.facts.number(name))), None)


def list_page(rows: Sequence[dict[str, Any]], typed: str) -> Page:
    """Accelerators, models, engines, workloads and regimes as one table each."""
    makers = {
        "accelerator": _accelerators, "model": _models, "engine": _engines, "workload": _workloads, "regime": _regimes,
    }  # fmt: skip
    mine = {kind: [row for row in rows if row["kind"] == kind] for kind in makers}
    tables: list[Block] = [make(mine[kind]) for kind, make in makers.items() if mine[kind]]
    return [*tables, Command("Reproduce", typed)]


def _accelerators(rows: Rows) -> Table:
    columns = [Column("accelerator"), Column("vendor"), Column("class"), Column("memory", right=True), Column("kind")]
    columns += [Column(name, right=True) for name in ("bandwidth", "16-bit peak", "power")]
    cells = [
        [
            row["id"],
            row["vendor"],
            row["class"],
            show(row["memory_bytes"], "B"),
            row["memory"] or NONE,
            show(row["memory_bytes_per_s"], "B/s"),
            show(row["peak_flop_per_s"], "FLOP/s"),
            show(row["power_w"], "W"),
        ]
        for row in rows
    ]
    title = f"{len(rows)} accelerators (published facts; `catalogue show NAME` has their sources)"
    return Table(title, columns, cells)


def _models(rows: Rows) -> Table:
    columns = [Column("model"), Column("architecture"), Column("parameters, billion", right=True)]
    columns += [Column("context", right=True), Column("weights"), Column("images")]
    cells = [
        [
            row["id"],
            row["architecture"],
            show(row["parameters"] and row["parameters"] / 1e9, "1"),
            context(row["context_length"]),
            row["weights"],
            "yes" if row["images"] else NONE,
        ]
        for row in rows
    ]
    return Table(f"{len(rows)} models", columns, cells)


def _engines(rows: Rows) -> Table:
    return Table(f"{len(rows)} engines", [Column("engine"), Column("name")], [[row["id"], row["name"]] for row in rows])


def _workloads(rows: Rows) -> Table:
    columns = [Column("workload"), Column("input tokens", right=True), Column("output tokens", right=True)]
    cells = [[row["id"], f"{row['input_tokens']:,.0f}", f"{row['output_tokens']:,.0f}", row["source"]] for row in rows]
    return Table(f"{len(rows)} workloads", [*columns, Column("source", wraps=True)], cells)


def _regimes(rows: Rows) -> Table:
    columns = [Column("regime"), Column("metric"), Column("input tokens", right=True)]
    columns += [Column("output tokens", right=True), Column("title"), Column("file to copy and change")]
    cells = [
        [
            row["id"], f"{row['metric']} per {row['per']}", f"{row['input_tokens']:,.0f}",
            f"{row['output_tokens']:,.0f}", row["name"], row["file"],
        ]
        for row in rows
    ]  # fmt: skip
    return Table(f"{len(rows)} operating regimes", columns, cells)
