"""Figs. 7 and 8: dataflow machines against GPUs, Llama 3.1 8B and Llama 3.3 70B in 16 bit."""

from __future__ import annotations

from functools import cache

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.pairs import (
    TITLES,
    claimed,
    met,
    model_name,
    named,
    pair_of,
    ratio_of,
    saved,
)
from inferatlas.studies.reproducing.brunetta.protocol import (
    A100,
    ACCELERATORS,
    CS3,
    DATAFLOW,
    H100,
    MI300X,
    RDUS,
    SN40L,
    lengths_note,
    load_note,
)
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note, dataflow_note
from inferatlas.studies.reproducing.phrases import listed

SMALL, LARGE = "llama-3.1-8b", "llama-3.3-70b"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
ONLINE = tuple(batch for batch in BATCHES if batch <= 8)
COUNT = {A100: 4, SN40L: RDUS}  # accelerators that serve the 70B model
SPEED, FRUGAL = "total_tokens_per_s", "total_tokens_per_joule"
QUANTITIES = (SPEED, "latency_s", "ttft_s", FRUGAL)
# machine, batch, quantity, model -> claim (Sec. IV-C)
PRINTED: dict[tuple[str, float, str, str], str] = {
    (A100, 1, SPEED, SMALL): "a100-batch-1-throughput",
    (CS3, 1, SPEED, SMALL): "cs3-batch-1-throughput",
    (SN40L, 1, SPEED, SMALL): "sn40l-batch-1-throughput",
    (SN40L, 1, SPEED, LARGE): "sn40l-70b-throughput",
    (A100, 1, SPEED, LARGE): "a100-70b-throughput",
    (CS3, 8, SPEED, SMALL): "cs3-peak-throughput",
    (CS3, 1, FRUGAL, SMALL): "cs3-efficiency",
    (SN40L, 1, FRUGAL, SMALL): "sn40l-efficiency",
    (A100, 1, FRUGAL, SMALL): "a100-efficiency",
    (H100, 1, FRUGAL, SMALL): "h100-efficiency",
    (SN40L, 1, FRUGAL, LARGE): "sn40l-70b-efficiency",
    (A100, 1, FRUGAL, LARGE): "a100-70b-efficiency",
    (CS3, 1, "power_w", SMALL): "cs3-power",
    (SN40L, 1, "power_w", SMALL): "sn40l-power",
    (SN40L, 1, "ttft_s", LARGE): "sn40l-70b-ttft",
    (A100, 1, "ttft_s", LARGE): "a100-70b-ttft",
    (SN40L, 1, "itl_s", LARGE): "sn40l-70b-itl",
    (A100, 1, "itl_s", LARGE): "a100-70b-itl",
}


def case_of(accelerator: str, batch: float, model: str = SMALL) -> Case:
    """One GPU or one CS-3, all RDUs of an SN40L node; for the 70B model the counts of the paper."""
    tp = RDUS if accelerator == SN40L else COUNT[accelerator] if model == LARGE else 1
    return Case(model, accelerator, batch, tp=tp)


def batches(accelerator: str) -> tuple[int, ...]:
    """The batches of Fig. 7 up to the largest compiled one."""
    largest = load_accelerator(ACCELERATORS[accelerator]).facts.number("execution.max_batch")
    return tuple(b for b in BATCHES if accelerator not in DATAFLOW or largest is None or b <= largest)


@cache
def grid() -> Answers:
    """The 8B model on five machines, the 70B model on two."""
    small = [case_of(name, batch) for name in (A100, H100, MI300X, *DATAFLOW) for batch in batches(name)]
    large = [case_of(name, batch, LARGE) for name in COUNT for batch in batches(name)]
    return answered([*small, *large])


def at(accelerator: str, batch: float, quantity: str, model: str = SMALL) -> Interval | None:
    """One figure of one machine; None where the machine has no such batch."""
    case = case_of(accelerator, batch, model)
    return grid().of(case, quantity) if case in grid().rows else None


def over(first: str, second: str, quantity: str, model: str = SMALL, batch: float = 1) -> Interval | None:
    """A figure of one machine over that of another at the same batch."""
    return ratio_of(at(first, batch, quantity, model), at(second, batch, quantity, model))


def peak(accelerator: str) -> tuple[int, Interval | None]:
    """The batch of most throughput with the 8B model, and that throughput."""
    best = max(batches(accelerator), key=lambda b: found.value if (found := at(accelerator, b, SPEED)) else 0.0)
    return best, at(accelerator, best, SPEED)


def peaks() -> str:
    """The largest throughput of each machine, in words."""
    best = {name: peak(name) for name in (A100, H100, MI300X, *DATAFLOW)}
    return listed([f"{name} {one.value:,.0f} at batch {batch}" for name, (batch, one) in best.items() if one])


def _notes() -> tuple[str, ...]:
    return lengths_note(), load_note(), calibration_note(), dataflow_note()


def _pair(case: Case, quantity: str) -> Pair:
    key = case.accelerator, case.in_flight, quantity, case.model
    more = {"count": str(case.count), "series": f"{case.accelerator}, {model_name(case.model)}"}
    published = claimed(PRINTED[key]) if key in PRINTED else None
    return pair_of(grid(), case, quantity, named(case, **more), published)


