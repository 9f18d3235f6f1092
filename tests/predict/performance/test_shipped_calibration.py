"""What was learned from measured points never lifts a prediction above physics, whatever is asked of it."""

from functools import lru_cache

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import model_ids
from inferatlas.errors import NoFeasibleAnswer, NotModelled
from inferatlas.predict.handbook import roofline
from inferatlas.predict.handbook.roofline import Peaks, Shape
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import FORMATS, default_activations
from inferatlas.predict.performance.calibrated import FOLDER, load
from inferatlas.predict.performance.coefficients import LOGIT, TUNED
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind, supported_engines

SHIPPED = load(FOLDER)
ERAS = tuple(level.removeprefix("era:") for level in SHIPPED.points if level.startswith("era:"))
# models of both kinds and several sizes, on parts of several vendors, in several formats
PAIRS = [
    ("llama-3.1-8b", "nvidia-h100-sxm", "bf16"), ("llama-3.1-8b", "nvidia-a100-80gb-sxm", "fp16"),
    ("llama-3.1-8b", "google-tpu-v6e", "bf16"), ("llama-3.1-8b", "intel-gaudi-3", "bf16"),
    ("llama-3.3-70b", "nvidia-h200-sxm", "fp8"), ("llama-3.3-70b", "amd-mi300x", "fp8"),
    ("llama-3.3-70b", "nvidia-b200-sxm", "nvfp4"), ("mixtral-8x7b", "nvidia-h100-sxm", "bf16"),
    ("mixtral-8x7b", "amd-mi300x", "fp16"), ("gpt-oss-120b", "nvidia-b200-sxm", "mxfp4"),
    ("deepseek-r1", "nvidia-h200-sxm", "fp8"), ("qwen3-30b-a3b", "amd-mi355x", "bf16"),
]  # fmt: skip
COUNT = {"llama-3.3-70b": 8, "gpt-oss-120b": 8, "deepseek-r1": 8}  # accelerators; 2 of the others
USERS = np.unique(np.round(np.geomspace(1, 512, 40)))
every_pair = pytest.mark.parametrize(("model", "part", "weights"), PAIRS)


@lru_cache
def everywhere() -> list[Platform]:
    """Every accelerator under every engine that runs there, in every weight format and for every era."""
    found = []
    for name in accelerator_ids():
        known = load_accelerator(name)
        try:
            device(known)
        except NotModelled:
            continue
        for engine in supported_engines(known):
            for weights in ("bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"):
                for era in ERAS:
                    try:
                        found.append(bind(known, engine, weights, era=era))
                    except NoFeasibleAnswer:
                        break
    return found


def served(ops, model: str, part: str, weights: str, **asked) -> tuple[Platform, Predictions]:
    """The layout that holds the model and 512 users, with the model's own effects."""
    platform = bind(part, None, weights, model=model)
    points = make_points(
        0, tp=COUNT.get(model, 2), **({"concurrency": USERS, "input_tokens": 1024, "output_tokens": 256} | asked)
    )
    found = predict(ops, platform_table([platform], is_moe=bool(ops.experts)), points)
    assert found.fits.all()
    return platform, found


def test_efficiencies_are_shares_on_every_accelerator_under_every_engine():
    seen = everywhere()
    assert len(seen) > 200
    for platform in seen:
        for name in LOGIT:
            assert 0 < getattr(platform.coefficients, name) <= 1, (platform.device.id, platform.engine.name, name)


def test_efficiencies_are_shares_for_every_model_that_was_measured():
    models = [level.removeprefix("model:") for level in SHIPPED.points if level.startswith("model:")]
    assert {*models} <= {*model_ids()}
    for model in models:
        for platform in everywhere()[::7]:
            p = platform
            c = bind(p.device.id, p.engine.name, p.precision.weights, model=model, era=p.era).coefficients
            assert all(0 < getattr(c, name) <= 1 for name in LOGIT), (model, p.device.id)


def test_everything_else_is_a_finite_amount():
    for platform in everywhere():
        c = platform.coefficients
        assert all(0 <= getattr(c, name) < np.inf for name in TUNED), platform.device.id
        assert c.interference >= c.compute_efficiency


def test_what_nobody_drafted_yields_a_token_per_step():
    for platform in everywhere():
        assert platform.coefficients.accepted == pytest.approx(1.0, abs=0.01), platform.device.id


@every_pair
def test_throughput_and_the_gap_between_tokens_never_fall_with_concurrency(ops_of, model, part, weights):
    for lengths in ((128, 1024), (1024, 256), (4096, 512)):
        asked = dict(zip(("input_tokens", "output_tokens"), lengths, strict=True))
        _, found = served(ops_of(model), model, part, weights, **asked)
        assert (np.diff(found.output_tokens_per_s) >= -1e-6 * found.output_tokens_per_s[1:]).all(), lengths
        assert (np.diff(found.itl_s) >= -1e-6 * found.itl_s[1:]).all(), lengths


@every_pair
def test_a_static_batch_never_yields_less_by_being_larger(ops_of, model, part, weights):
    _, found = served(ops_of(model), model, part, weights, together=True)
    assert (np.diff(found.output_tokens_per_s) >= -1e-6 * found.output_tokens_per_s[1:]).all()
    assert (np.diff(found.latency_s) >= -1e-6 * found.latency_s[1:]).all()


@every_pair
def test_nothing_is_faster_than_reading_the_weights_of_a_token(ops_of, model, part, weights):
    for together in (False, True):
        ops = ops_of(model)
        platform, found = served(ops, model, part, weights, together=together)
        dense = sum(row.count * (row.weights + row.kv_weights) for row in ops.gemms)
        experts = sum(row.count * row.weights * row.top_k for row in ops.experts)
        bits = FORMATS[platform.precision.weights].bits
        # of MXFP4 checkpoints the experts alone are narrow: all in 4 bit is the laxer bound
        least = (dense + experts) * bits / 8 / (COUNT.get(model, 2) * platform.device.memory.bytes_per_s)
        assert (found.itl_s >= least).all()


@pytest.mark.parametrize(("model", "part", "weights"), [pair for pair in PAIRS if pair[0] == "llama-3.1-8b"])
def test_nothing_is_faster_than_the_roofline_of_the_data_sheet(ops_of, model, part, weights):
    ops = ops_of(model)
    platform, found = served(ops, model, part, weights)
    assert default_activations(weights, platform.device.peaks) == weights
    plain = Peaks.of(platform.device, platform.compute)
    both = Peaks(2 * plain.flop_per_s, 2 * plain.bytes_per_s, 2 * plain.capacity, np.inf)
    assert (found.itl_s >= roofline.decode_step(Shape.of(ops.model), both, found.batch, 1024 + 128)).all()
    assert (found.ttft_s >= roofline.prefill_step(Shape.of(ops.model), both, 1, 1024) * 0.999).all()


def test_no_device_draws_more_than_its_rating_nor_less_than_nothing(ops_of):
    for model, part, weights in PAIRS:
        platform, found = served(ops_of(model), model, part, weights)
        rated = platform.device.power.rated_w
        if rated is not None:
            most = COUNT.get(model, 2) * rated * (1 + 1e-9)
            assert ((found.power_w > 0) & (found.power_w <= most)).all(), part
