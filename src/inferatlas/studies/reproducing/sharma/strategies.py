"""Section V: scaling strategies of models with many parameters: parameters per computation, variation, support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.scaling import support
from inferatlas.decide.scaling.compare import Scaling, scale
from inferatlas.decide.scaling.placed import Placed
from inferatlas.decide.scaling.strategies import STRATEGIES, Strategy, published_support
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.platforms import bind
from inferatlas.predict.replicas import Layout
from inferatlas.studies.claims.printed import Printed, read_printed
from inferatlas.studies.exhibits import Exhibit, Label, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import listed, plural, span
from inferatlas.studies.reproducing.sharma.published import claimed

ON, COUNT = "nvidia-b200-sxm", 16  # two nodes: a trillion parameters in 8 bit, and their caches
MODELS = ("kimi-k2", "deepseek-r1", "qwen3-235b-a22b", "gpt-oss-120b")  # mixtures from a trillion parameters down
PURE = ("tensor", "pipeline", "expert", "offload")  # the paper's four
DENSE = 0.5  # parameters per FLOP of a dense model: each takes part in a multiplication and an addition
RATIO, VARIANCE = "expert-parameter-to-compute", "expert-latency-variance"


@dataclass(frozen=True)
class Scaled:
    """One model in every strategy."""

    name: str
    total: int
    found: Scaling

    def of(self, strategy: str) -> Placed | None:
        """A strategy where it fits."""
        return next((one for one in self.found.strategies if one.name == strategy and one.fits), None)

    def variation(self, clock: str) -> float | None:
        """Coefficient of variation under expert parallelism over the one under tensor parallelism."""
        expert, tensor = self.of("expert"), self.of("tensor")
        if expert is None or tensor is None:
            return None
        over, under = getattr(expert, f"{clock}_cov"), getattr(tensor, f"{clock}_cov")
        return over / under if over and under else None

    def density(self, strategy: str) -> float | None:
        """Parameters per computation of a token, over those of a dense model."""
        one = self.of(strategy)
        return None if one is None or one.params_per_flop is None else one.params_per_flop / DENSE


def scaled() -> list[Scaled]:
    """Every model on one system in every strategy."""
    return [Scaled(load_model(m).name, parameters(load_model(m)).total, scale(m, ON, count=COUNT)) for m in MODELS]


def exhibit(models: Sequence[Scaled]) -> Exhibit:
    """The paper's four strategies on each model, with its two figures of expert parallelism."""
    return Exhibit(
        id="sec-v",
        place="Abstract, Sec. V, Sec. VIII-A",
        title="Scaling strategies: parameters per computation and variation of latency",
        finding=finding(models),
        pairs=tuple(pair for one in models for name in PURE for pair in _pairs(one, name)),
        plot=Plot("bars", x="model", colour="strategy", facet="quantity", log=True),
        notes=(
            f"{COUNT} x {ON}, each strategy alone over all of them, of which {models[0].found.inputs['domain']} "
            f"share a fast network; {models[0].found.assumptions[0]}",
            "parameters per computation: over those of a dense model; expert parallelism counts at the pace of its "
            "busiest device",
            "variation: at equal lengths of requests, over that of tensor parallelism on the same model; theory, "
            "not fitted to measurements of spread",
        ),
    )


def _pairs(one: Scaled, strategy: str) -> list[Pair]:
    placed = one.of(strategy)
    what = {"model": one.name, "strategy": strategy}
    expert = strategy == "expert"
    ratio, variance = (claimed(name) if expert else None for name in (RATIO, VARIANCE))
    if placed is None:
        why = next((s.reason for s in one.found.strategies if s.name == strategy), None)
        words = why["detail"] if why else "no question of this model"
        return [Pair(what, "parameters_per_computation", "1", ratio, None, "extrapolated", words)]
    label: Label = "predicted" if placed.label == "predicted" else "extrapolated"
    density = one.density(strategy)
    rate, bound = placed.metrics["output_tokens_per_s"], (placed.bound or "unknown").replace("_", " ")
    out = [
        Pair(what, "parameters_per_computation", "1", ratio, exact(density) if density else None, "derived"),
        Pair(what, "output_tokens_per_s", "1/s", None, rate, label, f"bound by {bound}"),
    ]  # fmt: skip
    tensor = one.of("tensor")
    for clock, words in (("latency", "of a whole request"), ("gap", "of the time between two tokens")):
        name = f"{clock}_cov"
        over, under = getattr(placed, name), getattr(tensor, name) if tensor else None
        found = exact(over / under) if over is not None and under else None
        out.append(Pair(what, f"{name}_over_tensor", "1", variance, found, label, words))
    return out


