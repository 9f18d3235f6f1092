"""Interactive and offline traffic on one machine: at which share of each which class of machine is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.accelerators import accelerators_named
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import fleet
from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.priors import Z80
from inferatlas.quantities import percent
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, spoken
from inferatlas.studies.runs import joint, over
from inferatlas.workload import make_workload

MODEL = "llama-2-70b"  # of the study
LEVELS = tuple(2.0**k for k in range(13))  # requests in flight
INTERACTIVE = ((256.0, 128.0), (1024.0, 256.0), (2048.0, 512.0))  # lengths that change from request to request
OFFLINE = ((1024.0, 1024.0), (3072.0, 512.0))
PACES = (0.040, 0.010, 0.005)  # s a token: MLPerf's interactive scenario; four and eight times as fast
SHARES = np.linspace(0.0, 1.0, 101)  # of the output tokens that are interactive
ON_CHIP, BESIDE = "memory on the chip", "memory beside the chip"
ROOM = 8.0  # sizes of resident machines, up to so many times the least that serves


@dataclass(frozen=True)
class Energies:
    """Joules per output token of each accelerator under each kind of traffic, infinite where it cannot serve it.

    ``interactive``, ``offline`` [design]; ``owner``: accelerator of each design; ``sigma`` of the energy. ``memories``:
    where each accelerator keeps a model, `ON_CHIP` or `BESIDE`.
    """

    names: list[str]
    classes: list[str]
    memories: list[str]
    labels: list[str]
    owner: NDArray[np.int32]
    interactive: Floats
    offline: Floats
    sigma: Floats


def energies(designs: Designs, pace_s: float, *, varying: bool) -> Energies:
    """Of every layout on every accelerator, at a pace that interactive requests ask.

    ``varying``: the number of requests in flight wanders over all levels up to the best one, each as often, instead
    of staying there.
    """
    lengths = len(INTERACTIVE) + len(OFFLINE)
    shape = (-1, lengths, len(LEVELS))
    rate, power, itl, fits, sigma = (
        column.reshape(shape)
        for column in (
            designs.predictions.output_tokens_per_s, designs.predictions.power_w, designs.predictions.itl_s,
            designs.predictions.fits, designs.metrics["tokens_per_joule"].sigma,
        )
    )  # fmt: skip
    known, owner = designs.accelerator_index()
    live = np.array([np.where(fits & (itl <= pace), 1.0, np.nan) for pace in (pace_s, np.inf)])
    soon, late = (_energy(rate, power, usable, varying=varying) for usable in live)
    by_name = {one.device.id: one for one in designs.table.platforms}
    first = len(INTERACTIVE)
    return Energies(
        known, [by_name[name].device.architectural_class for name in known],
        [ON_CHIP if is_resident(by_name[name].device) else BESIDE for name in known],
        [by_name[name].label for name in known],
        owner.reshape(shape)[:, 0, 0], soon[:, :first].mean(axis=1), late[:, first:].mean(axis=1),
        np.nanmax(np.where(fits, sigma, np.nan), axis=(1, 2), initial=0.0),
    )  # fmt: skip


def _energy(rate: Floats, power: Floats, usable: Floats, *, varying: bool) -> Floats:
    """Joules per token of [design, lengths]: at the best usable level, or over all levels up to it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(np.isfinite(usable), power / rate, np.inf)
        best = each.argmin(axis=-1)
        least = each.min(axis=-1)
        if not varying:
            return least
        below = np.arange(each.shape[-1]) <= best[..., None]
        mean = np.where(below, power, 0.0).sum(axis=-1) / np.where(below, rate, 0.0).sum(axis=-1)
        return np.where(np.isfinite(least), mean, np.inf)


def designs_of(model: str = MODEL) -> Designs:
    """Every accelerator of the catalogue in every layout, at every length and level."""
    lengths = (*INTERACTIVE, *OFFLINE)
    flying, times = list(LEVELS) * len(lengths), len(LEVELS)
    levels = {
        "concurrency": flying,
        "input_tokens": [isl for isl, _ in lengths for _ in range(times)],
        "output_tokens": [osl for _, osl in lengths for _ in range(times)],
    }
    load = make_workload(None, isl=1024, osl=256, concurrency=1)
    return fleet(load_model(model), accelerators_named(()), load, levels, room=ROOM)


@dataclass(frozen=True)
class Mixed:
    """The least joules per output token of each kind of machine at every share of interactive tokens, at one pace.

    ``joules`` [kind, share], infinite where none serves; ``accelerator``, ``label`` and ``sigma`` likewise.
    """

    pace_s: float
    varying: bool
    kinds: list[str]
    joules: Floats
    accelerator: NDArray[np.str_]
    label: NDArray[np.str_]
    sigma: Floats

    def best(self, share: int) -> int:
        return int(self.joules[:, share].argmin())

    def first_share(self, kind: str) -> float | None:
        """The share of interactive tokens from which a kind is the best one, up to all of them; None: it never is."""
        others = np.flatnonzero(self.joules.argmin(axis=0) != self.kinds.index(kind))
        first = int(others[-1]) + 1 if others.size else 0
        return float(SHARES[first]) if first < len(SHARES) else None

    def interval(self, kind: int, share: int) -> Interval:
        value, width = float(self.joules[kind, share]), float(np.exp(Z80 * self.sigma[kind, share]))
        return Interval(value / width, value, value * width)


