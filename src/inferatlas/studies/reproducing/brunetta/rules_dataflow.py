"""Guidelines on dataflow machines: how much faster, in which phase, until which batch, at which energy."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.comparing import guideline, summaries
from inferatlas.studies.reproducing.brunetta.dataflow import (
    FRUGAL,
    LARGE,
    ONLINE,
    SMALL,
    SPEED,
    at,
    batches,
    peak,
    peaks,
)
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, tried
from inferatlas.studies.reproducing.brunetta.pairs import meet, model_name, span
from inferatlas.studies.reproducing.brunetta.protocol import A100, CS3, DATAFLOW, H100, MI300X, SN40L
from inferatlas.studies.reproducing.brunetta.provenance import dataflow_note
from inferatlas.studies.reproducing.phrases import listed

GPUS = (A100, H100)
TENFOLD = sqrt(10.0)  # the least ratio that is nearer to ten than to one, on a logarithmic scale
BY = ("series", "against", "batch")
CURVES = Plot("lines", x="batch", colour="series", facet="against")
At = Callable[[str, float, str, str], Interval | None]  # of machine, batch, quantity and model


def pairs_of_machines() -> list[tuple[str, str, str]]:
    """Dataflow machine, GPU and model: every comparison that the paper has."""
    small = [(machine, gpu, SMALL) for machine in DATAFLOW for gpu in GPUS]
    return [*small, (SN40L, A100, LARGE)]


def _what(machine: str, gpu: str, model: str, batch: float) -> dict[str, str]:
    return {"series": f"{machine}, {model_name(model)}", "against": gpu, "batch": f"{batch:g}"}


def speed_trials(figures: At, least: float = TENFOLD) -> list[Trial]:
    """Throughput of a machine over a GPU's at the same batch, over what would be nearer to ten times than to one."""
    found = []
    for machine, gpu, model in pairs_of_machines():
        for batch in ONLINE:
            a, b = figures(machine, batch, SPEED, model), figures(gpu, batch, SPEED, model)
            if a and b:
                one = compared(_what(machine, gpu, model, batch), a.value / b.value / least, within=meet(a, b))
                found.append(one and Trial(one.what, a.value / b.value, one.outcome, one.within))
    return tried(found)


def order_of_magnitude() -> Guideline:
    """An order of magnitude at batches of 1 to 8."""
    trials = speed_trials(at)
    return guideline(
        "order-of-magnitude", "Sec. IV-C, first box",
        "Dataflow accelerators deliver up to an order-of-magnitude throughput improvement relative to GPUs at small "
        "batch sizes (1 – 8), making them particularly effective for online scenarios with limited user requests per "
        "node.",
        trials,
        "Throughput of a CS-3 or an SN40L node over one A100 or H100 (four A100 for the 70B model) at batches of "
        f"{ONLINE[0]} to {ONLINE[-1]}: {span(t.value for t in trials)} times. A ratio counts where it is nearer to ten "
        f"than to one (from {TENFOLD:.1f}).",
        pairs=summaries(trials, BY, "throughput over the GPU's"),
        plot=CURVES,
        notes=(
            dataflow_note(),
            "The sides are not of one size: a CS-3 is a wafer, an SN40L node has 16 chips.",
        ),
    )  # fmt: skip


def less(figures: At, quantity: str, machine: str, gpu: str, model: str, batch: float) -> float:
    """How many times less of a time a machine takes than a GPU; NaN where it is unknown."""
    a, b = figures(machine, batch, quantity, model), figures(gpu, batch, quantity, model)
    return b.value / a.value if a and b else float("nan")


def phase_trials(figures: At) -> list[Trial]:
    """How many times less inter-token latency, over how many times less TTFT: the gain in decode is the larger."""
    found = []
    for machine, gpu, model in pairs_of_machines():
        for batch in ONLINE:
            itl, ttft = (less(figures, name, machine, gpu, model, batch) for name in ("itl_s", "ttft_s"))
            within = meet(figures(machine, batch, "itl_s", model), figures(gpu, batch, "itl_s", model))
            found.append(compared(_what(machine, gpu, model, batch), itl / ttft, within=within))
    return tried(found)


