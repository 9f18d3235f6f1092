"""Parts that pages of several commands share: layouts, memory, metrics as flat columns."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.predict.answer import Interval
from inferatlas.quantities import show
from inferatlas.show.numbers import GIVEN, as_given, listed
from inferatlas.show.page import Bar, Part, Table

# objective -> what the best one by it is
AIMS = {
    "cost": "the cheapest per output token",
    "energy": "the one with most tokens per joule",
    "latency": "the one with the shortest latency",
    "throughput": "the one with most output tokens per second",
    "carbon": "the one with least carbon per output token",
}
# objective -> what is missing where nothing is known by it
MISSING = {"cost": "price", "energy": "rated power", "carbon": "rated power"}


def undecided(objective: str, best: Mapping[str, Interval | None]) -> str:
    """Why an objective decides nothing: not even the metrics of the first hold it. Empty where they do.

    >>> undecided("cost", {"usd_per_million_tokens": None}), undecided("latency", {"latency_s": Interval(1, 2, 3)})
    ('no price is known, so cost decides nothing', '')
    """
    if best.get(OBJECTIVES[objective][0]) is not None:
        return ""
    return f"no {MISSING.get(objective, objective)} is known, so {objective} decides nothing"


def figures_words(
    metrics: Collection[str], tables: Iterable[Table], *, where: str = "Second lines", unless: str = ""
) -> str:
    """How to read the figures of tables: their intervals, and what they are of. Nothing is said that is not there.

    Parameters
    ----------
    metrics : the metrics in the tables. where : where their intervals stand.
    unless : when something is not of the whole deployment, in words.

    Examples
    --------
    >>> from inferatlas.show.page import Column
    >>> figures_words(["ttft_s", "power_w"], [Table("", [Column("TTFT")], [["190 ms\\n130–278 ms"]])])
    'Second lines are 80 % intervals. Latencies are means over requests; power is of the whole deployment.'
    """
    cells = [cell for table in tables for row in table.rows for cell in row]
    intervals = [f"{where} are 80 % intervals"]
    if any(re.search(rf"[\n(]{GIVEN}", cell) for cell in cells):
        intervals.append(f"'{GIVEN}' has none because the question fixes it")
    if any(re.search(r"[\n(]unknown", cell) for cell in cells):
        single = ", or a single output token has no ITL" if "itl_s" in metrics else ""
        intervals.append(f"'unknown': no source is known{single}")
    of = ["latencies are means over requests"] if {"ttft_s", "itl_s", "latency_s"} & set(metrics) else []
    whole = ["tokens/s"] if any("tokens_per_s" in name for name in metrics) else []
    whole += ["power"] if "power_w" in metrics else []
    if whole:
        verb = "are" if "tokens/s" in whole else "is"
        of.append(f"{listed(whole)} {verb} of the whole deployment" + (f", unless {unless}" if unless else ""))
    each = {"usd": "cost", "gco2e": "carbon"}
    if per_token := [word for start, word in each.items() if any(name.startswith(start) for name in metrics)]:
        of.append(f"{listed(per_token)} {'are' if len(per_token) > 1 else 'is'} per million output tokens")
    text = "; ".join(of)
    return f"{'; '.join(intervals)}. {text[:1].upper()}{text[1:]}."


def layout_words(layout: Mapping[str, float]) -> str:
    """A layout in short: ``tp8 pp2``; parallelism of one is left out, and a share of offloaded weights is named.

    Examples
    --------
    >>> layout_words({"tp": 8, "pp": 1, "ep": 1, "dp": 2}), layout_words({"tp": 1, "pp": 1, "ep": 1, "dp": 1})
    ('tp8 dp2', 'tp1')
    >>> layout_words({"tp": 4, "pp": 1, "ep": 1, "dp": 1, "offload": 0.25, "kv_offload": 0.5})
    'tp4 offload 25% KV offload 50%'
    """
    words = [f"{name}{n}" for name, n in layout.items() if n > 1 and "offload" not in name]
    for name, of in (("offload", "offload"), ("kv_offload", "KV offload")):
        if share := layout.get(name):
            words.append(f"{of} {share:.0%}" if share >= 0.01 else f"{of} {share:.1%}")
    return " ".join(words) or f"tp{layout.get('tp', 1)}"


def memory_bar(memory: Mapping[str, float], title: str) -> Bar:
    """The memory of one device as the engine sees it, against its capacity."""
    sequences = memory.get("sequences", float("nan"))
    room = f" (room: {sequences:,.0f} sequences)" if math.isfinite(sequences) else ""
    parts = [
        Part(name, memory[key], show(memory[key], "B") + (room if key == "kv_bytes" else ""))
        for name, key in (
            ("weights", "weights_bytes"), ("KV cache", "kv_bytes"), ("activations", "activations_bytes"),
            ("reserve", "reserve_bytes"),
        )
    ]  # fmt: skip
    free = max(memory["capacity_bytes"] - sum(part.size for part in parts), 0.0)
    usable = memory.get("usable_bytes", memory["capacity_bytes"])
    words = f"{show(memory['capacity_bytes'], 'B')}, {show(free, 'B')} free (engine: up to {show(usable, 'B')})"
    return Bar(
        f"{title} (from shapes and formats, no interval)", parts, Part("capacity", memory["capacity_bytes"], words)
    )


def flat_metrics(metrics: Mapping[str, Interval | None]) -> dict[str, float | None]:
    """Metrics as columns: ``ttft_s``, ``ttft_s_low``, ``ttft_s_high``, ...

    Examples
    --------
    >>> flat_metrics({"power_w": Interval(1.0, 2.0, 3.0), "itl_s": None})
    {'power_w': 2.0, 'power_w_low': 1.0, 'power_w_high': 3.0, 'itl_s': None, 'itl_s_low': None, 'itl_s_high': None}
    """
    row: dict[str, float | None] = {}
    for name, one in metrics.items():
        ends = (None, None, None) if one is None else (one.value, one.low, one.high)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return row


def workload_words(workload: Mapping[str, Any]) -> str:
    """Lengths and load in a sentence fragment.

    Examples
    --------
    >>> from dataclasses import asdict
    >>> from inferatlas.workload import Workload
    >>> workload_words(asdict(Workload("chat", 1154.7, 211.13, input_cv=1.3, output_cv=0.9, request_rate=4.0)))
    'chat: on average 1,155 input and 211 output tokens, 4 requests/s'
    """
    rate, held = workload["request_rate"], workload["concurrency"]
    load = (
        f"{as_given(rate)} requests/s"
        if held is None
        else f"{as_given(held)} request{'' if held == 1 else 's'} in flight"
    )
    mean = "on average " if workload["input_cv"] or workload["output_cv"] else ""
    lengths = f"{workload['input_tokens']:,.0f} input and {workload['output_tokens']:,.0f} output tokens"
    return f"{workload['name']}: {mean}{lengths}, {load}"
