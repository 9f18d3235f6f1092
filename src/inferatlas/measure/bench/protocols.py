"""Published protocols by name: what each sets, and where it is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.plan import Plan, Point

BRUNETTA = "Brunetta et al., Beyond Throughput; reference/load-generation.md, section 8.1"
MLPERF = "MLPerf Inference 5.x, mlperf.conf; reference/serving-simulation.md, section 4"
CHARACTERS, FIRST = (64, 20_000), 1000
CLIENTS = 8  # where nobody says: the most that the study asked a CS-3 for
LEAST_S = 600.0  # of a run of the scenarios Server and Interactive
OFFLINE_QUERIES = 24_576  # least samples of the scenario Offline

# p99 limits of TTFT and TPOT in ms: Server, and Interactive where it exists.
LIMITS_MS = {
    "llama2-70b": ((2000, 200), (450, 40)),
    "llama3.1-405b": ((6000, 175), (4500, 80)),
    "llama3.1-8b": ((2000, 100), (500, 30)),
    "mixtral-8x7b": ((2000, 200), None),
    "deepseek-r1": ((2000, 80), (1500, 15)),
    "gpt-oss-120b": ((3000, 80), (2000, 15)),
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol. ``apply`` : a plan as given -> the plan as the protocol has it."""

    name: str
    title: str
    source: str
    apply: Callable[[Plan, str | None], Plan]


def _brunetta(plan: Plan, benchmark: str | None) -> Plan:
    if benchmark is not None:
        raise BadInput(f"'{benchmark}'", field="protocol", allowed="brunetta")
    asked = plan.prompts
    if asked.isl is not None or asked.osl is not None or asked.workload is not None:
        raise BadInput("the protocol has conversations, with their own lengths", field="isl", allowed="--dataset")
    prompts = replace(
        asked,
        dataset=asked.dataset or "imitation",
        first=FIRST if asked.first is None else asked.first,
        characters=asked.characters or CHARACTERS,
        force_reference=True,
    )
    points = plan.points or (Point(name=f"c{CLIENTS}", kind="closed", concurrency=CLIENTS),)
    if any(one.kind not in ("closed", "offline") for one in points):
        raise BadInput("the protocol has clients, or all at once", field="request_rate", allowed="--concurrency")
    once = tuple(replace(one, requests=one.requests or prompts.first) for one in points)
    return replace(plan, prompts=prompts, points=once)


def _mlperf(scenario: str) -> Callable[[Plan, str | None], Plan]:
    def apply(plan: Plan, benchmark: str | None) -> Plan:
        if scenario == "offline":
            if benchmark is not None:
                raise BadInput(f"'{benchmark}'", field="protocol", allowed="mlperf-offline")
            points = plan.points or (Point(name="offline", kind="offline", requests=OFFLINE_QUERIES),)
            if any(one.kind != "offline" for one in points):
                raise BadInput("the scenario sends all at once", field="concurrency", allowed="--concurrency all")
            return replace(plan, points=points)
        limits = _limits(scenario, benchmark)
        slo = plan.slo or tuple(
            f"{metric}:p99<={limit:g}ms" for metric, limit in zip(("ttft", "itl"), limits, strict=True)
        )
        if any(one.kind != "open" for one in plan.points) or not plan.points:
            raise BadInput("the scenario has Poisson arrivals", field="request_rate", allowed="--request-rate")
        points = tuple(
            replace(one, arrival="poisson", duration_s=LEAST_S if one.duration_s is None else one.duration_s)
            for one in plan.points
        )
        return replace(plan, slo=slo, points=points)

    return apply


def _limits(scenario: str, benchmark: str | None) -> tuple[float, float]:
    known = sorted(name for name, (_, fast) in LIMITS_MS.items() if scenario == "server" or fast)
    if benchmark is None:
        raise BadInput(
            "whose limits?", field="protocol", allowed=f"mlperf-{scenario}:MODEL with one of {', '.join(known)}"
        )
    if benchmark not in known:
        raise UnknownName("benchmark", benchmark, known, field="protocol", allowed=", ".join(known))
    server, interactive = LIMITS_MS[benchmark]
    return server if scenario == "server" or interactive is None else interactive


PROTOCOLS = {
    one.name: one
    for one in (
        Protocol("brunetta", "First 1,000 conversations, answers as long as those removed", BRUNETTA, _brunetta),
        Protocol("mlperf-offline", "Everything at once; throughput counts", MLPERF, _mlperf("offline")),
        Protocol("mlperf-server", "Poisson arrivals, p99 limits, at least 600 s", MLPERF, _mlperf("server")),
        Protocol("mlperf-interactive", "The same with tighter limits", MLPERF, _mlperf("interactive")),
    )
}


def apply(plan: Plan) -> Plan:
    """The plan as its protocol has it; what was given stays where the protocol leaves it open.

    Raises
    ------
    BadInput, UnknownName : no such protocol, or what contradicts it.

    Examples
    --------
    >>> plan = apply(Plan(base_urls=("http://h:1",), protocol="brunetta"))
    >>> plan.prompts.first, plan.prompts.characters, plan.points[0].concurrency, plan.prompts.dataset
    (1000, (64, 20000), 8, 'imitation')
    """
    if plan.protocol is None:
        return plan
    name, _, benchmark = plan.protocol.partition(":")
    if name not in PROTOCOLS:
        raise UnknownName("protocol", name, list(PROTOCOLS), field="protocol", allowed=", ".join(PROTOCOLS))
    return PROTOCOLS[name].apply(plan, benchmark or None)
