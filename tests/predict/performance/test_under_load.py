"""Steps under load seen again: they are the ones that the prediction was made of, and their shares say what binds."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping.layouts import enumerate_layouts
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.under_load import UnderLoad, spending, under_load
from inferatlas.predict.platforms import bind

DENSE, MIXTURE = "llama-3.1-8b", "qwen3-30b-a3b"
GPU, CARDS, COMPILED, CHIPS, WAFER = "nvidia-h100-sxm", "amd-mi250", "aws-trainium-2", "groq-lpu-v1", "cerebras-wse-3"
PARTS = (GPU, CARDS, COMPILED, "nvidia-l4", "google-tpu-v5e", CHIPS, WAFER)
LOADS = ("concurrency", "request_rate")
CAPACITY = BOUNDS.index("memory_capacity")


@lru_cache
def machine(model: str, part: str) -> tuple[Operators, PlatformTable]:
    ops = operators(load_model(model))
    return ops, platform_table([bind(part, model=model)], is_moe=bool(ops.experts))


def fitting(points: Points, answers: Predictions) -> tuple[Points, Predictions]:
    keep = np.flatnonzero(answers.fits)
    return points[keep], answers[keep]


@lru_cache
def drawn(model: str, part: str, load: str) -> tuple[Points, Predictions, UnderLoad]:
    """Layouts, lengths and loads drawn over many orders of magnitude; those that fit."""
    ops, table = machine(model, part)
    resident = bool(table.resident[0])
    layouts = enumerate_layouts(ops, table.platforms[0].device, 320 if resident else 16, every_count=False)
    random = np.random.default_rng(sum(map(ord, model + part + load)))
    n = 300
    if resident:  # most rows are too short for the model
        wide = np.flatnonzero(layouts.pp > 0.5 * layouts.pp.max())
        i = wide[random.integers(0, len(wide), n)]
    else:
        i = random.integers(0, len(layouts), n)
    level = np.exp(random.uniform(0, 7, n)).round() if load == "concurrency" else np.exp(random.uniform(-4, 4, n))
    points = make_points(
        0, tp=layouts.tp[i], pp=layouts.pp[i], ep=layouts.ep[i], dp=layouts.dp[i], input_cv=0.5, output_cv=0.5,
        input_tokens=np.exp(random.uniform(0, np.log(20_000), n)).round(),
        output_tokens=np.where(random.random(n) < 0.2, 1.0, np.exp(random.uniform(0, 7, n)).round()),
        **{load: level},
    )  # fmt: skip
    points, answers = fitting(points, predict(ops, table, points, checked=True))
    assert len(points) > 20
    return points, answers, under_load(ops, table, points, answers)


everywhere = pytest.mark.parametrize(
    ("model", "part"), [(DENSE, part) for part in PARTS] + [(MIXTURE, part) for part in (GPU, CARDS, WAFER)]
)


@everywhere
@pytest.mark.parametrize("load", LOADS)
def test_shares_add_to_one_and_the_largest_is_what_binds(model, part, load):
    points, answers, steps = drawn(model, part, load)
    spent = spending(steps, points)
    assert set(spent) == set(BOUNDS) - {"memory_capacity"}
    shares = np.array([spent[name] for name in BOUNDS[:CAPACITY]])
    assert (shares >= 0).all()
    assert shares.sum(axis=0) == pytest.approx(1.0, abs=1e-12)
    free = answers.bound != CAPACITY
    assert free.any()
    assert (shares.argmax(axis=0)[free] == answers.bound[free]).all()


def test_all_kinds_of_bounds_are_among_them():
    seen = {int(b) for part in PARTS for load in LOADS for b in drawn(DENSE, part, load)[1].bound}
    assert seen == set(range(len(BOUNDS)))


@everywhere
@pytest.mark.parametrize("load", LOADS)
def test_steps_with_the_chunks_they_carry_are_the_inter_token_latency(model, part, load):
    points, answers, steps = drawn(model, part, load)
    _, table = machine(model, part)
    many = points.output_tokens > 1
    whole = (answers.itl_s * table.rows(points.platform).accepted)[many]
    found = (steps.decode.total + steps.carried * steps.added)[many]
    assert (steps.carried >= 0).all() and (steps.added >= 0).all() and (steps.chunks >= 1).all()
    if load == "concurrency":
        assert found == pytest.approx(whole, rel=1e-6)
    else:  # the search for the batch of an open loop stops a little short of its answer
        assert found == pytest.approx(whole, rel=0.005)


def test_tokens_accepted_per_step_count():
    ops, table = machine(DENSE, GPU)
    table = replace(table, accepted=np.full(1, 2.5))
    points = make_points(0, concurrency=[4, 32], input_tokens=512, output_tokens=256)
    answers = predict(ops, table, points)
    steps = under_load(ops, table, points, answers)
    assert steps.decode.total + steps.carried * steps.added == pytest.approx(2.5 * answers.itl_s, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "part", "layout"),
    [
        (DENSE, GPU, {}), (DENSE, GPU, {"tp": 2, "pp": 4}), (DENSE, CARDS, {"tp": 2}),
        (MIXTURE, GPU, {"dp": 4, "ep": 4}), (DENSE, CHIPS, {"pp": 200}),
    ],
)  # fmt: skip
def test_the_slope_is_what_a_further_sequence_adds(model, part, layout):
    ops, table = machine(model, part)
    points = make_points(0, concurrency=[8, 40, 64], input_tokens=500, output_tokens=200, **layout)
    points, answers = fitting(points, predict(ops, table, points))
    stages = 1 if table.resident[0] else layout.get("pp", 1)  # a sequence more of every micro-batch
    here = under_load(ops, table, points, answers)
    decoding = 199 / 200  # of the steps of a request
    more = under_load(ops, table, points, replace(answers, batch=(here.batch + 1.0) * stages / decoding))
    assert more.batch == pytest.approx(here.batch + 1.0)
    assert here.slope == pytest.approx(more.decode.total - here.decode.total, rel=1e-6, abs=1e-12)


def test_a_compiled_image_runs_as_large_as_it_is():
    ops, table = machine(DENSE, COMPILED)
    points = make_points(0, tp=4, concurrency=[5, 6, 8], input_tokens=500, output_tokens=200)
    answers = predict(ops, table, points)
    assert answers.fits.all() and table.compiled[0]
    steps = under_load(ops, table, points, answers)
    assert steps.batch == pytest.approx(np.array([5.0, 6.0, 8.0]) * 199 / 200)
    assert steps.decode.total == pytest.approx(steps.decode.total[2])


@pytest.mark.parametrize("part", PARTS)
def test_one_output_token_has_no_gaps_to_carry_anything(part, recwarn: pytest.WarningsRecorder):
    ops, table = machine(DENSE, part)
    layout = {"pp": 200} if part == CHIPS else {"tp": 8 if part in (COMPILED, "google-tpu-v5e", "nvidia-l4") else 1}
    points = make_points(0, input_tokens=[1, 64, 512, 4000], output_tokens=1, concurrency=[1, 1, 8, 8], **layout)
    points, answers = fitting(points, predict(ops, table, points))
    assert len(points) and (answers.bound != CAPACITY).all()
    steps = under_load(ops, table, points, answers)
    spent = spending(steps, points)
    assert not len(recwarn)
    assert (steps.carried == 0).all()
    for name, part_of in (("compute", "compute"), ("memory_bandwidth", "memory"), ("overhead", "overhead")):
        assert spent[name] == pytest.approx(getattr(steps.mixed, part_of) / steps.mixed.total)
    assert [BOUNDS[i] for i in answers.bound] == [
        max(spent, key=lambda name, i=i: spent[name][i]) for i in range(len(points))
    ]


def test_a_request_alone_waits_for_its_own_prompt_and_its_own_steps():
    ops, table = machine(DENSE, GPU)
    points = make_points(0, concurrency=1, input_tokens=700, output_tokens=[2, 50])
    answers = predict(ops, table, points)
    steps = under_load(ops, table, points, answers)
    assert steps.carried == pytest.approx(0.0, abs=1e-9) and steps.batch.tolist() == [1.0, 1.0]
    seconds = steps.mixed.compute * steps.chunks + (points.output_tokens - 1) * steps.decode.compute
    whole = steps.mixed.total * steps.chunks + (points.output_tokens - 1) * steps.decode.total
    assert spending(steps, points)["compute"] == pytest.approx(seconds / whole)


def test_shares_of_experts_are_those_of_the_breakdown():
    ops, table = machine(MIXTURE, GPU)
    points = make_points(0, tp=2, concurrency=16, input_tokens=1024, output_tokens=256)
    answers = predict(ops, table, points)
    rows = [row for row in breakdown(ops, table, points, answers) if row.phase == "decode"]
    experts = sum(row.seconds for row in rows if row.operator == "experts")
    share = under_load(ops, table, points, answers).experts[0]
    assert 0.1 < share < 1
    assert share == pytest.approx(experts / sum(row.seconds for row in rows), rel=1e-6)
    ops, table = machine(DENSE, GPU)
    assert under_load(ops, table, points, predict(ops, table, points)).experts == 0


@settings(max_examples=40)
@given(
    cp=st.sampled_from([1, 2, 4]), offload=st.sampled_from([0.0, 0.3]), isl=st.integers(1, 30_000),
    osl=st.integers(1, 500), concurrency=st.integers(1, 200),
)  # fmt: skip
def test_shards_of_the_context_and_weights_elsewhere_are_in_the_account(cp, offload, isl, osl, concurrency):
    ops, table = machine(DENSE, GPU)
    points = make_points(
        0, tp=2, cp=cp, offload=offload, input_tokens=isl, output_tokens=osl, concurrency=concurrency
    )  # fmt: skip
    answers = predict(ops, table, points)
    assert answers.fits[0]
    steps = under_load(ops, table, points, answers)
    spent = {name: float(share[0]) for name, share in spending(steps, points).items()}
    assert sum(spent.values()) == pytest.approx(1.0)
    if answers.bound[0] != CAPACITY:
        assert max(spent, key=lambda name: spent[name]) == BOUNDS[answers.bound[0]]
    if osl > 1:
        assert steps.decode.total + steps.carried * steps.added == pytest.approx(answers.itl_s, rel=1e-6)
        # in the steps of one request, every other brings its prompt once, as far as the steps' budget of tokens goes
        in_a_step = float(table.step_tokens[0]) * cp
        chunks = max(isl / in_a_step, 1.0)
        assert steps.chunks == pytest.approx(chunks)
        carried = min((float(answers.batch[0]) - 1.0) * chunks / (osl - 1 + chunks), chunks * in_a_step / isl)
        assert steps.carried == pytest.approx(carried, rel=1e-5, abs=1e-6)