def mixed(found: Energies, kind_of: Sequence[str], pace_s: float, *, varying: bool) -> Mixed:
    """The best accelerator of each kind at every share; one deployment serves both sorts of traffic.

    ``kind_of``: of each accelerator, its class or its memory.
    """
    with np.errstate(invalid="ignore"):
        joules = np.where(SHARES > 0, SHARES * found.interactive[:, None], 0.0) + np.where(
            SHARES < 1, (1.0 - SHARES) * found.offline[:, None], 0.0
        )
    joules = np.where(np.isfinite(joules), joules, np.inf)
    kinds = sorted(set(kind_of))
    of_design = np.array([kinds.index(kind) for kind in kind_of])[found.owner]
    rows = [np.flatnonzero(of_design == k) for k in range(len(kinds))]
    best = np.array([row[joules[row].argmin(axis=0)] for row in rows])
    owner = found.owner[best]
    return Mixed(
        pace_s, varying, kinds, np.take_along_axis(joules, best, axis=0), np.array(found.names)[owner],
        np.array(found.labels)[owner], found.sigma[best],
    )  # fmt: skip


def mixed_traffic(model: str = MODEL) -> OpenQuestion:
    """Next check 2 of Sharma 2025: do specialised architectures keep their advantage under changing load?"""
    designs = designs_of(model)
    by_class, found = [], []
    for pace in PACES:
        for varying in (False, True):
            each = energies(designs, pace, varying=varying)
            by_class.append(mixed(each, each.classes, pace, varying=varying))
            found.append(mixed(each, each.memories, pace, varying=varying))
    ends = (0, len(SHARES) - 1)
    grounds = [ground for one in found for share in ends if (ground := _ground(one, share)) is not None]
    sure, why = confidence(grounds)
    return OpenQuestion(
        id="mixed-traffic",
        place="next check 2",
        question="Do specialised architectures keep their advantage when batch sizes and lengths vary?",
        answer=_answer(found, model),
        confidence=sure,
        why=why,
        conditions=(
            f"{model}; the best accelerator of each class of the catalogue, by joules per output token; one "
            "deployment in one layout serves both kinds of traffic, each at its best number of requests in flight",
            f"interactive requests of {_lengths(INTERACTIVE)} and offline ones of {_lengths(OFFLINE)} tokens, equally "
            "often; interactive ones at the pace stated",
            "a varying load has every power of two of requests in flight up to the best number, equally often",
            f"machines with on-chip memory: up to {ROOM:g} times the least number that serves",
        ),
        pairs=tuple(_pairs(by_class)),
        plot=Plot("lines", x="interactive share (%)", colour="class", facet="pace, load", log=False),
    )


def _ground(one: Mixed, share: int) -> Ground | None:
    """The best kind against the other at one end of the sweep; None where only one serves."""
    first, second = (int(k) for k in np.argsort(one.joules[:, share])[:2])
    if not np.isfinite(one.joules[second, share]):
        return None
    ahead = over(one.interval(second, share), one.interval(first, share))
    label = joint((str(one.label[first, share]), str(one.label[second, share])))
    load = "varying" if one.varying else "steady"
    says = (
        f"{one.kinds[first]} ahead at {percent(float(SHARES[share]))} interactive, {one.pace_s * 1e3:g} ms, {load} load"
    )
    return Ground(says, ahead, 1.0, label)


def _answer(found: Sequence[Mixed], model: str) -> str:
    words = "; ".join(_at_pace(found, pace) for pace in PACES)
    ever = any(one.first_share(ON_CHIP) is not None for one in found)
    return (
        f"{'Only where interactive requests ask for a fast pace' if ever else 'No'}: by energy per token on {model}, "
        f"machines with the model in on-chip memory are best {words}."
    )


def _at_pace(found: Sequence[Mixed], pace: float) -> str:
    steady, varying = (next(o for o in found if o.pace_s == pace and o.varying == v) for v in (False, True))
    last = len(SHARES) - 1
    mine, other = steady.kinds.index(ON_CHIP), steady.kinds.index(BESIDE)
    shares = [one.first_share(ON_CHIP) for one in (steady, varying)]
    words = [
        f"from {percent(share)} of interactive tokens on" if share is not None else "at no share" for share in shares
    ]
    both = words[0] if words[0] == words[1] else f"{words[0]} ({words[1]} where the load varies)"
    if not np.isfinite(steady.joules[other, last]):
        return f"{both} at {pace * 1e3:g} ms a token, which no other machine keeps"
    ratio = over(steady.interval(mine, last), steady.interval(other, last))
    energy = f"with {number(ratio.value)} times the energy of the others when all is interactive"
    return f"{both} at {pace * 1e3:g} ms a token, {energy}"


def _lengths(lengths: Sequence[tuple[float, float]]) -> str:
    return listed([f"{isl:,.0f}/{osl:,.0f}" for isl, osl in lengths])


def _pairs(found: Sequence[Mixed]) -> list[Pair]:
    """Every tenth of the share, so that the curve has its shape."""
    return [
        Pair(
            {
                "pace, load": f"{one.pace_s * 1e3:g} ms, {'varying' if one.varying else 'steady'}",
                "class": spoken(kind), "interactive share (%)": f"{100 * SHARES[share]:.0f}",
                "accelerator": str(one.accelerator[k, share]),
            },
            "joules_per_output_token", "J", None, one.interval(k, share), joint((str(one.label[k, share]),)),
        )
        for one in found
        for k, kind in enumerate(one.kinds)
        for share in range(0, len(SHARES), 10)
        if np.isfinite(one.joules[k, share])
    ]  # fmt: skip