def decode_not_prefill() -> Guideline:
    """The gain is in decode."""
    trials = phase_trials(at)
    itl, ttft = (span(less(at, name, *three, 1) for three in pairs_of_machines()) for name in ("itl_s", "ttft_s"))
    return guideline(
        "decode-not-prefill", "Sec. IV-C, second box",
        "The performance gains of dataflow machines primarily stem from their advantage in the memory-bound decode "
        "phase, rather than the compute-bound prefill phase, highlighting the effectiveness of spatial architectures "
        "in alleviating memory bottlenecks.",
        trials,
        f"The gain in inter-token latency over the gain in TTFT, batches of {ONLINE[0]} to {ONLINE[-1]}. At batch 1 "
        f"the gains are {itl} times in inter-token latency and {ttft} times in TTFT.",
        pairs=summaries(trials, BY, "gain in decode over gain in prefill"), plot=CURVES,
        notes=(dataflow_note(), "TTFT has a constant part of host and network, which is a starting value of ours."),
    )  # fmt: skip


def offline_trials(figures: At) -> list[Trial]:
    """The gap at the best batch of each side against the gap at batch 1: it must be smaller."""
    found = []
    for machine in DATAFLOW:
        for gpu in (*GPUS, MI300X):
            a, b = figures(machine, 1, SPEED, SMALL), figures(gpu, 1, SPEED, SMALL)
            most = [_most(figures, name) for name in (machine, gpu)]
            if a and b and all(most):
                what = {"machine": machine, "against": gpu, "model": model_name(SMALL)}
                found.append(compared(what, (a.value / b.value) / (most[0] / most[1])))
    return tried(found)


def _most(figures: At, name: str) -> float:
    return max((one.value for batch in batches(name) if (one := figures(name, batch, SPEED, SMALL))), default=0.0)


def offline() -> Guideline:
    """Larger batches narrow the gap."""
    trials = offline_trials(at)
    cs3 = peak(CS3)[1]
    faster = [name for name in (*GPUS, MI300X) if cs3 and (one := peak(name)[1]) and one.value > cs3.value]
    return guideline(
        "offline-narrows", "Sec. IV-C, third box",
        "In batch offline inference, GPUs benefit from larger batch sizes, narrowing the gap with dataflow "
        "accelerators. The Cerebras CS3 is still able to provide competitive offline performance, running at batch "
        "size 8.",
        trials,
        f"The gap at batch 1 over the gap between the largest throughputs, which are in tokens/s: {peaks()}. Faster "
        f"than the CS-3: {listed(faster)} (the paper: the H100).",
        pairs=summaries(trials, ("machine", "against"), "gap at batch 1 over gap at the best batches"),
        plot=Plot("bars", x="against", colour="machine"),
        notes=(dataflow_note(),),
    )  # fmt: skip


def energy_trials(figures: At) -> list[Trial]:
    """Tokens per joule of a GPU over those of a machine at the same batch."""
    found = []
    for machine, gpu, model in pairs_of_machines():
        for batch in ONLINE:
            a, b = figures(gpu, batch, FRUGAL, model), figures(machine, batch, FRUGAL, model)
            if a and b:
                found.append(compared(_what(machine, gpu, model, batch), a.value / b.value, within=meet(a, b)))
    return tried(found)


def energy() -> Guideline:
    """Fewer tokens per joule than GPUs."""
    trials = energy_trials(at)
    return guideline(
        "dataflow-energy", "Sec. IV-C, fourth box",
        "The energy efficiency, measured in tokens per Joule, of the Cerebras CS3 and SambaNova SN40L systems is lower "
        "than that of GPUs, creating a trade-off between performance and energy efficiency.",
        trials,
        "Tokens per joule of one A100 or H100 (four A100 for the 70B model) over those of a CS-3 or an SN40L node at "
        f"the same batch, {ONLINE[0]} to {ONLINE[-1]}: {span(t.value for t in trials)} times.",
        pairs=summaries(trials, BY, "tokens per joule, GPU over machine"),
        plot=CURVES,
        notes=(
            dataflow_note(),
            "The scopes differ, as in the paper: accelerators for GPUs, the system for the CS-3, a share of a rack for "
            "the SN40L.",
        ),
    )  # fmt: skip


ALL = (order_of_magnitude, decode_not_prefill, offline, energy)
