"""One deployment to be compared, and the accelerators that stand in where a layout does not fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Interval, metric_arrays
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.question import Asked, asked, reason_of
from inferatlas.predict.replicas import label_of
from inferatlas.workload import Workload

# metric -> whether smaller is better
METRICS = {
    "ttft_s": True, "itl_s": True, "latency_s": True, "output_tokens_per_s": False,
    "joules_per_output_token": True, "usd_per_million_tokens": True,
}  # fmt: skip
# what a question may say that another device cannot do, by the code of the refusal
DROPPED = {"engine": ("engine",), "precision": ("weights", "kv_cache")}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A device under the load: ``metrics`` with their 80 % intervals, None where unknown; ``power_w`` beside `METRICS`.

    ``label`` is *predicted* or *extrapolated*; ``notes`` lists what was assumed and chosen.
    """

    id: str
    name: str
    count: int
    layout: dict[str, float]
    engine: str
    weights: str
    kv_cache: str
    metrics: dict[str, Interval | None]
    bound: str
    batch: float
    label: str
    notes: list[str]


def placed(
    model: ModelConfig | str, accelerator: str, load: Workload, *, free: bool = False, **given: Any
) -> tuple[Asked, list[str]]:
    """A deployment that fits: as it was asked for, else on the fewest accelerators that hold it; and what was changed.

    Parameters
    ----------
    given : layout, engine and formats as of `predict.question.asked`.
    free : the device is only compared with: an engine or format that it lacks may be replaced by its own default.

    Raises
    ------
    NoFeasibleAnswer : it does not fit anywhere, or engine or formats are not supported. Others as of `asked`.
    """
    notes: list[str] = []
    name = model if isinstance(model, str) else model.id
    while True:
        try:
            one = asked(name, accelerator, load, **given)
            break
        except NoFeasibleAnswer as error:
            dropped = [key for key in DROPPED.get(error.code, ()) if given.get(key) is not None]
            if not free or not dropped:
                raise
            words = ", ".join(f"{key.replace('_', ' ')} {given[key]}" for key in dropped)
            notes.append(f"{error.message}: compared with its own default instead of {words}")
            given |= dict.fromkeys(dropped)
    if predict(one.ops, one.table, one.points).fits[0]:
        return one, notes
    kept = {key: value for key, value in given.items() if key not in ("count", "tp", "pp", "ep", "dp", "cp")}
    least = asked(name, accelerator, load, **kept)
    why = reason_of(
        int(predict(one.ops, one.table, one.points).reason[0]), one.ops, one.table, load, count=one.layout.count
    )
    if not predict(least.ops, least.table, least.points).fits[0]:
        raise NoFeasibleAnswer(
            f"{one.accelerator.id} does not hold the model in any layout: {why['detail']}", code=why["code"],
            field="accelerator",
        )  # fmt: skip
    notes.append(
        f"the layout asked for does not serve the load on {one.layout.count} ({why['code'].replace('_', ' ')}): "
        f"compared on {least.layout.count}, the fewest that do"
    )
    return least, notes


def deployment(one: Asked, money: Economics, notes: list[str]) -> Deployment:
    """Predict one deployment with its intervals."""
    predictions = predict(one.ops, one.table, one.points)
    arrays = metric_arrays(predictions, one.points, one.table, [money])
    metrics = {name: arrays[name].at() for name in (*METRICS, "power_w") if name in arrays}
    metrics["joules_per_output_token"] = _inverse(arrays["tokens_per_joule"].at())
    platform = one.platform
    return Deployment(
        id=platform.device.id,
        name=platform.device.name,
        count=one.layout.count,
        layout=asdict(one.layout),
        engine=platform.engine.name,
        weights=platform.precision.weights,
        kv_cache=platform.precision.kv_cache,
        metrics=metrics,
        bound=BOUNDS[int(predictions.bound[0])],
        batch=float(predictions.batch[0]),
        label=label_of(platform, one.layout),
        notes=[*notes, *platform.notes, *one.notes],
    )


def _inverse(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(1.0 / interval.high, 1.0 / interval.value, 1.0 / interval.low)
