"""Flags that several commands share, grouped as people think of them. Names follow the tools of the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

Objective = Literal["cost", "energy", "latency", "throughput", "carbon"]
Format = Literal["table", "json", "jsonl", "csv", "parquet", "md", "html"]

SUBJECT, WORKLOAD, TARGET, DEPLOYMENT, BEYOND, LIMITS, COST, EVIDENCE, OUTPUT = (
    Group(name, sort_key=place)
    for place, name in enumerate(
        ("Subject", "Workload", "Targets", "Deployment", "Beyond", "Limits", "Cost and carbon", "Evidence", "Output")
    )
)


def split(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Values of a flag that may be repeated or hold several, separated by commas."""
    return tuple(part.strip() for token in tokens for part in token.value.split(","))


def not_empty(_: Any, value: Any) -> None:
    """Refuse an empty text, as a variable of a shell that is not set leaves it: it would pass for a flag not given."""
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise ValueError("empty")


def whole_numbers(_: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    """The same for whole numbers."""
    return tuple(_whole(part, token) for token in tokens for part in token.value.split(","))


def whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number as written: cyclopts would round 1.5 and read 0x10."""
    return _whole(tokens[0].value, tokens[0])


def _whole(text: str, token: Token) -> int:
    from inferatlas.errors import BadInput

    try:
        return int(text)
    except ValueError:
        name = (token.keyword or "").lstrip("-").replace("-", "_") or None
        raise BadInput(f"'{text}' is not a whole number", field=name, allowed="a whole number") from None


def watts(_: Any, tokens: Sequence[Token]) -> float:
    """Power with its unit: ``700 W``, ``10 kW``."""
    return measured(tokens[0], "W")


def measured(token: Token, unit: str) -> float:
    """A number with its unit, in SI."""
    from inferatlas.quantities import parse

    return parse(token.value, unit, field=(token.keyword or "").lstrip("-").replace("-", "_") or None)


def flag(help: str, group: Group, *names: str, **more: Any) -> Parameter:
    """A flag with the name of its argument, or the names given."""
    return Parameter(name=names or None, help=help, group=group, **more)


def integer(help: str, group: Group, *names: str) -> Parameter:
    """A flag that takes a whole number."""
    return flag(help, group, *names, converter=whole, n_tokens=1, metavar="INT")


def several(help: str, group: Group, *names: str) -> Parameter:
    """A flag that may be repeated."""
    return flag(f"{help} Repeat, or separate by commas.", group, *names, converter=split, n_tokens=1)


ACCELERATOR = ("--accelerator", "-a", "--system", "--gpu")
ACCELERATORS = ("--accelerator", "--accelerators", *ACCELERATOR[1:])

MODEL = flag("Name in the catalogue, Hugging Face name, config.json, or YAML file.", SUBJECT, "--model", "-m")
Model = Annotated[str, MODEL]
Accelerator = Annotated[str, flag("Name in the catalogue, or YAML file.", SUBJECT, *ACCELERATOR)]
Accelerators = Annotated[tuple[str, ...], several("Only these accelerators, or `all`.", LIMITS, *ACCELERATORS)]
Vendors = Annotated[tuple[str, ...], several("Only these vendors.", LIMITS, "--vendor")]
WeightChoices = Annotated[tuple[str, ...], several("Only these weight formats (bf16, fp8, int4, ...).", LIMITS)]
MaxCount = Annotated[int, integer("Most accelerators, 1 to 1024.", LIMITS)]
Engine = Annotated[str | None, flag("vllm, sglang, tensorrt-llm or native.", DEPLOYMENT)]
KvCache = Annotated[str | None, flag("Format of the KV cache.", DEPLOYMENT)]
Utilisation = Annotated[float, flag("Share of paid hours in use.", COST)]

Named = Annotated[str | None, flag("chat, code, ... (`catalogue list workloads`), or YAML file.", WORKLOAD)]
Isl = Annotated[int | None, integer("Input tokens per request.", WORKLOAD, "--isl", "--random-input-len")]
Osl = Annotated[int | None, integer("Output tokens per request.", WORKLOAD, "--osl", "--random-output-len")]
InFlight = Annotated[int | None, integer("Requests in flight.", WORKLOAD, "--concurrency", "--max-concurrency")]
Levels = Annotated[
    tuple[int, ...],
    flag(
        "Requests in flight: 1,8,64. Default: powers of two up to 1024.",
        WORKLOAD,
        "--concurrency",
        "--max-concurrency",
        converter=whole_numbers,
        n_tokens=1,
    ),
]

By = Annotated[tuple[str, ...], several("Slice by accelerator, engine, model, load, ...", EVIDENCE)]
InSample = Annotated[bool, flag("Score rows of the fit as fitted, not with their group left out.", EVIDENCE)]
CoefficientFolder = Annotated[Path | None, flag("Folder of `calibrate`, instead of the package's.", EVIDENCE)]
CoefficientOutput = Annotated[Path, flag("Folder to write the coefficients to.", OUTPUT, "--output", "-o")]
ResultFormat = Annotated[Format | None, flag("Default: a table.", OUTPUT)]
Quiet = Annotated[bool, flag("No progress, no remarks.", OUTPUT, "--quiet", "-q")]
Rows = Annotated[str | None, flag("File for a row per figure (.parquet or .csv).", OUTPUT)]
Reports = Annotated[tuple[str, ...], flag("File for the scoreboard (.md or .html); repeat for both.", OUTPUT)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked of the deployment."""

    workload: Named = None
    isl: Isl = None
    osl: Osl = None
    concurrency: InFlight = None
    request_rate: Annotated[float | None, flag("Requests per second, instead of --concurrency.", WORKLOAD)] = None


PREFIX = integer("Of the input, tokens that prompts share and that are cached already.", WORKLOAD)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the deployment must keep."""

    slo: Annotated[tuple[str, ...], flag('Target such as "ttft:p95<500ms"; repeat for more.', TARGET)] = ()
    ttft: Annotated[str | None, flag("Mean time to first token: 500ms (bare numbers are milliseconds).", TARGET)] = None
    itl: Annotated[str | None, flag("Mean inter-token latency: 50ms.", TARGET, "--itl", "--tpot")] = None
    request_latency: Annotated[str | None, flag("Mean latency of a request: 10s.", TARGET)] = None

    def texts(self) -> tuple[str, ...]:
        """Every target as ``--slo`` would say it."""
        short = {"ttft": self.ttft, "itl": self.itl, "latency": self.request_latency}
        return (*self.slo, *(_mean(name, text) for name, text in short.items() if text is not None))


def _mean(metric: str, text: str) -> str:
    from inferatlas.errors import BadInput
    from inferatlas.quantities import parse
    from inferatlas.workload import ServiceTarget

    field = "request_latency" if metric == "latency" else metric
    bound = parse(text, "s", field=field, default_unit="ms")
    if not bound > 0:
        raise BadInput(f"'{text}' is no target", field=field, allowed="a time above 0: 500ms")
    return ServiceTarget(metric, "mean", bound, "<").text()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Economics:
    """What money and electricity cost."""

    price: Annotated[float | None, flag("USD per accelerator-hour, instead of the catalogue's.", COST)] = None
    region: Annotated[str, flag("Grid whose carbon counts.", COST)] = "USA"
    site: Annotated[str, flag("Kind of data centre, for its PUE.", COST)] = "AWS"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Out:
    """Where the result goes."""

    format: Annotated[Format | None, flag("Default: a table, or what the file's extension says.", OUTPUT)] = None
    output: Annotated[str | None, flag("File to write (- for stdout).", OUTPUT, "--output", "-o")] = None
    quiet: Quiet = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Spread:
    """How the model is spread; what is left open is chosen."""

    count: Annotated[
        int | None, integer("Accelerators; default: the fewest.", DEPLOYMENT, "--count", "--total-gpus")
    ] = None
    tp: Annotated[int | None, integer("Tensor parallelism.", DEPLOYMENT, "--tp", "--tensor-parallel-size")] = None
    pp: Annotated[int | None, integer("Pipeline parallelism.", DEPLOYMENT, "--pp", "--pipeline-parallel-size")] = None
    ep: Annotated[int | None, integer("Expert parallelism.", DEPLOYMENT, "--ep")] = None
    dp: Annotated[int | None, integer("Replicas.", DEPLOYMENT, "--dp", "--data-parallel-size")] = None
    cp: Annotated[int | None, integer("Shards of each context.", DEPLOYMENT, "--cp", "--context-parallel-size")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Memory beyond the main one, a smaller KV cache, drafts, images."""

    tier: Annotated[
        tuple[str, ...],
        flag("Memory behind the main one, per accelerator: cxl:1TiB@64GB/s. Repeat for more.", BEYOND),
    ] = ()
    offload: Annotated[float | None, flag("Share of the layers' weights in slower memory.", BEYOND)] = None
    kv_offload: Annotated[float | None, flag("Share of the KV cache in slower memory.", BEYOND)] = None
    kv_compression: Annotated[float | None, flag("KV cache so many times smaller than its format.", BEYOND)] = None
    kv_keep: Annotated[int | None, integer("Most tokens of a context that are kept (eviction).", BEYOND)] = None
    kv_read: Annotated[int | None, integer("Most tokens that a query reads (sparse attention).", BEYOND)] = None
    speculate: Annotated[
        str | None, flag("Drafts to verify: gamma=4,acceptance=0.7[,width=2][,draft=MODEL].", BEYOND)
    ] = None
    images: Annotated[int, integer("Images in every prompt, beside its text.", BEYOND)] = 0
    image_size: Annotated[str, flag("Pixels of an image.", BEYOND)] = "1024x1024"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Power:
    """What the accelerators may draw."""

    clock: Annotated[float, flag("Clock of the cores, relative to the rated one: 0.8.", DEPLOYMENT)] = 1.0
    power_cap_w: Annotated[
        float | None,
        flag("Most that an accelerator may draw: 400W.", DEPLOYMENT, "--power-cap", converter=watts, n_tokens=1),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Experts:
    """How experts are chosen and where they sit."""

    skew: Annotated[float, flag("Zipf exponent of the experts' popularity; 0: uniform.", WORKLOAD)] = 0.0
    placement: Annotated[Literal["balanced", "contiguous"], flag("Where experts sit.", DEPLOYMENT)] = "balanced"
    redundant: Annotated[int, integer("Spare copies of experts per layer.", DEPLOYMENT)] = 0

    def routing(self):
        """As predictions take it."""
        from inferatlas.predict.llm.placement import Routing

        return Routing(self.skew, self.placement, self.redundant)
