"""Drafts and their verification, equation (48): what they can gain, what they cost, and when they stop paying."""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.predict.handbook import speculation as handbook
from inferatlas.predict.hardware.device import MemoryTier
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.speculation import MOST_DRAFTED, Speculation, expected_tokens, own_head
from inferatlas.predict.platforms import bind

MODELS = ["llama-3.1-8b", "mixtral-8x7b", "deepseek-r1", "falcon-mamba-7b", "rwkv-7-world-7.2b", "jamba-1.5-mini",
          "gemma-3-27b", "flan-t5-xxl"]  # fmt: skip
DRAFTS = [None, "llama-3.2-1b", "mamba-2.8b", "mixtral-8x7b"]
PARTS = ["nvidia-h100-sxm", "google-tpu-v6e", "groq-lpu-v1", "cerebras-wse-3", "amd-mi250", "sambanova-sn40l"]
LOADS = [{"concurrency": 1}, {"concurrency": 100}, {"request_rate": 0.2}, {"concurrency": 16, "together": True}]
few = settings(max_examples=30)
acceptances, gammas = st.floats(0, 1), st.integers(1, 8)


def asked(part: str, slug: str, load: dict, ops, speculation, **layout) -> Predictions:
    model = load_model(slug)
    table = platform_table([bind(part, model=model)], is_moe=bool(ops.experts))
    chips = {"groq-lpu-v1": 900, "cerebras-wse-3": 24}.get(part)
    layout = layout or ({"pp": chips} if chips else {"tp": 8})
    points = make_points(0, input_tokens=512, output_tokens=128, **layout, **load)
    return predict(ops, table, points, speculation=speculation, proven=True)


# expectation


@given(acceptances, st.integers(0, 16), st.integers(1, 4))
def test_48_tokens_of_a_verification_are_those_of_the_handbook(acceptance, gamma, width):
    found = expected_tokens(gamma, acceptance, width)
    assert found == pytest.approx(float(handbook.expected_tokens(acceptance, gamma, width)), rel=1e-9)
    assert 1.0 <= found <= gamma + 1
    how = Speculation(gamma, acceptance, width)
    assert (how.tokens, how.queries) == (found, gamma * width + 1)


@pytest.mark.parametrize(("acceptance", "gamma", "width"), [(0.7, 4, 1), (0.9, 8, 1), (0.3, 3, 4)])
def test_48_as_many_as_a_simulation_yields(acceptance, gamma, width):
    tries = np.random.default_rng(1).random((200_000, gamma, width)) < acceptance
    in_a_row = np.cumprod(tries.any(axis=2), axis=1).sum(axis=1)
    assert expected_tokens(gamma, acceptance, width) == pytest.approx(1 + in_a_row.mean(), rel=0.005)


# what must hold of any


@few
@given(st.sampled_from(MODELS), st.sampled_from(DRAFTS), st.sampled_from(PARTS), st.sampled_from(LOADS), gammas,
       st.integers(1, 4))  # fmt: skip
def test_drafts_that_are_never_accepted_are_never_faster(ops_of, slug, draft, part, load, gamma, width):
    ops = ops_of(slug)
    how = Speculation(gamma, 0.0, width, ops_of(draft) if draft else None)
    plain, drafting = (asked(part, slug, load, ops, x) for x in (None, how))
    if plain.fits[0] and drafting.fits[0]:
        assert drafting.itl_s[0] >= plain.itl_s[0] * (1 - 1e-6)
        assert drafting.ttft_s[0] >= plain.ttft_s[0] * (1 - 1e-6)
        assert drafting.latency_s[0] >= plain.latency_s[0] * (1 - 1e-6)
        assert drafting.output_tokens_per_s[0] <= plain.output_tokens_per_s[0] * (1 + 1e-6)
    else:  # what serves a rate without drafts may not serve it with them
        assert plain.reason[0] == reasons.OK or plain.reason[0] == drafting.reason[0]


@few
@given(st.sampled_from(MODELS), st.sampled_from(PARTS), acceptances, acceptances, gammas, st.sampled_from(LOADS[:2]))
def test_a_better_draft_is_never_slower(ops_of, slug, part, a, b, gamma, load):
    worse, better = (asked(part, slug, load, ops_of(slug), Speculation(gamma, x)) for x in sorted((a, b)))
    assert better.itl_s[0] <= worse.itl_s[0] * (1 + 1e-6)
    assert better.latency_s[0] <= worse.latency_s[0] * (1 + 1e-6)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("slug", ["llama-3.1-8b", "mixtral-8x7b", "falcon-mamba-7b"])
