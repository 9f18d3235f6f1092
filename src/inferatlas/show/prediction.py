"""`inferatlas predict` as a page and as a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from inferatlas.predict.answer import DEFINITIONS, Answer
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import flat_metrics, layout_words, memory_bar, workload_words
from inferatlas.show.numbers import GIVEN, NONE, counted, figure, in_words, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.show.tables import share_bar

MOST_OPERATORS = 8  # of each phase
# level of evidence -> whose rows are counted there (`coefficients.answering`)
MEASURED = {
    "model+accelerator+engine": "model, accelerator and engine, the engine in its present generation",
    "accelerator+engine": "accelerator and engine, the engine in its present generation",
    "accelerator": "accelerator, under other engines or generations of them",
    "class+engine": "class of machine, on other accelerators; the engine was measured too",
    "class": "class of machine, on other accelerators",
}


def prediction_page(answer: Answer, typed: str) -> Page:
    """The whole answer; ``typed`` is the command that gave it."""
    inputs = answer.inputs
    what = (
        f"{inputs['model']} on {inputs['count']} x {inputs['accelerator']} ({layout_words(inputs['layout'])}, "
        f"{inputs['weights']} weights, {inputs['engine']})"
    )
    if not answer.fits:
        reason = answer.reason or {}
        least = reason.get("least_count")
        title = f"{what} does not fit: {reason.get('detail', 'no reason is known')} [{reason.get('code', '')}]."
        return [
            Heading(title),
            *([Paragraph(f"Ask for --count {least}.")] if least and least != inputs["count"] else []),
            _inputs(answer), memory_bar(answer.memory, "Memory of each device"),
            *_notes(answer), Command("Reproduce", typed),
        ]  # fmt: skip
    expected = ", ".join(
        f"{heading} {in_words(answer.metrics.get(name), unit)}"
        for name, heading, unit in (
            ("ttft_s", "TTFT", "s"),
            ("itl_s", "ITL", "s"),
            ("output_tokens_per_s", "output tokens/s", "1"),
        )
    )
    return [
        Heading(f"{what}: {expected}; bound by {(answer.bound or '').replace('_', ' ')} [{answer.label}]."),
        _inputs(answer),
        _metrics(answer),
        *_percentiles(answer),
        memory_bar(answer.memory, f"Memory of each device at the expected batch of {answer.batch or 0:.0f}"),
        *_techniques(answer),
        *_breakdown(answer),
        Paragraph(evidence_words(answer.evidence), quiet=True),
        *_notes(answer),
        Command("Reproduce", typed),
    ]


def evidence_words(evidence: Mapping[str, Any]) -> str:
    """What measured points stand behind an answer, in a sentence.

    >>> evidence_words({"level": "prior", "points": 0, "calibration": "2026-11-22/1a", "date": "2026-11-22"})
    'Evidence: none for this class of machine; coefficients are priors.'
    >>> evidence_words({"level": "class", "points": 80, "calibration": "2026-11-22/1a"})
    'Evidence: 80 measured rows of this class of machine, on other accelerators; calibration 2026-11-22/1a.'
    """
    level, points = evidence.get("level", "prior"), evidence.get("points", 0)
    if level == "prior":
        return "Evidence: none for this class of machine; coefficients are priors."
    rows = f"{counted(points, 'measured row')} of this {MEASURED[level]}"
    return f"Evidence: {rows}; calibration {evidence['calibration']}."


def _inputs(answer: Answer) -> Table:
    inputs, money = answer.inputs, answer.inputs.get("economics", {})
    formats = f"weights {inputs['weights']}, activations {inputs['activations']}, KV cache {inputs['kv_cache']}"
    rows = [
        ["workload", workload_words(inputs["workload"]), inputs["workload"].get("source") or NONE],
        ["formats", formats, f"multiplied in {inputs['compute']}"],
    ]  # fmt: skip
    for label, key, unit, source in (
        ("price", "usd_per_hour", "USD per accelerator-hour", "price_source"),
        ("price, owned", "usd_per_hour_owned", "USD per accelerator-hour", "owned_source"),
        ("electricity", "gco2e_per_kwh", "gCO2e/kWh", "grid_source"),
        ("PUE", "pue", "", "pue_source"),
    ):
        if key in money:
            known = money[key]
            rows.append(
                [label, NONE if known is None else f"{known:g} {unit}".strip(), money.get(source) or "no source"]
            )
    rows.append(["power", f"of the {inputs['power_scope']}" if inputs["power_scope"] else NONE, ""])
    if inputs["power_cap_w"] is not None:
        rows.append(["power cap", f"{figure(inputs['power_cap_w'], 'W')} per accelerator", ""])
    if inputs["clock"] is not None and inputs["clock"] < 1:
        rows.append(["clock", f"{inputs['clock']:.3g} of the measured one", ""])
    return Table("Asked", [Column("input"), Column("value"), Column("source", wraps=True)], rows)


def _metrics(answer: Answer) -> Table:
    rows = []
    for name, one in answer.metrics.items():
        heading, unit = quantity(name)
        meaning = DEFINITIONS.get(name, "")
        if one is None:
            rows.append([heading, NONE, NONE, NONE, "unknown", meaning])
            continue
        low, high = (GIVEN, GIVEN) if one.low == one.high else (figure(one.low, unit), figure(one.high, unit))
        rows.append([heading, low, figure(one.value, unit), high, answer.label, meaning])
    columns = [Column("metric"), *(Column(name, right=True) for name in ("low", "value", "high"))]
    return Table("Expected, with the 80 % interval", [*columns, Column("label"), Column("meaning", wraps=True)], rows)


def _techniques(answer: Answer) -> list[Block]:
    """What drafting gains, and what lies in which slower memory."""
    blocks: list[Block] = []
    if memories := answer.techniques.get("memories"):
        rows = [
            [one["name"], show(one["weights_bytes"], "B"), show(one["kv_bytes"], "B"),
             show(one["capacity_bytes"], "B") if math.isfinite(one["capacity_bytes"]) else "not stated",
             show(one["bytes_per_s"], "B/s"), show(one["power_w_at_most"], "W")]
            for one in memories
        ]  # fmt: skip
        names = ("weights", "KV cache", "capacity", "reached rate", "power of the stream, all devices, at most")
        columns = [Column("memory"), *(Column(name, right=True) for name in names)]
        blocks.append(Table("In slower memory, of each device", columns, rows))
    if drafted := answer.techniques.get("speculation"):
        gain = drafted.get("speed_up") or {}
        words = ", ".join(f"{name} {value:.2f} times as fast" for name, value in gain.items() if value)
        best = drafted["best_gamma"]
        why = "none" if best == 0 else f"{best} drafted token{'' if best == 1 else 's'}"
        text = f"Drafting {drafted['gamma']} tokens against none: {words or 'no gain is known'}."
        blocks.append(Paragraph(f"{text} At this load and acceptance, {why} would be best for latency."))
    return blocks


def _percentiles(answer: Answer) -> list[Block]:
    if not answer.percentiles:
        return []
    names = list(next(iter(answer.percentiles.values())))
    rows = [
        [quantity(f"{name}_s")[0], *(figure(values.get(q), "s") for q in names), answer.label]
        for name, values in answer.percentiles.items()
    ]
    columns = [Column("over requests"), *(Column(name, right=True) for name in names), Column("label")]
    return [Table("Percentiles (expected values, no interval of their own)", columns, rows)]


def _breakdown(answer: Answer) -> list[Block]:
    tables: list[Block] = []
    for phase, title in (
        ("prefill", "One step of the prompt alone"),
        ("decode", "One decode step at the expected batch"),
    ):
        spent = sorted((s for s in answer.breakdown if s["phase"] == phase), key=lambda s: -s["share"])
        rows = [
            [
                one["operator"],
                str(one["count"]),
                figure(one["seconds"], "s"),
                percent(one["share"]),
                share_bar(one["share"]),
                _mostly(one),
            ]
            for one in spent[:MOST_OPERATORS]
        ]
        if rest := spent[MOST_OPERATORS:]:
            seconds, share = sum(s["seconds"] for s in rest), sum(s["share"] for s in rest)
            rows.append([f"{len(rest)} others", "", figure(seconds, "s"), percent(share), share_bar(share), ""])
        columns = [
            Column("operator"),
            Column("times", right=True),
            Column("time", right=True),
            Column("share", right=True),
        ]
        if rows:
            tables.append(Table(f"{title} (no interval)", [*columns, Column(""), Column("mostly")], rows))
    return tables


def _mostly(spent: dict[str, Any]) -> str:
    return max(("compute", "memory", "network", "overhead"), key=lambda kind: spent[f"{kind}_s"])


def _notes(answer: Answer) -> list[Block]:
    return [Items("Assumed and left out", answer.fallbacks)] if answer.fallbacks else []


def prediction_rows(answer: Answer) -> list[dict[str, Any]]:
    """The answer as one flat row; intervals as ``x``, ``x_low``, ``x_high``, percentiles as ``ttft_p95_s``."""
    inputs, load = answer.inputs, answer.inputs["workload"]
    reason = answer.reason or {}
    percentiles = {f"{name}_{q}_s": value for name, qs in answer.percentiles.items() for q, value in qs.items()}
    return [
        {
            "model": inputs["model"], "accelerator": inputs["accelerator"], "count": inputs["count"],
            **inputs["layout"], **{name: inputs[name] for name in ("engine", "weights", "activations", "kv_cache")},
            **{name: load[name] for name in ("input_tokens", "output_tokens", "concurrency", "request_rate")},
            "clock": inputs["clock"], "power_cap_w": inputs["power_cap_w"],
            "fits": answer.fits, "reason": reason.get("code"), "reason_detail": reason.get("detail"),
            "least_count": reason.get("least_count"), **flat_metrics(answer.metrics), **percentiles,
            "bound": answer.bound, "batch": answer.batch, **answer.memory, "label": answer.label,
        }
    ]  # fmt: skip