def finding(models: Sequence[Scaled]) -> str:
    """Where the two printed figures lie among ours, and whether the first is expert parallelism's at all."""
    ratio, variance = claimed(RATIO), claimed(VARIANCE)
    expert = {one.name: x for one in models if (x := one.density("expert"))}
    same = [one.name for one in models if (one.density("tensor") or 0.0) >= (one.density("expert") or float("inf"))]
    latency = [x for one in models if (x := one.variation("latency"))]
    gap = [x for one in models if (x := one.variation("gap"))]
    inside = min(latency) <= (variance.value or 0.0) <= max(gap)
    nearest = min(expert, key=lambda name: abs(expert[name] - (ratio.value or 0.0)))
    return (
        f"A mixture holds {span(list(expert.values()))} times the parameters per computation of a dense model under "
        f"expert parallelism; the printed {ratio.text} is nearest to {nearest}. Tensor parallelism has as many or "
        f"more on {len(same)} of {plural(len(models), 'model')}: the ratio is the mixture's, not the strategy's. "
        f"Latency varies {span(latency)} times as much under expert as under tensor parallelism, and gaps between "
        f"tokens {span(gap)} times; the printed {variance.text} {'lies' if inside else 'does not lie'} between."
    )


def supported() -> Exhibit:
    """The words of Section V on how well accelerators support each strategy, beside the catalogue's."""
    pairs = []
    for name in PURE:
        strategy = next(one for one in STRATEGIES if one.name == name)
        for accelerator in published_support()["strategies"][strategy.published or ""]:
            pairs.append(_supported(accelerator, strategy))
    full = [pair for pair in pairs if pair.note.startswith("full")]
    praised = [pair for pair in pairs if pair.published is not None and "limited" not in pair.published.text]
    agree = [pair for pair in praised if pair in full]
    less = [f"{p.what['strategy']} on {p.what['accelerator']}" for p in full if p not in praised]
    return Exhibit(
        id="sec-v-support", place="Sec. V-A to V-D", title="Support of scaling strategies by accelerator",
        finding=(
            f"Of {plural(len(praised), 'accelerator')} praised for a strategy, {len(agree)} have it in full by the "
            "catalogue's engines and links; called more limited though nothing is known to limit them: "
            f"{listed(less)}."
        ),
        pairs=tuple(pairs),
        notes=(
            "ours: what the default engine offers there, and whether one node's group stays on its scale-up network",
        ),
    )  # fmt: skip


def _supported(accelerator: str, strategy: Strategy) -> Pair:
    known = load_accelerator(accelerator)
    platform = bind(known)
    layout = _layout(platform, strategy.name)
    found = support.of(platform, strategy, layout)
    said: Printed = read_printed(found["published"] or "", words=True)
    why = found["why"] if layout is not None else "no memory behind the main one whose rate is known"
    words = found["level"] + (f": {why}" if why else "")
    return Pair({"accelerator": known.name, "strategy": strategy.name}, "support", "1", said, None, "catalogue", words)


def _layout(platform: Platform, strategy: str) -> Layout | None:
    """The strategy over one node; None where a machine with the model on chip knows no other than its pipeline."""
    part = platform.device
    node = max(part.node, 2)
    if is_resident(part):
        return Layout(1, node, 1, 1) if strategy == "pipeline" else None
    if strategy == "offload":
        return Layout(1, 1, 1, 1, offload=0.5) if part.offload is not None else None
    if strategy == "expert":
        return Layout(1, 1, node * part.engine_devices, node)
    return Layout(node, 1, 1, 1) if strategy == "tensor" else Layout(1, node, 1, 1)
