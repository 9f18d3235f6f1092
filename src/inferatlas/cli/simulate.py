"""``inferatlas simulate``: a deployment under a load, request by request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink
from inferatlas.cli.flags import DEPLOYMENT, LIMITS, SUBJECT, WORKLOAD, flag, integer, measured, several

if TYPE_CHECKING:
    from inferatlas.simulate.asking import Question


def seconds(_: Any, tokens: Any) -> float:
    """A time with its unit: ``500ms``, ``2h``."""
    return measured(tokens[0], "s")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sending:
    """How requests come."""

    requests: Annotated[
        int | None, integer("Requests to send.", WORKLOAD, "--requests", "--num-prompts", "--num-requests")
    ] = None
    arrival: Annotated[str | None, flag("poisson, constant, gamma, bursts or diurnal.", WORKLOAD)] = None
    burstiness: Annotated[float | None, flag("Shape of gamma intervals; below 1: bursts.", WORKLOAD)] = None
    input_cv: Annotated[float | None, flag("Coefficient of variation of input tokens.", WORKLOAD)] = None
    output_cv: Annotated[float | None, flag("The same of output tokens.", WORKLOAD)] = None
    turns: Annotated[float | None, flag("Mean turns of a conversation.", WORKLOAD)] = None
    think_s: Annotated[
        float | None,
        flag("Time between an answer and what follows it: 10s.", WORKLOAD, "--think", converter=seconds, n_tokens=1),
    ] = None
    dataset: Annotated[
        str | None, flag("File to draw pairs of lengths from: ShareGPT-like JSON, or a trace.", WORKLOAD)
    ] = None
    characters_per_token: Annotated[float | None, flag("Of the dataset's text, which has no tokens.", WORKLOAD)] = None
    trace: Annotated[str | None, flag("Requests to replay: CSV or JSON Lines.", WORKLOAD)] = None
    speed: Annotated[float | None, flag("Of the trace's time: 2 is twice as fast.", WORKLOAD)] = None
    longest: Annotated[int | None, integer("Leave out requests of more tokens.", WORKLOAD)] = None
    prefix_tokens: Annotated[int | None, flags.PREFIX] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Engine:
    """How a replica fills its steps."""

    max_sequences: Annotated[
        int | None, integer("Sequences in a step.", DEPLOYMENT, "--max-num-seqs", "--max-sequences")
    ] = None
    step_tokens: Annotated[
        int | None, integer("Token budget of a step.", DEPLOYMENT, "--max-num-batched-tokens", "--step-tokens")
    ] = None
    kv_blocks: Annotated[
        int | None, integer("Blocks of the KV cache.", DEPLOYMENT, "--kv-blocks", "--num-gpu-blocks-override")
    ] = None


def simulate(
    *,
    config: Annotated[str | None, flag("A deployment's file, instead of one pool of flags.", SUBJECT)] = None,
    model: Annotated[str | None, flags.MODEL] = None,
    accelerator: Annotated[
        str | None, flag("Name in the catalogue, or YAML file.", SUBJECT, *flags.ACCELERATOR)
    ] = None,
    spread: flags.Spread = flags.Spread(),  # noqa: B008 - frozen
    scheduler: Annotated[str | None, flag("vllm-v1, vllm-v0, orca, static, sglang, ... or YAML.", DEPLOYMENT)] = None,
    settings: Engine = Engine(),
    router: Annotated[str | None, flag("round-robin, least-outstanding, prefix, ...", DEPLOYMENT)] = None,
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    activations: Annotated[str | None, flag("Format of the activations.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    speculate: Annotated[str | None, flag("Drafts to verify: gamma=4,acceptance=0.7.", DEPLOYMENT)] = None,
    price: Annotated[float | None, flag("USD per accelerator-hour, instead of the catalogue's.", flags.COST)] = None,
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008
    sending: Sending = Sending(),
    seed: Annotated[int, integer("Of everything that is random.", WORKLOAD)] = 0,
    until: Annotated[
        float | None, flag("Stop after so much simulated time: 1h.", LIMITS, converter=seconds, n_tokens=1)
    ] = None,
    replications: Annotated[int, integer("Runs with other chance, for intervals.", LIMITS)] = 1,
    targets: flags.Targets = flags.Targets(),  # noqa: B008
    find_capacity: Annotated[bool, flag("Search the highest load that keeps every target.", flags.TARGET)] = False,
    compare: Annotated[
        tuple[str, ...], several("Ways of serving: colocated, chunked, disaggregated, or schedulers.", DEPLOYMENT)
    ] = (),
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """A deployment under a load, request by request: percentiles, queues, memory, energy and cost.

    --output FOLDER/ writes a run record. Exit code 4 if a target is missed.
    """
    from inferatlas.errors import BadInput
    from inferatlas.simulate.asking import question

    folder = _folder(out.output)
    sink = Sink(out if folder is None else flags.Out(format=out.format, quiet=out.quiet))
    if find_capacity and compare:
        raise BadInput("either a search or a comparison", field="compare", allowed="one of the two")
    if folder is not None and (find_capacity or compare):
        raise BadInput("a run record holds one run", field="output", allowed="a file")
    if replications > 1 and (find_capacity or compare):
        raise BadInput("are of one deployment under one load", field="replications", allowed="1 here")
    if not 1 <= replications <= 1000:
        raise BadInput(f"{replications} runs", field="replications", allowed="1 to 1000")
    own = {name: value for name, value in asdict(settings).items() if value is not None}
    slo = targets.texts()
    asked = question(
        model, accelerator, config=config, **asdict(spread), engine=engine, weights=weights, activations=activations,
        kv_cache=kv_cache, speculate=speculate, scheduler=scheduler, settings=own or None, router=router,
        usd_per_hour=price, slo=slo or None, seed=seed, until_s=until, **asdict(traffic), **asdict(sending),
    )  # fmt: skip
    _compiled(sink)
    if find_capacity:
        return _capacity(asked, sink)
    if compare:
        return _compare(asked, compare, sink)
    return _once(asked, sink, folder, replications)


def _folder(output: str | None) -> Path | None:
    """The folder of a run record, where the output is one."""
    if output is None or output == "-":
        return None
    path = Path(output)
    return path if output.endswith(("/", "\\")) or path.is_dir() or not path.suffix else None


def _compiled(sink: Sink) -> None:
    from inferatlas.simulate.kernel.machine import built, loop

    if not built():
        sink.tell("compiling the event loop: once, about half a minute")
        with sink.working("compiling"):
            loop()


def _once(asked: Question, sink: Sink, folder: Path | None, replications: int) -> int:
    from inferatlas.show.simulation import simulation_html, simulation_page, simulation_rows
    from inferatlas.simulate.answering import about
    from inferatlas.simulate.answering import simulate as run
    from inferatlas.simulate.record import check_folder, write_record

    if folder is not None:
        folder = check_folder(folder, field="output")
    with sink.counting("requests", len(asked.requests) * replications) as told:
        found, raw = run(asked, replications=replications, log=folder is not None, told=told)
    if folder is not None:
        with sink.working("writing"):
            write_record(folder, raw, asked.fleet, asked.requests, found.outcome, about(asked, TYPED.get()))
        sink.tell(f"wrote {folder}")
    sink.put(found, rows=simulation_rows, page=simulation_page, html=simulation_html)
    if raw.interrupted:
        sink.tell("interrupted: what was simulated until then is shown" + (" and written" if folder else ""))
        return 130
    return 4 if found.meets is False else 0


def _capacity(asked: Question, sink: Sink) -> int:
    from inferatlas.show.capacity import capacity_html, capacity_page, capacity_rows
    from inferatlas.simulate.answering import name_of
    from inferatlas.simulate.limits import capacity, how_many

    with sink.working("searching"):
        found = capacity(asked)
    known = name_of(asked), asked.label
    notes = [*asked.notes, how_many(asked)]
    sink.put(
        found,
        rows=lambda it: capacity_rows(it, *known),
        page=lambda it, typed: capacity_page(it, *known, typed, notes),
        html=lambda it, typed: capacity_html(it, *known, typed, notes),
        document=lambda: {"name": known[0], "label": known[1], **found.as_dict(), "notes": notes},
    )
    return 0 if found.rate is not None else 3


def _compare(asked: Question, names: tuple[str, ...], sink: Sink) -> int:
    from inferatlas.show.simulations import comparison_html, comparison_page, comparison_rows
    from inferatlas.simulate.comparing import compare as side_by_side

    with sink.working("simulating"):
        found = side_by_side(asked, names)
    sink.put(
        found, rows=comparison_rows, page=comparison_page, html=comparison_html,
        document=lambda: {"deployments": [one.as_dict() for one in found]},
    )  # fmt: skip
    return 4 if found and all(one.meets is False for one in found) else 0
