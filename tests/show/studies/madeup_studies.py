"""Studies made up for tests: every kind of claim, plot and missing number."""

from __future__ import annotations

from typing import Any

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.auditing import Finding
from inferatlas.studies.claims.checking import Computed
from inferatlas.studies.claims.ledger import Paper
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.exhibits import Exhibit, Guideline, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.study import Study

EVIL = "a | b <script>alert(1)</script> $x$ *y* `z`"
CHIPS = ("NVIDIA A100", "NVIDIA H100", "AMD MI300X", "Intel Gaudi 3", "SambaNova SN40L", "Cerebras CS-3")
MODELS = ("Llama 3.1 8B", "Llama 3.3 70B", "Mixtral 8x7B", "DeepSeek R1")


PAPER = Paper(
    "made-up",
    "A Study of Nothing in Particular",
    "A. Author, B. Author",
    2025,
    "https://example.org/paper",
    "made-up.txt",
)


def finding(name: str, verdict: str, **rest: Any) -> Finding:
    """A claim of 75 W that the audit finds to be 215 W, unless told otherwise."""
    held: dict[str, Any] = {
        "paper": "made-up", "place": "Sec. II-A", "statement": "The accelerator draws little power",
        "basis": "specification", "quotes": ("draws about 75 W",), "asserted": read_printed("about 75 W"),
        "computed": Computed(215.0, 214.5, 215.5, "W"), "ratio": 75 / 215, "condition": "",
        "computation": "power, where power = 215 W (Table II)", "inputs": (), "needs": (), "checks": (),
    }  # fmt: skip
    return Finding(id=name, verdict=verdict, **held | rest)


def pair(what: dict[str, str], ours: float | None, published: str | None = None, **rest: Any) -> Pair:
    """A pair with an interval of 20 % either way."""
    held: dict[str, Any] = {"quantity": "output_tokens_per_s", "unit": "1/s", "label": "predicted"} | rest
    interval = None if ours is None else Interval(0.8 * ours, ours, 1.25 * ours)
    theirs = None if published is None else read_printed(published, rest.get("printed_unit", "1"))
    held.pop("printed_unit", None)
    return Pair(what, published=theirs, ours=interval, **held)


def grouped(chips: int = 6, models: int = 3) -> Exhibit:
    """Bars: one number not published, one without ours, one infeasible altogether."""
    pairs = []
    for i, chip in enumerate(CHIPS[:chips]):
        for j, model in enumerate(MODELS[:models]):
            value = 900.0 * (i + 1) / (1 + 3 * j)
            ours = None if (i, j) == (2, 1) else value
            theirs = None if (i + j) % 4 == 3 else f"{value * (0.8 + 0.13 * i):.0f}"
            note = "does not fit: 141 GB of 80 GB" if ours is None else ""
            label = "extrapolated" if i > 3 else "predicted"
            pairs.append(pair({"accelerator": chip, "model": model}, ours, theirs, label=label, note=note))
    plot = Plot("bars", "accelerator", colour="model")
    finding = "11 of 13 published numbers lie inside our intervals."
    return Exhibit("table-1", "Table 1", "Throughput by accelerator and model", finding, tuple(pairs), plot)


def growing(chips: int = 4, facets: int = 1) -> Exhibit:
    """Lines over the batch, one panel a model."""
    pairs = [
        pair(
            {"accelerator": chip, "model": model, "batch": str(batch)},
            200.0 * (i + 1) * batch ** (0.7 + 0.03 * i) / (1 + k),
            f"{190.0 * (i + 1) * batch ** (0.68 + 0.03 * i) / (1 + k):.0f}" if batch != 4 else None,
        )
        for k, model in enumerate(MODELS[:facets])
        for i, chip in enumerate(CHIPS[:chips])
        for batch in (1, 4, 16, 32, 64)
    ]
    plot = Plot("lines", "batch", colour="accelerator", facet="model" if facets > 1 else "")
    return Exhibit(f"figure-{facets}", f"Fig. {facets}", "Throughput over the batch", "It grows.", tuple(pairs), plot)


def mapped() -> Exhibit:
    """A heat map of times with a cell that does not fit."""
    pairs = [
        pair(
            {"model": model, "accelerator": chip},
            None if (i, j) == (0, 1) else 0.008 * (j + 1) ** 2 / (i + 1),
            f"{8.4 * (j + 1) ** 2 / (i + 1):.1f}" if (i + j) % 2 else None,
            printed_unit="ms",
            quantity="itl_s",
            unit="s",
            note="does not fit" if (i, j) == (0, 1) else "",
        )
        for i, chip in enumerate(CHIPS)
        for j, model in enumerate(MODELS)
    ]
    plot = Plot("heatmap", "accelerator", "model")
    return Exhibit("figure-9", "Fig. 9", "Inter-token latency", "It is short.", tuple(pairs), plot, ("A note.",))


def traded(facets: int = 1) -> Exhibit:
    """Throughput against latency, batch beside the points."""
    pairs = []
    for k, model in enumerate(MODELS[:facets]):
        for i, chip in enumerate(CHIPS[:3]):
            for batch in (1, 16, 32, 64):
                what = {"model": model, "accelerator": chip, "batch": str(batch)}
                latency, rate = 3.0 * (1 + batch / 40) / (i + 1) * (k + 1), 150.0 * (i + 1) * batch**0.8 / (k + 1)
                pairs.append(
                    pair(what, latency, f"{latency * 1.1:.2f}", quantity="latency_s", unit="s", printed_unit="s")
                )
                pairs.append(pair(what, rate, f"{rate * 0.93:.0f}"))
    plot = Plot("tradeoff", "latency_s", "output_tokens_per_s", colour="accelerator", mark="batch",
                facet="model" if facets > 1 else "")  # fmt: skip
    return Exhibit("figure-7", "Fig. 7", "Throughput against latency", "More costs time.", tuple(pairs), plot)


def made_up() -> Study:
    """A study with everything in it."""
    findings = (
        finding("power", "inconsistent"),
        finding("bandwidth", "beyond_physics", quotes=(EVIL,), statement=EVIL, computation="peak | 21 PB/s"),
        finding("structured", "consistent_under_condition", condition="with 2:4 structured sparsity", ratio=2.0),
        finding("fine", "consistent", ratio=1.0, computed=Computed(75.0, 75.0, 75.0, "W")),
        finding("open", "not_checkable", computed=None, ratio=None, needs=("how many chips served the model",)),
    )
    guidelines = (
        Guideline("small-batches", "Box 1", "Use small batches", "agrees_under_condition", "up to a batch of 32", 7, 9,
                  "7 of 9 cases agree.", growing(2).pairs, growing(2).plot),
        Guideline("sram", "Box 2", EVIL, "undecided", "our intervals overlap", 0, 0, "Nothing was decided."),
    )  # fmt: skip
    questions = (
        OpenQuestion("moe", "Sec. VII", "Do experts change it?", "Yes, from a batch of 8 on.", "medium",
                     "experts were measured on two machines only", ("8-bit weights", "no offloading")),
    )  # fmt: skip
    words = Pair({"chip": "A100"}, "memory", "1", read_printed("HBM2e", words=True), None, "catalogue")
    last = Exhibit("table-9", "Table 9", "Words", "Same.", (words,))
    exhibits = (grouped(), growing(), growing(6, 4), mapped(), traded(), last)
    return Study(PAPER, findings, exhibits, guidelines, questions)
