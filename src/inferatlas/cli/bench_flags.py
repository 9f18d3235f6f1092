"""The flags of ``bench run``, and the plan that they describe."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED
from inferatlas.cli.flags import DEPLOYMENT, LIMITS, OUTPUT, WORKLOAD, flag, integer, several
from inferatlas.errors import BadInput

if TYPE_CHECKING:
    from inferatlas.measure.bench.plan import Plan, Point, Prompts, Rules

ENDPOINT = Group("Endpoint", sort_key=1)
LOAD = Group("Load", sort_key=2)
METER = Group("Meters", sort_key=6)


def seconds(_: Any, tokens: Any) -> float:
    """A time with its unit: ``500ms``, ``2h``; a bare number is seconds."""
    from inferatlas.quantities import parse

    name = (tokens[0].keyword or "").lstrip("-").replace("-", "_") or None
    return parse(tokens[0].value, "s", field=name, default_unit="s")


def timed(help: str, group: Group, *names: str) -> Parameter:
    """A flag that takes a time."""
    return flag(help, group, *names, converter=seconds, n_tokens=1)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Server:
    """Who is asked."""

    base_url: Annotated[
        tuple[str, ...], several("http://host:port; several are taken in turn.", ENDPOINT, "--base-url", "--url", "-u")
    ] = ()
    model: Annotated[
        str | None,
        flag("As the server calls it. Default: the one it lists.", ENDPOINT, "--model", "-m", "--served-model-name"),
    ] = None
    endpoint_type: Annotated[Literal["chat", "completions"], flag("API to use.", ENDPOINT)] = "chat"
    api_key_env: Annotated[
        str | None, flag("Environment variable with the key. Default: OPENAI_API_KEY, if set.", ENDPOINT)
    ] = None
    ca_file: Annotated[str | None, flag("Certificates to trust.", ENDPOINT)] = None
    insecure: Annotated[bool, flag("Trust any certificate.", ENDPOINT)] = False
    tokenizer: Annotated[str | None, flag("tokenizer.json of the model. Default: the server counts.", ENDPOINT)] = None
    wait_ready: Annotated[float, timed("Wait for a server that starts: 5min.", ENDPOINT)] = 0.0
    extra_body: Annotated[str | None, flag("JSON object put into every request.", ENDPOINT)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked."""

    isl: Annotated[int | None, integer("Input tokens.", WORKLOAD, "--isl", "--random-input-len")] = None
    osl: Annotated[int | None, integer("Output tokens.", WORKLOAD, "--osl", "--random-output-len")] = None
    isl_osl_pairs: Annotated[tuple[str, ...], several("Pairs to sweep: 128/128,2048/512.", WORKLOAD)] = ()
    workload: Annotated[str | None, flag("chat, code, ... (`catalogue list workloads`), or YAML.", WORKLOAD)] = None
    input_cv: Annotated[float, flag("Coefficient of variation of input tokens.", WORKLOAD)] = 0.0
    output_cv: Annotated[float, flag("The same of output tokens.", WORKLOAD)] = 0.0
    prefix_tokens: Annotated[
        int, integer("Tokens that all prompts begin with.", WORKLOAD, "--prefix-tokens", "--prefix")
    ] = 0
    turns: Annotated[float | None, flag("Conversations of so many turns on the mean.", WORKLOAD)] = None
    think: Annotated[float, timed("Between an answer and what follows it: 10s.", WORKLOAD)] = 0.0
    token_ids: Annotated[bool, flag("Prompts as token ids (completions): exact lengths.", WORKLOAD)] = False
    dataset: Annotated[
        str | None,
        flag("lmsys:FILE, sharegpt:FILE, jsonl:FILE or `imitation`.", WORKLOAD, "--dataset", "--dataset-path"),
    ] = None
    first: Annotated[int | None, integer("Conversations of the data set to take.", WORKLOAD)] = None
    chars: Annotated[str | None, flag("Only conversations of so many characters: 64:20000.", WORKLOAD)] = None
    filter_after: Annotated[bool, flag("Take the first ones, then drop by --chars.", WORKLOAD)] = False
    force_length: Annotated[
        Literal["asked", "reference", "none"] | None, flag("Answers as long as --osl, or as those removed.", WORKLOAD)
    ] = None
    ignore_eos: Annotated[bool, flag("Force lengths by ignore_eos, whatever the engine.", WORKLOAD)] = False
    all_turns: Annotated[bool, flag("Every turn of the data set, with its recorded history.", WORKLOAD)] = False
    longest: Annotated[int | None, integer("Leave out requests of more tokens.", WORKLOAD)] = None
    temperature: Annotated[float | None, flag("Of sampling.", WORKLOAD)] = 0.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Loading:
    """How it is asked."""

    concurrency: Annotated[
        tuple[str, ...],
        several("Clients: 1,2,4,8, or `all` requests at once.", LOAD, "--concurrency", "--max-concurrency"),
    ] = ()
    request_rate: Annotated[tuple[str, ...], several("Requests per second: 0.5,1,2; `inf` is all at once.", LOAD)] = ()
    arrival: Annotated[
        Literal["poisson", "constant", "gamma"],
        flag("Of an open loop.", LOAD, "--arrival", "--request-rate-mode"),
    ] = "poisson"
    burstiness: Annotated[float | None, flag("Shape of gamma intervals; below 1: bursts.", LOAD)] = None
    ramp: Annotated[str | None, flag("A rate that rises over the run: 1:16.", LOAD)] = None
    trace: Annotated[str | None, flag("Arrivals and lengths to replay: CSV or JSON Lines.", LOAD)] = None
    speed: Annotated[float, flag("Of the trace's time: 2 is twice as fast.", LOAD)] = 1.0
    requests: Annotated[
        int | None, integer("Requests of a point. Default: 10 per client, 60 s of a rate, at least 50.", LOAD,
                            "--requests", "--num-prompts", "--request-count")
    ] = None  # fmt: skip
    duration: Annotated[float | None, timed("Send for so long: 5min.", LOAD)] = None
    warmup: Annotated[int, integer("Requests before, not counted.", LOAD, "--warmup", "--warmup-request-count")] = 4
    stagger: Annotated[
        float | None, timed("Clients begin within this time; 0: at once. Default: 2 ms each, at most 1 s.", LOAD)
    ] = None
    repeat: Annotated[int, integer("Times each load is measured.", LOAD)] = 1
    precision: Annotated[
        float | None, flag("Repeat the last load until intervals are within this share of the mean: 0.05.", LOAD)
    ] = None
    find_knee: Annotated[bool, flag("Search the highest load that keeps every target, or still gives more.", LOAD)] = (
        False
    )
    protocol: Annotated[
        str | None, flag("brunetta, mlperf-offline, mlperf-server:MODEL, mlperf-interactive:MODEL.", LOAD)
    ] = None
    seed: Annotated[int, integer("Of everything that is random.", LOAD, "--seed", "--random-seed")] = 0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long anything may take."""

    timeout: Annotated[float, timed("A request, from its sending to its end.", LIMITS)] = 1800.0
    connect_timeout: Annotated[float, timed("A connection.", LIMITS)] = 30.0
    stall_timeout: Annotated[float, timed("Between two bytes of an answer.", LIMITS)] = 300.0
    drain: Annotated[float | None, timed("After --duration, for what is in flight.", LIMITS)] = None
    most_in_flight: Annotated[int | None, integer("Requests in flight of an open loop; others wait, late.", LIMITS)] = (
        None
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Meters:
    """What is read beside."""

    power: Annotated[
        tuple[str, ...],
        several(
            "Sources of power (`power sources`). Default: this machine's, if the server is here.",
            METER,
            "--power",
            "--source",
        ),
    ] = ()
    no_power: Annotated[bool, flag("Read no power.", METER)] = False
    power_interval: Annotated[float, timed("Between readings.", METER)] = 0.1
    idle: Annotated[float, timed("Rest before each load, for idle power: 30s.", METER)] = 0.0
    scrape_interval: Annotated[float, timed("Between readings of the engine's /metrics; 0: none.", METER)] = 1.0
    accelerator: Annotated[str | None, flag("What serves, for the record.", DEPLOYMENT, *flags.ACCELERATOR)] = None
    count: Annotated[int | None, integer("How many of them.", DEPLOYMENT, "--count", "--total-gpus")] = None
    tp: Annotated[
        int | None, integer("Its tensor parallelism, for the record.", DEPLOYMENT, "--tp", "--tensor-parallel-size")
    ] = None
    pp: Annotated[
        int | None, integer("Its pipeline stages, for the record.", DEPLOYMENT, "--pp", "--pipeline-parallel-size")
    ] = None
    ep: Annotated[int | None, integer("Its expert parallelism, for the record.", DEPLOYMENT, "--ep")] = None
    dp: Annotated[int | None, integer("Its replicas, for the record.", DEPLOYMENT, "--dp", "--data-parallel-size")] = (
        None
    )
    weights: Annotated[str | None, flag("Format of its weights, for the record: bf16, fp8.", DEPLOYMENT)] = None
    kv_cache: Annotated[str | None, flag("Format of its KV cache, for the record.", DEPLOYMENT)] = None
    note: Annotated[tuple[str, ...], flag("A remark for the record; repeat for more.", OUTPUT)] = ()


def plan_of(
    server: Server, asking: Asking, loading: Loading, patience: Patience, meters: Meters, slo: tuple[str, ...]
) -> Plan:
    """The plan that flags describe."""
    from inferatlas.measure.bench.plan import Plan
    from inferatlas.measure.bench.server.masking import command_line
    from inferatlas.workload import parse_targets

    if not server.base_url:
        raise BadInput("no server", field="base_url", allowed="--base-url http://host:port")
    return Plan(
        base_urls=server.base_url, api=server.endpoint_type, model=server.model, prompts=_prompts(asking),
        points=_points(asking, loading), rules=_rules(server, loading, patience), protocol=loading.protocol,
        slo=tuple(one.text() for one in parse_targets(_spread_out(slo))), find_knee=loading.find_knee,
        precision=loading.precision, api_key_env=server.api_key_env, ca_file=server.ca_file, insecure=server.insecure,
        tokenizer=server.tokenizer, force=_force(asking), temperature=asking.temperature, extra=_extra(server),
        power=meters.power, no_power=meters.no_power, power_interval_s=meters.power_interval, idle_s=meters.idle,
        scrape_s=meters.scrape_interval, accelerator=meters.accelerator, count=meters.count,
        tp=meters.tp, pp=meters.pp, ep=meters.ep, dp=meters.dp, weights=meters.weights, kv_cache=meters.kv_cache,
        notes=meters.note, seed=loading.seed, command=command_line(shlex.split(TYPED.get())),
    )  # fmt: skip


def _spread_out(slo: tuple[str, ...]) -> list[str]:
    """Targets, also as vLLM and aiperf spell them: ``ttft:500`` is p99 or the mean nowhere, so it is refused there."""
    return [one for text in slo for one in text.split(",")]


def _extra(server: Server) -> dict[str, Any]:
    if server.extra_body is None:
        return {}
    from inferatlas.measure.bench.prompts.bodies import parse_extra

    return parse_extra(server.extra_body)


def _force(asking: Asking) -> str | None:
    if asking.ignore_eos:
        return "ignore_eos"
    return "none" if asking.force_length == "none" else None


def _prompts(asking: Asking) -> Prompts:
    from inferatlas.measure.bench.plan import Prompts

    return Prompts(
        workload=asking.workload, isl=asking.isl, osl=asking.osl, input_cv=asking.input_cv,
        output_cv=asking.output_cv, prefix_tokens=asking.prefix_tokens, turns=asking.turns, think_s=asking.think,
        token_ids=asking.token_ids, dataset=asking.dataset, first=asking.first, characters=_range(asking.chars),
        filter_first=not asking.filter_after, force_reference=asking.force_length == "reference",
        all_turns=asking.all_turns, longest=asking.longest,
    )  # fmt: skip


def _rules(server: Server, loading: Loading, patience: Patience) -> Rules:
    from inferatlas.measure.bench.plan import Rules

    return Rules(
        warmup=loading.warmup, stagger_s=loading.stagger, most_in_flight=patience.most_in_flight,
        connect_timeout_s=patience.connect_timeout, timeout_s=patience.timeout,
        stall_timeout_s=patience.stall_timeout, drain_s=patience.drain, wait_ready_s=server.wait_ready,
    )  # fmt: skip


def _points(asking: Asking, loading: Loading) -> tuple[Point, ...]:
    """Every load, for every pair of lengths, as often as asked."""
    from dataclasses import replace

    from inferatlas.measure.bench.plan import MOST_REPETITIONS
    from inferatlas.measure.bench.running import point_name

    kinds = [bool(loading.concurrency), bool(loading.request_rate), loading.ramp is not None, loading.trace is not None]
    if sum(kinds) > 1:
        raise BadInput(
            "several kinds of load",
            field="concurrency",
            allowed="one of --concurrency, --request-rate, --ramp, --trace",
        )
    if loading.arrival != "poisson" and not loading.request_rate:
        raise BadInput("arrivals are of an open loop", field="arrival", allowed="with --request-rate")
    if loading.burstiness is not None and not (loading.request_rate or loading.ramp):
        raise BadInput("arrivals are of an open loop", field="burstiness", allowed="with --request-rate or --ramp")
    if loading.speed != 1.0 and loading.trace is None:
        raise BadInput("is that of a trace", field="speed", allowed="with --trace")
    if not 1 <= loading.repeat <= MOST_REPETITIONS:  # before so many points are made
        raise BadInput(f"{loading.repeat}", field="repeat", allowed=f"1 to {MOST_REPETITIONS}")
    found = []
    for more, isl, osl in _pairs(asking):
        for point in _loads(loading):
            for repetition in range(1, loading.repeat + 1):
                name = point_name(point.kind, point.concurrency, point.request_rate, repetition, more)
                found.append(replace(point, name=name, isl=isl, osl=osl, repetition=repetition))
    if len({one.name for one in found}) < len(found):
        field = "concurrency" if loading.concurrency else "request_rate"
        raise BadInput("a load is given twice", field=field, allowed="each once; --repeat measures it again")
    return tuple(found)


def _loads(loading: Loading) -> Iterator[Point]:
    from inferatlas.measure.bench.plan import Point

    both = {"requests": loading.requests, "duration_s": loading.duration}
    for text in loading.concurrency:
        if text == "all":
            yield Point(name="", kind="offline", **both)
        else:
            yield Point(name="", kind="closed", concurrency=_whole(text, "concurrency"), **both)
    for text in loading.request_rate:
        if text in ("inf", "all"):
            yield Point(name="", kind="offline", **both)
            continue
        rate = _number(text, "request_rate")
        yield Point(
            name="", kind="open", request_rate=rate, arrival=loading.arrival, burstiness=loading.burstiness, **both
        )
    if loading.ramp is not None:
        low, high = _two(loading.ramp, "ramp", "1:16")
        rates = _number(low, "ramp"), _number(high, "ramp")
        yield Point(name="", kind="ramp", rates=rates, burstiness=loading.burstiness, **both)
    if loading.trace is not None:
        yield Point(name="", kind="trace", trace=str(Path(loading.trace).resolve()), speed=loading.speed, **both)


def _pairs(asking: Asking) -> list[tuple[str, float | None, float | None]]:
    if not asking.isl_osl_pairs:
        return [("", None, None)]
    if asking.isl is not None or asking.osl is not None:
        raise BadInput("lengths are given twice", field="isl_osl_pairs", allowed="pairs, or --isl and --osl")
    found = []
    for text in asking.isl_osl_pairs:
        isl, slash, osl = text.partition("/")
        if not slash:
            raise BadInput(f"'{text}'", field="isl_osl_pairs", allowed="128/128,2048/512")
        pair = _whole(isl, "isl_osl_pairs"), _whole(osl, "isl_osl_pairs")
        found.append((f"-i{pair[0]}-o{pair[1]}", float(pair[0]), float(pair[1])))
    return found


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    low, high = _two(text, "chars", "64:20000")
    return _whole(low, "chars"), _whole(high, "chars")


def _two(text: str, field: str, example: str) -> tuple[str, str]:
    low, colon, high = text.partition(":")
    if not colon:
        raise BadInput(f"'{text}'", field=field, allowed=example)
    return low, high


def _whole(text: str, field: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"'{text}' is not a whole number", field=field, allowed="a whole number") from None


def _number(text: str, field: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"'{text}' is not a number", field=field, allowed="a number") from None