def figure_7() -> Exhibit:
    """Throughput, latency, TTFT and tokens per joule along the batch."""
    return Exhibit(
        "figure-7", "Fig. 7", "Dataflow machines against GPUs across batches", _finding(),
        tuple(_pair(case, quantity) for quantity in QUANTITIES for case in grid().cases),
        Plot("lines", x="batch", colour="series", log=True),
        (
            *_notes(),
            "The batch of the tokens per joule that the text prints is not stated: they stand beside batch 1, where "
            "the CS-3's power and tokens per joule give its throughput at batch 1.",
        ),
    )  # fmt: skip


def _finding() -> str:
    words = []
    for name in DATAFLOW:
        known = [(b, one.value) for b in (1, 8) if (one := over(name, A100, SPEED, batch=b))]
        words.append(f"the {name} has {listed([f'{ratio:.1f} times at batch {b}' for b, ratio in known])}")
    return (
        f"Of the throughput of one {A100} with {model_name(SMALL)}, {listed(words)}. Largest throughput in tokens/s: "
        f"{peaks()}."
    )


def figure_8() -> Exhibit:
    """TTFT and inter-token latency at batch 1."""
    cases = [case_of(name, 1) for name in (A100, H100, MI300X, *DATAFLOW)]
    cases += [case_of(name, 1, LARGE) for name in COUNT]
    return Exhibit(
        "figure-8", "Fig. 8", "TTFT and inter-token latency at batch 1", _phases_finding(),
        tuple(_pair(case, quantity) for quantity in ("ttft_s", "itl_s") for case in cases),
        Plot("bars", x="accelerator", colour="model", log=True), _notes(),
    )  # fmt: skip


def _phases_finding() -> str:
    words = []
    for name in DATAFLOW:
        itl, ttft = over(A100, name, "itl_s"), over(A100, name, "ttft_s")
        if itl and ttft:
            words.append(f"the {name} {itl.value:.1f} times in inter-token latency and {ttft.value:.1f} times in TTFT")
    return f"At batch 1 with {model_name(SMALL)}, one {A100} is behind {' and '.join(words)}."


def printed() -> Exhibit:
    """Ratios to the A100, the peak of the SN40L and power, in numbers of the text."""
    pairs = (*_ratios(), _peak(), *_power())
    return Exhibit(
        "figure-7-text", "Sec. IV-C", "Dataflow machines against the A100, in numbers of the text",
        f"{met(pairs)} printed numbers meet our intervals.", pairs, Plot("bars", x="case"),
        (
            *_notes(),
            "The power of GPUs is that of the accelerators, of the CS-3 that of the system, of the SN40L that of its "
            "share of a rack: as in the paper, the scopes differ.",
            "Section V repeats the CS-3's gain in inter-token latency with the number of its gain in throughput.",
        ),
    )  # fmt: skip


def _ratios() -> list[Pair]:
    """Ratios at batch 1: throughput over the A100's, the A100's inter-token latency over theirs, TTFT saved."""
    speed = ((CS3, SMALL, "cs3"), (SN40L, SMALL, "sn40l"), (SN40L, LARGE, "sn40l-70b"))
    rows = [(m, of, SPEED, over(m, A100, SPEED, of), f"{name}-throughput-ratio") for m, of, name in speed]
    rows += [(m, of, "itl_s", over(A100, m, "itl_s", of), f"{name}-itl-ratio") for m, of, name in speed]
    rows.append((CS3, SMALL, "itl_s", over(A100, CS3, "itl_s"), "itl-gain-discussion"))
    pairs = [_against(m, of, f"{TITLES[name]} ratio", ours, claim) for m, of, name, ours, claim in rows]
    for machine, claim in ((CS3, "cs3-ttft-gain"), (SN40L, "sn40l-ttft-gain")):
        pairs.append(_against(machine, SMALL, "TTFT saving", saved(over(machine, A100, "ttft_s")), claim))
    return pairs


def _against(machine: str, model: str, quantity: str, ours: Interval | None, claim: str) -> Pair:
    count = case_of(A100, 1, model).count
    words = f"{machine} against {f'{count} x ' if count > 1 else ''}{A100}, {model_name(model)}"
    place = ", Sec. V" if claim == "itl-gain-discussion" else ""
    return Pair({"case": words + place}, quantity, "1", claimed(claim), ours, "extrapolated")


def _peak() -> Pair:
    batch, ours = peak(SN40L)
    note = "the paper does not print the batch of its peak; ours is the largest over the compiled batches"
    what = {"case": f"{SN40L}, largest throughput (ours at batch {batch})"}
    return Pair(what, SPEED, "1/s", claimed("sn40l-peak-throughput"), ours, "extrapolated", note)


def _power() -> list[Pair]:
    """Power at batch 1, and how much of the CS-3's is not drawn idle (its idle power is a fact from this paper)."""
    pairs = [_pair(case_of(name, 1), "power_w") for name in (A100, H100, *DATAFLOW)]
    shown = [
        Pair({"case": f"{p.what['accelerator']}, batch 1"}, p.quantity, p.unit, p.published, p.ours, p.label)
        for p in pairs
    ]
    idle = load_accelerator(ACCELERATORS[CS3]).facts.number("power.idle")
    drawn = at(CS3, peak(CS3)[0], "power_w")
    above = (
        Interval(*(max(end - idle, 0.0) for end in (drawn.low, drawn.value, drawn.high))) if drawn and idle else None
    )
    what = {"case": f"{CS3}, batch {peak(CS3)[0]}"}
    return [*shown, Pair(what, "power above idle", "W", claimed("cs3-idle-power"), above, "extrapolated")]