def test_to_draft_nothing_is_to_decode_token_by_token(ops_of, part, slug):
    ops = ops_of(slug)
    for load in LOADS:
        plain, none = (asked(part, slug, load, ops, x) for x in (None, Speculation(0, 0.9, 3, ops_of("llama-3.2-1b"))))
        for field in fields(Predictions):
            if not field.name.endswith("_sigma"):  # a technique that was named widens intervals
                np.testing.assert_array_equal(getattr(none, field.name), getattr(plain, field.name), err_msg=field.name)


@pytest.mark.parametrize("slug", ["llama-3.1-8b", "falcon-mamba-7b", "gemma-3-27b"])
@pytest.mark.parametrize(("acceptance", "gamma", "width"), [(0.7, 4, 1), (0.9, 8, 1), (0.5, 3, 2)])
def test_48_decode_bound_by_memory_gains_what_the_handbook_says_of_a_free_draft(
    ops_of, make_device, lossless, slug, acceptance, gamma, width
):
    ops = ops_of(slug)
    # endless compute: a verification takes as long as a step
    table = platform_table([lossless(make_device(peak=1e30))])
    points = make_points(0, concurrency=1, input_tokens=128, output_tokens=512)
    how = Speculation(gamma, acceptance, width)
    plain, drafting = (predict(ops, table, points, speculation=x).itl_s[0] for x in (None, how))
    head = own_head(ops.model)
    draft = predict(head, table, points).itl_s[0]
    # activations of more tokens weigh little
    assert plain / drafting == pytest.approx(
        float(handbook.speed_up(acceptance, gamma, plain, plain, draft, width)), rel=0.02
    )
    assert plain / drafting < expected_tokens(gamma, acceptance, width)


def test_48_the_gain_tends_to_the_tokens_as_the_draft_vanishes(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(peak=1e30))])
    points = make_points(0, concurrency=1, input_tokens=128, output_tokens=512)
    plain = predict(ops_of("llama-3.1-405b"), table, points).itl_s[0]
    how = Speculation(4, 0.7, 1, ops_of("llama-3.2-1b"))
    gain = plain / predict(ops_of("llama-3.1-405b"), table, points, speculation=how).itl_s[0]
    assert gain == pytest.approx(2.7731, rel=0.02) and gain < 2.7731


def test_48_drafting_stops_paying_where_products_take_longer_than_weights(ops_of, make_device, lossless):
    ops, peak, rate = ops_of("llama-3.3-70b"), 1e15, 3e12
    table = platform_table([lossless(make_device(peak=peak, bandwidth=rate))])
    critical = peak / rate  # tokens in a step: 2 FLOP and 2 bytes a weight
    batches = np.array([1, 4, 16, 64, 256, 1024, 4096])
    points = make_points(0, concurrency=batches, input_tokens=16, output_tokens=2048, together=True)
    plain, drafting = (predict(ops, table, points, speculation=x) for x in (None, Speculation(4, 0.7)))
    gain = plain.itl_s / drafting.itl_s
    assert gain[0] > 2.0 and gain[-1] < 1.0
    assert (np.diff(gain[:5]) < 0).all()
    pays = batches[gain > 1].max()
    limit = float(handbook.break_even_batch(critical, 0.7, 4))
    assert limit / 4 <= pays <= 8 * limit  # the smooth law of an operator turns earlier, its cache later


@pytest.mark.parametrize("slug", ["mixtral-8x7b", "qwen3-30b-a3b"])
def test_48_a_verification_touches_more_experts(ops_of, run_step, weights_only, slug):
    ops = ops_of(slug)
    (op,) = ops.experts
    one, five = (run_step(ops, weights_only, decode=2, context=0, queries=q).byte_s[0] for q in (1.0, 5.0))
    more = distinct_uniform(op.experts, op.top_k, 10) - distinct_uniform(op.experts, op.top_k, 2)
    assert five - one == pytest.approx(op.count * float(more) * op.weights * 2, rel=1e-6)
    growth = float(handbook.expert_growth(op.experts, op.top_k, 2, 4))
    seen = float(distinct_uniform(op.experts, op.top_k, 10) / distinct_uniform(op.experts, op.top_k, 2))
    assert growth == pytest.approx(seen, rel=1e-9)


def test_48_and_so_it_does_where_they_are_resident(ops_of, counting):
    ops = ops_of("mixtral-8x7b")
    (op,) = ops.experts
    points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1)
    row = counting.rows(points.platform)
    one = partial(resident_step, ops, row, shard_of(row, points), collectives_in_use(ops, counting, points, True))
    load = {"prefill": None, "cached": None, "decode": np.ones(1), "context": np.zeros(1)}
    moved = [one(queries=q, **load).byte_s[0] for q in (1.0, 5.0)]
    more = float(distinct_uniform(op.experts, op.top_k, 5)) - op.top_k
    assert moved[1] - moved[0] == pytest.approx(op.count * more * op.weights * 2, rel=1e-9)


