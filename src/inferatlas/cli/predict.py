"""``inferatlas predict``: one deployment, with intervals, memory and breakdown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import DEPLOYMENT, flag


def predict(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    spread: flags.Spread = flags.Spread(),  # noqa: B008 - frozen
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    activations: Annotated[str | None, flag("Format of the activations.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    beyond: flags.Beyond = flags.Beyond(),  # noqa: B008
    power: flags.Power = flags.Power(),  # noqa: B008
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008
    prefix_tokens: Annotated[int | None, flags.PREFIX] = None,
    economics: flags.Economics = flags.Economics(),  # noqa: B008
    utilisation: flags.Utilisation = 1.0,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Latency, throughput, power, cost and carbon of one deployment, with 80 % intervals.

    Exit code 3 if it does not fit: the reason, and the least count that would, are printed then.
    """
    from inferatlas.predict.question import ask
    from inferatlas.show.prediction import prediction_page, prediction_rows

    sink = Sink(out)
    answer = ask(
        model,
        accelerator,
        **asdict(spread),
        **asdict(beyond),
        engine=engine,
        weights=weights,
        activations=activations,
        kv_cache=kv_cache,
        **asdict(power),
        **asdict(traffic),
        prefix_tokens=prefix_tokens,
        **asdict(economics),
        utilisation=utilisation,
    )
    sink.put(answer, rows=prediction_rows, page=prediction_page)
    return 0 if answer.fits else 3
