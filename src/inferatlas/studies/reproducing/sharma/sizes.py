"""Fig. 1: the memory of models by the precision of their weights, and who in Table II holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.memory import main_memory_bytes
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.quantities import show
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import listed
from inferatlas.studies.reproducing.sharma.published import claimed, machines

PRECISIONS = {"FP16": "fp16", "INT8/FP8": "int8", "INT4": "int4"}  # of the caption
# From the figure's first size up: BGE-large has the shape of BERT-Large, Kimi K2 a trillion parameters.
MODELS = ("bge-large-en-v1.5", "llama-2-7b", "llama-2-70b", "gpt-3-175b", "llama-3.1-405b", "deepseek-r1", "kimi-k2")
STATED = {("llama-2-70b", "FP16"): "memory-of-70b", ("kimi-k2", "FP16"): "memory-of-1t"}  # claim of each


@dataclass(frozen=True)
class Size:
    """One model in one precision."""

    model: ModelConfig
    precision: str
    parameters: int
    bytes: float

    @property
    def printed(self) -> Printed | None:
        name = STATED.get((self.model.id, self.precision))
        return None if name is None else claimed(name)


def sizes() -> list[Size]:
    """Every model in every precision of the figure: bytes of an element with its scales times parameters.

    Examples
    --------
    >>> [round(one.bytes / 1e9) for one in sizes() if one.model.id == "llama-2-70b"]
    [138, 69, 36]
    """
    out = []
    for name in MODELS:
        model = load_model(name)
        total = count(model).total
        out += [Size(model, words, total, total * FORMATS[form].bytes) for words, form in PRECISIONS.items()]
    return out


def exhibit() -> Exhibit:
    """The figure: bytes by model and precision."""
    found = sizes()
    held = [accelerator for _, accelerator in machines("table-ii").values()]
    return Exhibit(
        id="fig-1",
        place="Fig. 1, Sec. II-A",
        title="Memory of the weights by precision",
        finding=finding(found, held),
        pairs=tuple(_pair(one) for one in found),
        plot=Plot("bars", x="model", colour="precision", log=True),
        notes=(
            "ours: parameters counted from the shapes of each model, bytes of an element with its scales; the KV "
            "cache comes on top",
            "the figure's own sizes of further models are drawn, not printed: they cannot be read",
        ),
    )


def _pair(one: Size) -> Pair:
    what = {"model": one.model.name, "precision": one.precision}
    words = f"{one.parameters / 1e9:,.1f} billion parameters of {one.bytes / one.parameters:g} B"
    return Pair(what, "weight_bytes", "B", one.printed, exact(one.bytes), "derived", words)


def finding(found: Sequence[Size], held: Sequence[Accelerator]) -> str:
    """Whether the printed sizes are right, and how many accelerators of Table II hold each of those models."""
    said = []
    for one in (one for one in found if one.printed is not None):
        pair = _pair(one)
        verdict = "agrees" if pair.inside else "does not agree"
        printed = one.printed.text if one.printed else ""
        said.append(f"{one.model.name} takes {show(one.bytes, 'B')} in {one.precision} (printed {printed}: {verdict})")
    holders = [f"{_holders(one.bytes, held)} in {one.precision}" for one in found if one.model.id == "llama-2-70b"]
    largest = max(found, key=lambda one: one.parameters)
    least = min(one.bytes for one in found if one.model is largest.model)
    return (
        f"{listed(said)}. Of {len(held)} accelerators of Table II {listed(holders)} hold the model of 70 billion "
        f"parameters alone, and {_holders(least, held)} hold {largest.model.name} in any precision."
    )


def _holders(size: float, held: Sequence[Accelerator]) -> int:
    return sum(size <= (main_memory_bytes(one) or 0.0) for one in held)