@pytest.mark.parametrize("draft", [None, "llama-3.1-8b", "mixtral-8x7b", "mamba-2.8b"])
def test_a_draft_is_whole_on_every_replica_however_wide_experts_are_spread(ops_of, draft):
    ops, how = ops_of("deepseek-r1"), Speculation(3, 0.0, 1, ops_of(draft) if draft else None)
    wide, narrow = {"tp": 8, "dp": 2, "ep": 16}, {"tp": 8, "dp": 2, "ep": 8}
    spent = []
    for layout in (wide, narrow):
        plain, drafting = (asked("nvidia-h200-sxm", "deepseek-r1", {"concurrency": 2}, ops, x, **layout)
                           for x in (None, how))  # fmt: skip
        assert drafting.itl_s[0] > plain.itl_s[0]
        spent.append(drafting.itl_s[0])
    assert np.isfinite(spent).all()


# memory and words


@pytest.mark.parametrize("slug", ["llama-3.3-70b", "deepseek-r1", "falcon-mamba-7b"])
def test_a_head_of_the_models_own_is_one_layer_and_no_tables(ops_of, slug):
    ops, model = ops_of(slug), load_model(slug)
    head = own_head(model)
    assert head.layers == 1 and not head.experts and head.model.vocab == model.vocab
    table = platform_table([bind("nvidia-h200-sxm", model=model)], is_moe=bool(ops.experts))
    points = make_points(0, tp=8, concurrency=1, input_tokens=512, output_tokens=128)
    plain, own, other = (
        budget_of(ops, table, points, speculation=x)
        for x in (None, Speculation(4, 0.7), Speculation(4, 0.7, draft=ops_of("llama-3.1-8b")))
    )
    extra = own.weights[0] - plain.weights[0]
    assert 0 < extra < 0.05 * plain.weights[0]
    assert own.kv_per_sequence[0] >= plain.kv_per_sequence[0]
    held = count(load_model("llama-3.1-8b")).total * table.bytes_w[0] / 8
    assert other.weights[0] - plain.weights[0] == pytest.approx(held, rel=0.2)  # its tables are 16 bit
    assert own.sequences[0] <= plain.sequences[0] and other.sequences[0] <= plain.sequences[0]


def test_drafts_stay_in_main_memory_where_weights_wait(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(behind=(MemoryTier("host", 1e13, 1e9),)))])
    ops, how = ops_of("llama-3.1-8b"), Speculation(4, 0.0, 1, ops_of("llama-3.2-1b"))
    points = make_points(0, offload=[0.0, 1.0], kv_offload=[0.0, 1.0], concurrency=1, input_tokens=64, output_tokens=64)
    here, there = (predict(ops, table, points, speculation=x).itl_s for x in (None, how))
    # a draft takes as long as ever: the stream is the verifier's
    assert there[1] - here[1] == pytest.approx(there[0] - here[0], rel=0.05)


def test_the_breakdown_names_drafting_and_sums_to_the_step(ops_of):
    ops = ops_of("llama-3.1-8b")
    table, how = platform_table([bind("nvidia-h100-sxm", model="llama-3.1-8b")]), Speculation(4, 0.7)
    points = make_points(0, concurrency=8, input_tokens=512, output_tokens=128)
    rows = breakdown(ops, table, points, predict(ops, table, points, speculation=how), speculation=how)
    for phase in ("prefill", "decode"):
        assert any(row.operator == "drafting" for row in rows if row.phase == phase)
        assert sum(row.share for row in rows if row.phase == phase) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ({"gamma": -1}, "gamma"), ({"gamma": 2.5}, "gamma"), ({"gamma": float("nan")}, "gamma"),
        ({"gamma": np.inf}, "gamma"), ({"gamma": MOST_DRAFTED + 1}, "gamma"), ({"gamma": 33, "width": 2}, "gamma"),
        ({"width": 0}, "width"), ({"width": 1.5}, "width"), ({"acceptance": -0.1}, "acceptance"),
        ({"acceptance": 1.1}, "acceptance"), ({"acceptance": float("nan")}, "acceptance"),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_out_of_range_are_refused_with_their_field(numbers, field):
    with pytest.raises(BadInput) as caught:
        Speculation(**({"gamma": 4, "acceptance": 0.7} | numbers))
    assert caught.value.field == f"speculate.{field}" and caught.value.allowed
