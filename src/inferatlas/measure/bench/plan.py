"""What a bench is to do: endpoint, prompts, points of load, rules. Kept as `bench.json`, from which it can go on."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from inferatlas.errors import BadInput
from inferatlas.workload.workload import MOST_CV, MOST_IN_FLIGHT, MOST_PER_S, MOST_TOKENS

NAME, SCHEMA = "bench.json", 1
Kind = Literal["closed", "open", "trace", "ramp", "offline"]
LEAST_REQUESTS = 50  # 44 bound a p90 at 99 % confidence (reference/load-generation.md, section 7)
ROUNDS = 10  # of all clients of a closed loop
OPEN_S = 60.0  # of an open loop
MOST_REPETITIONS = 100
MOST_S, MOST_SEED = 1e7, 2**63 - 1  # four months; what a random generator and every JSON reader take
FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # names of points, which a plan from elsewhere may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """What is asked.

    isl, osl : tokens in and out of synthetic prompts, with their coefficients of variation. workload : named lengths
    instead. prefix_tokens : that all prompts share. turns, think_s : conversations of so many turns on the mean, with
    so long between an answer and the next turn. token_ids : prompts as ids, completions only.
    dataset : ``KIND:PATH`` or a path; ``imitation`` for synthetic conversations as long as those of LMSYS-Chat-1M.
    first, characters, filter_first : which conversations of it. force_reference : answers as long as the ones removed.
    all_turns : every turn is a request, with the recorded history before it; else the last turn alone.
    """

    workload: str | None = None
    isl: float | None = None
    osl: float | None = None
    input_cv: float = 0.0
    output_cv: float = 0.0
    prefix_tokens: int = 0
    turns: float | None = None
    think_s: float = 0.0
    token_ids: bool = False
    dataset: str | None = None
    first: int | None = None
    characters: tuple[int, int] | None = None
    filter_first: bool = True
    force_reference: bool = False
    all_turns: bool = False
    longest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One load to measure.

    name : of its folder. kind : "closed" (``concurrency`` clients), "open" (``request_rate`` a second, by ``arrival``),
    "ramp" (the rate rises from one to another over the run), "trace" (arrivals of a file, ``speed`` times as fast),
    "offline" (all at once). requests : None: as many as `requests_of` says. duration_s : no sending after it.
    repetition : 1 for the first.
    """

    name: str
    kind: Kind
    concurrency: int | None = None
    request_rate: float | None = None
    arrival: str = "poisson"
    burstiness: float | None = None
    rates: tuple[float, float] | None = None
    trace: str | None = None
    speed: float = 1.0
    isl: float | None = None
    osl: float | None = None
    requests: int | None = None
    duration_s: float | None = None
    repetition: int = 1

    @property
    def load(self) -> tuple[Any, ...]:
        """What repetitions of one load share."""
        return (
            self.kind, self.concurrency, self.request_rate, self.arrival, self.burstiness, self.rates, self.trace,
            self.speed, self.isl, self.osl,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How it is measured; times in s.

    warmup : requests before, that are not counted. stagger_s : clients of a closed loop begin within this time; None:
    2 ms each, at most 1 s. most_in_flight : of an open loop. The others: `client.sending.Limits`.
    """

    warmup: int = 4
    stagger_s: float | None = None
    most_in_flight: int | None = None
    connect_timeout_s: float = 30.0
    timeout_s: float = 1800.0
    stall_timeout_s: float = 300.0
    drain_s: float | None = None
    wait_ready_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a bench needs to be begun, and to go on. Secrets are named, never held.

    base_urls : one or several, taken in turn. engine : what answered when the bench began. api_key_env : variable with
    the key. force : how a length is forced, None: as the engine allows. extra : fields that every body gets.
    find_knee : go on beyond the points given.
    idle_s : rest before each point, for idle power. accelerator, count, tp, pp, ep, dp, weights, kv_cache : what
    serves, for the record: no client can see it from afar.
    """

    base_urls: tuple[str, ...]
    api: Literal["chat", "completions"] = "chat"
    model: str | None = None
    engine: str | None = None
    prompts: Prompts = field(default_factory=Prompts)
    points: tuple[Point, ...] = ()
    rules: Rules = field(default_factory=Rules)
    protocol: str | None = None
    slo: tuple[str, ...] = ()
    find_knee: bool = False
    precision: float | None = None
    api_key_env: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    tokenizer: str | None = None
    force: str | None = None
    temperature: float | None = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
    power: tuple[str, ...] = ()
    no_power: bool = False
    power_interval_s: float = 0.1
    idle_s: float = 0.0
    scrape_s: float = 1.0
    accelerator: str | None = None
    count: int | None = None
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    dp: int | None = None
    weights: str | None = None
    kv_cache: str | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0
    command: str = "inferatlas bench run"
    schema_version: int = SCHEMA

    def with_points(self, *points: Point) -> Plan:
        return replace(self, points=(*self.points, *points))


def requests_of(point: Point) -> int:
    """How many requests a point sends unless it says so itself.

    Examples
    --------
    >>> requests_of(Point(name="c8", kind="closed", concurrency=8)), requests_of(
    ...     Point(name="r4", kind="open", request_rate=4.0, duration_s=300.0))
    (80, 1200)
    """
    if point.requests is not None:
        return point.requests
    if point.kind == "closed":
        rounds = ROUNDS * (point.concurrency or 1)
        return max(LEAST_REQUESTS, rounds) if point.duration_s is None else max(100_000, 100 * rounds)
    if point.kind == "ramp":
        low, high = point.rates or (1.0, 1.0)
        return max(round((low + high) / 2 * (point.duration_s or OPEN_S)), 1)
    if point.kind == "open":
        rate = point.request_rate or 1.0
        many = round(rate * (OPEN_S if point.duration_s is None else point.duration_s))
        return max(LEAST_REQUESTS, many) if point.duration_s is None else max(many, 1)
    return 1000


def check(plan: Plan) -> Plan:
    """The plan, when it can be done.

    Raises
    ------
    BadInput : what is out of range or does not go together, with the field as flags call it.
    """
    _check_prompts(plan)
    if not plan.points:
        raise BadInput("no load", field="concurrency", allowed="--concurrency, --request-rate, --trace or a --protocol")
    for point in plan.points:
        _check_point(point)
    if plan.find_knee and any(point.kind not in ("closed", "open") for point in plan.points):
        raise BadInput("looks for a rate or a concurrency", field="find_knee", allowed="one of the two")
    if plan.precision is not None and not 0 < plan.precision < 1:
        raise BadInput(f"{plan.precision!r}", field="precision", allowed="a share between 0 and 1, such as 0.05")
    _between(plan.scrape_s, "scrape_interval", 0.0, 3600.0)
    _between(plan.power_interval_s, "power_interval", 1e-3, 60.0)
    _between(plan.idle_s, "idle", 0.0, 86400.0)
    _between(plan.seed, "seed", 0, MOST_SEED)
    if plan.temperature is not None:
        _between(plan.temperature, "temperature", 0.0, 100.0)
    for name in ("count", "tp", "pp", "ep", "dp"):
        if (value := getattr(plan, name)) is not None:
            _between(value, name, 1, 1_000_000)
    rules = plan.rules
    for name in ("connect_timeout_s", "timeout_s", "stall_timeout_s"):
        _between(getattr(rules, name), name.removesuffix("_s"), 1e-3, MOST_S)
    for name in ("stagger_s", "drain_s", "wait_ready_s"):
        if (value := getattr(rules, name)) is not None:
            _between(value, name.removesuffix("_s"), 0.0, MOST_S)
    _between(rules.warmup, "warmup", 0, 1_000_000)
    if rules.most_in_flight is not None:
        _between(rules.most_in_flight, "most_in_flight", 1, MOST_IN_FLIGHT)
    return plan


def _check_prompts(plan: Plan) -> None:
    prompts = plan.prompts
    if prompts.token_ids and plan.api != "completions":
        raise BadInput("ids go to the completions API alone", field="token_ids", allowed="--endpoint-type completions")
    if prompts.dataset is not None and (prompts.isl is not None or prompts.workload is not None):
        raise BadInput("a data set has its own lengths", field="isl", allowed="one of the two")
    if prompts.turns is not None and any(one.kind == "closed" for one in plan.points):
        raise BadInput("conversations begin by a schedule", field="turns", allowed="with --request-rate")
    if prompts.turns is not None and plan.api != "chat":
        raise BadInput("conversations are asked by chat", field="turns", allowed="--endpoint-type chat")
    _check_together(plan)
    for name in ("isl", "osl", "longest", "first"):
        if (value := getattr(prompts, name)) is not None:
            _between(value, name, 1, MOST_TOKENS)
    for name in ("input_cv", "output_cv"):
        _between(getattr(prompts, name), name, 0.0, MOST_CV)
    _between(prompts.prefix_tokens, "prefix_tokens", 0, MOST_TOKENS)
    _between(prompts.think_s, "think", 0.0, MOST_S)
    if prompts.characters is not None and not 0 <= prompts.characters[0] <= prompts.characters[1]:
        raise BadInput("the least is more than the most", field="chars", allowed="LEAST:MOST, as in 64:20000")


def _check_together(plan: Plan) -> None:
    """What would be left aside without a word."""
    prompts = plan.prompts
    of_data = {
        "first": prompts.first, "chars": prompts.characters, "filter_after": not prompts.filter_first,
        "all_turns": prompts.all_turns, "force_length": prompts.force_reference,
    }  # fmt: skip
    of_lengths = {
        "isl": prompts.isl, "osl": prompts.osl, "workload": prompts.workload, "input_cv": prompts.input_cv,
        "output_cv": prompts.output_cv, "prefix_tokens": prompts.prefix_tokens, "turns": prompts.turns,
        "dataset": prompts.dataset,
    }  # fmt: skip
    kinds = {one.kind for one in plan.points}
    for name, value in of_data.items():
        if value and prompts.dataset is None:
            raise BadInput("belongs to a data set", field=name, allowed="with --dataset")
    for name, value in of_lengths.items():
        if value and "trace" in kinds:
            raise BadInput("a trace has its own lengths", field=name, allowed="not with --trace")
    if prompts.think_s and prompts.turns is None and kinds and "closed" not in kinds:
        raise BadInput("nobody thinks here", field="think", allowed="with --concurrency or --turns")


def _check_point(point: Point) -> None:
    if not FOLDER.fullmatch(point.name):
        raise BadInput(f"{point.name!r} is no name of a folder", field="points", allowed="letters, digits, - . _ +")
    if point.concurrency is not None:
        _between(point.concurrency, "concurrency", 1, MOST_IN_FLIGHT)
    if point.request_rate is not None:
        _between(point.request_rate, "request_rate", 1e-6, MOST_PER_S)
    for rate in point.rates or ():
        _between(rate, "ramp", 1e-6, MOST_PER_S)
    if point.requests is not None:
        _between(point.requests, "requests", 1, 10**8)
    if point.duration_s is not None:
        _between(point.duration_s, "duration", 1e-3, 366 * 86400.0)
    for length in (point.isl, point.osl):
        if length is not None:
            _between(length, "isl_osl_pairs", 1, MOST_TOKENS)
    _between(point.repetition, "repeat", 1, MOST_REPETITIONS)
    if not 1e-6 <= point.speed <= 1e6:
        raise BadInput(f"{point.speed!r}", field="speed", allowed="1e-6 to 1e6")


def _between(value: float, name: str, least: float, most: float) -> None:
    if isinstance(value, bool) or not least <= value <= most:
        raise BadInput(f"{value!r}", field=name, allowed=f"{least:g} to {most:g}")


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `bench.json`, in place of an older one at once or not at all."""
    text = msgspec.json.format(msgspec.json.encode(asdict(plan)), indent=2)
    target = folder / (NAME + ".tmp")
    try:
        target.write_bytes(text + b"\n")
        target.replace(folder / NAME)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", field="output", file=folder) from None


def read_plan(folder: Path) -> Plan:
    """The plan of a bench.

    Raises
    ------
    BadInput : no `bench.json`, or one that is damaged or of another schema.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", field="resume", allowed="the folder of a bench", file=path
        ) from None
    try:
        plan = msgspec.json.decode(content, type=Plan)
    except msgspec.MsgspecError as error:
        raise BadInput(str(error), field="resume", allowed=f"{NAME} as it was written", file=path) from None
    if plan.schema_version != SCHEMA:
        raise BadInput(f"schema {plan.schema_version}", field="schema_version", allowed=str(SCHEMA), file=path)
    return plan
