"""The command ``inferatlas``: finds the command asked for, and turns every error into a message and an exit code."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from cyclopts import App, CoercionError, CycloptsError, MissingArgumentError, Parameter, ValidationError

from inferatlas import __version__
from inferatlas.cli.emitting import TYPED, as_typed, say
from inferatlas.cli.flags import not_empty
from inferatlas.errors import BadInput, InferAtlasError, NoFeasibleAnswer, UnknownName
from inferatlas.inputs import empty_name

DEBUG = "INFERATLAS_DEBUG"
INTERRUPTED, BROKEN_PIPE = 130, 141  # as shells report a process ended by these signals

app = App(
    name="inferatlas",
    version=f"inferatlas {__version__}",
    help="Which accelerator, how many and in which layout to serve a language model, and how sure that is.\n\n"
    "Start with: inferatlas recommend --model llama-3.3-70b --workload chat --request-rate 4",
    help_format="plaintext",  # Markdown in help would load a parser: 60 ms at every start
    default_parameter=Parameter(negative=(), show_default=lambda value: value or None, validator=not_empty),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
# Commands are named by their import path: one is loaded when it is asked for.
for _name, _path, _help in (
    ("recommend", "recommend:recommend", "Search every accelerator and layout, and rank what meets the targets."),
    ("predict", "predict:predict", "Latency, throughput, power and cost of one deployment."),
    ("simulate", "simulate:simulate", "A deployment under a load, request by request: percentiles, queues, energy."),
    ("explore", "explore:explore", "Every feasible design over a range of loads, as a table."),
    ("regimes", "regimes:regimes", "Which architecture for which work: grades with the numbers behind them."),
    ("crossover", "crossover:crossover", "Sweep a load or a length: where the best accelerator changes."),
    ("scale", "scale:scale", "Scaling strategies side by side: how to spread a model over many accelerators."),
    ("tiers", "tiers:tiers", "Memory beyond HBM: how much larger a model or context fits, at which slowdown."),
    ("whatif", "whatif:whatif", "A device of your own beside another, and what each of its parameters buys."),
    ("disaggregate", "disaggregate:disaggregate", "Prefill and decode on machines of their own: when it pays."),
    ("pool", "pool:pool", "Share memory or accelerators between nodes: what it saves, and what it may cost."),
    ("variance", "variance:variance", "How much latency varies at a load, and the share of each cause."),
    ("own", "own:own", "What owning a deployment costs, emits and evaporates, and what would change that."),
    ("profile", "profile:profile", "A trace's regimes, its primary constraint, and what follows."),
    ("catalogue", "catalogue:app", "Accelerators, models and engines with every fact and its source."),
    ("calibrate", "calibrate:calibrate", "Fit the predictor to measured points, and write coefficients."),
    ("validate", "validate:validate", "How far predictions are from a table of measurements, and the scoreboard."),
    ("evidence", "evidence:app", "Measured points: read public formats, find those nearest to a question."),
    ("claims", "claims:app", "What papers and slides state, recomputed: a verdict on every claim."),
    ("reproduce", "reproduce:reproduce", "A published study again: its tables and figures, ours beside theirs."),
    ("power", "power:app", "Power and energy of real devices, with their uncertainty."),
    ("bench", "bench:app", "Load on a real endpoint, measured; runs compared; results of other tools."),
    ("runs", "runs:app", "Run records, measured and simulated: list them, show one, ask them in SQL."),
    ("export", "export:app", "Results in the formats of other tools: a run as a timeline for Perfetto."),
    ("--install-completion", "completion:install", "Install completion for your shell."),
):
    app.command(f"inferatlas.cli.{_path}", name=_name, help=_help)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code (see `errors` for what the codes mean).

    Parameters
    ----------
    argv : the words after ``inferatlas``; None for those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _make_streams_safe()
    token = TYPED.set(as_typed(words))
    try:
        code = app(words)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except InferAtlasError as error:
        return _report(error, words)
    except CycloptsError as error:
        return _report(_usage(error, words), words)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except Exception as error:
        return _defect(error)
    finally:
        TYPED.reset(token)


def _make_streams_safe() -> None:
    """A terminal that knows no µ gets a question mark, and a closed stream swallows what is written; no traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        with contextlib.suppress(AttributeError, ValueError):
            getattr(sys, name).reconfigure(errors="replace")


def _usage(error: CycloptsError, words: Sequence[str]) -> BadInput:
    """What is wrong with the command line itself, in our own words where cyclopts has none that say the field."""
    error.verbose = False
    where = " ".join(["inferatlas", *(word for word in error.command_chain or () if word in words)])
    hint = f"`{where} --help` shows what is accepted"
    flag = error.argument.name.lstrip("-").replace("-", "_").lower() if error.argument is not None else None
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        if choices := error.argument.get_choices():
            return UnknownName(flag or "", error.token.value, choices)
        kind = {int: "a whole number", float: "a number"}.get(error.target_type or str)
        if kind:
            return BadInput(f"'{error.token.value}' is not {kind}", field=flag, allowed=kind, hint=hint)
    if isinstance(error, ValidationError):  # the only one there is: `not_empty`
        return empty_name(flag)
    if type(error) is MissingArgumentError and not error.tokens_so_far and error.keyword is None:
        return BadInput(
            f"{error.argument.name if error.argument else flag} is missing" + _near(error, words), field=flag, hint=hint
        )
    return BadInput(str(error).strip(), field=flag, hint=hint)


def _near(error: MissingArgumentError, words: Sequence[str]) -> str:
    """What was probably meant, where a flag is missing and another one is unknown."""
    near = difflib.get_close_matches(error.argument.name if error.argument else "", words, n=1)
    return f"; did you write {near[0]}?" if near and error.argument and near[0] not in error.argument.names else ""


def _report(error: InferAtlasError, words: Sequence[str]) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    say(str(error), badge="error")
    if _wants_json(words):
        from inferatlas.show.output import to_json

        document = error.as_dict()
        if isinstance(error, NoFeasibleAnswer):
            reason = {"code": error.code, "detail": str(error.message), "least_count": error.least_count}
            document |= {"fits": False, "reason": reason}
        with contextlib.suppress(OSError):
            sys.stdout.write(to_json(document))
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()
    return error.exit_code


def _wants_json(words: Sequence[str]) -> bool:
    return "--format=json" in words or ("--format", "json") in pairwise(words)


def _defect(error: Exception) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    line = " ".join(f"{type(error).__name__}: {error}".split())
    say(
        f"a defect of ours, not of your input: {line}\n  {DEBUG}=1 shows the traceback; please report it", badge="error"
    )
    return InferAtlasError.exit_code


def _forget_stdout() -> None:
    """Nobody can read on: let nothing be written to it when the interpreter closes its streams."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(run())
