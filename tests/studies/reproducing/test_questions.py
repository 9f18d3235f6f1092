"""Every open question: its physics, two computations of one number, and that inputs move the answer."""

import itertools
from functools import lru_cache

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.errors import NoFeasibleAnswer, UnknownName
from inferatlas.predict.handbook.tiers import slowdown
from inferatlas.predict.performance.points import OFFLINE
from inferatlas.studies.exhibits import OpenQuestion
from inferatlas.studies.reproducing.questions import (
    QUESTIONS,
    contexts,
    four_bit,
    hybrids,
    links,
    memories,
    mixes,
    open_questions,
    pictures,
    stacks,
    state_space,
    tiered,
    watts,
)


@lru_cache
def asked(paper: str) -> dict[str, OpenQuestion]:
    return {one.id: one for one in open_questions(paper)}


ALL = [(paper, i) for paper, names in QUESTIONS.items() for i in range(len(names))]


@pytest.mark.parametrize(("paper", "i"), ALL)
def test_every_answer_says_how_sure_it_is_and_on_what_it_rests(paper, i):
    one = list(asked(paper).values())[i]
    assert one.answer.endswith(".") and any(letter.isdigit() for letter in one.answer)
    assert one.confidence in ("high", "medium", "low") and "interval" in one.why
    assert one.conditions and one.pairs and one.place
    assert "nan" not in f"{one.answer} {one.why} {one.conditions}"


@pytest.mark.parametrize(("paper", "i"), ALL)
def test_every_plot_is_drawn_from_columns_of_its_pairs(paper, i):
    one = list(asked(paper).values())[i]
    columns, quantities = set(one.pairs[0].what), {pair.quantity for pair in one.pairs}
    assert all(set(pair.what) == columns for pair in one.pairs)
    assert one.plot is not None
    axes = quantities if one.plot.kind == "tradeoff" else columns
    assert {name for name in (one.plot.x, one.plot.y) if name} <= axes
    assert {name for name in (one.plot.colour, one.plot.facet, one.plot.mark) if name} <= columns


def test_questions_have_names_of_their_own():
    every = [one for paper in QUESTIONS for one in asked(paper)]
    assert len(every) == len(set(every)) >= 13


def test_an_unknown_paper_is_refused():
    with pytest.raises(UnknownName):
        open_questions("sharma-2052")


@lru_cache
def slowed(case: int) -> list[tiered.Slowed]:
    return tiered.slowed(tiered.CASES[case])


DENSE, EVEN, UNEVEN = range(3)


def test_a_dense_model_touches_all_weights_so_a_tier_of_a_tenth_slows_it_beyond_thirty_percent():
    for one in slowed(DENSE):
        rate = int(np.flatnonzero(one.main_bytes_per_s / 10 >= tiered.RATES)[-1])
        assert one.at(rate, 0).low > 1.3 and one.at(rate, 1).low > 1.3
        assert one.rate_needed(0) > one.main_bytes_per_s / 10


def test_the_slowdown_of_one_request_is_near_the_closed_form():
    """(29) at full rates is the most that streaming costs; a step that has overheads of its own loses less by it."""
    for one in slowed(DENSE):
        share = 1.0 - 1.0 / one.scale
        closed = slowdown(1.0, share, one.main_bytes_per_s, tiered.LINK)
        assert 0.5 * closed < one.at(0, 0).value < 1.2 * closed


@pytest.mark.parametrize("case", [DENSE, EVEN, UNEVEN])
def test_faster_tiers_slow_less_and_larger_models_are_slower(case):
    five, ten = slowed(case)
    assert (np.diff(five.slowdown, axis=0) <= 1e-6).all()
    assert (ten.slowdown >= five.slowdown * 0.99).all()
    assert (five.slowdown[..., 0] <= five.slowdown[..., 1]).all()
    assert (five.slowdown[..., 1] <= five.slowdown[..., 2]).all()


def test_a_single_request_touches_few_experts_and_popular_ones_wait_in_main_memory():
    at_one = [slowed(case)[0].at(0, 0).value for case in (DENSE, EVEN, UNEVEN)]
    assert at_one[DENSE] > at_one[EVEN] > at_one[UNEVEN]


def test_another_accelerator_gives_another_answer():
    other = tiered.tiered_memory((tiered.Case("llama-3.3-70b", "nvidia-a100-80gb-sxm", 2),))
    assert other.answer != asked("sharma-2025")["tiered-memory"].answer


@lru_cache
def held() -> list[contexts.Held]:
    return contexts.held("llama-3.1-8b", 1)


def test_a_packed_cache_holds_as_many_times_the_tokens_in_the_same_bytes():
    plain = held()[0]
    for one in held():
        assert one.tokens / plain.tokens == pytest.approx(one.ratio, rel=1e-3)
    cache, weights = plain.tokens * 131072, 16.06e9  # 2 x 32 layers x 8 heads x 128 values x 2 bytes
    assert 0.85 < (cache + weights) / load_accelerator("h100").facts.number("mem.hbm.capacity") < 0.95


def test_only_a_unit_that_unpacks_keeps_the_gap_between_tokens():
    plain, *packed = held()
    for one in packed:
        assert one.itl_unit.value == pytest.approx(plain.itl.value, rel=0.05) and one.itl.value > one.itl_unit.value


def test_accuracy_is_not_claimed():
    one = asked("sharma-2025")["kv-cache-engine"]
    assert one.confidence == "low" and "not computed here" in one.why


def test_a_transformer_beside_itself_moves_no_class():
    for one in state_space.classes("llama-3.2-3b", "llama-3.2-3b", regimes=("single-stream", "high-throughput")):
        assert one.swapped() == [] and one.compared.rank_correlation.value == 1.0


def test_classes_are_ahead_of_one_another_both_ways():
    one = state_space.classes("mamba2-2.7b", "llama-3.2-3b", regimes=("single-stream",))[0]
    first, second = one.names[:2]
    forth, back = (one.ahead(one.ours, *pair) for pair in ((first, second), (second, first)))
    assert forth.value == pytest.approx(1.0 / back.value) and one.ahead(one.ours, first, first).low == 1.0


@lru_cache
def traffic() -> dict[tuple[float, bool], mixes.Mixed]:
    designs, out = mixes.designs_of(), {}
    for pace in mixes.PACES:
        for varying in (False, True):
            each = mixes.energies(designs, pace, varying=varying)
            out[pace, varying] = mixes.mixed(each, each.memories, pace, varying=varying)
    return out


def test_a_tighter_pace_and_a_varying_load_never_save_energy():
    paces = sorted(mixes.PACES, reverse=True)
    for varying in (False, True):
        for loose, tight in itertools.pairwise(paces):
            assert (traffic()[tight, varying].joules >= traffic()[loose, varying].joules * (1 - 1e-9)).all()
    for pace in paces:
        assert (traffic()[pace, True].joules >= traffic()[pace, False].joules * (1 - 1e-9)).all()


def test_offline_traffic_alone_knows_no_pace():
    first = traffic()[mixes.PACES[0], False].joules[:, 0]
    assert all(np.allclose(traffic()[pace, False].joules[:, 0], first) for pace in mixes.PACES)


def test_the_best_of_designs_is_no_worse_than_a_mixture_of_the_ends():
    """The least of straight lines lies above the chord between its ends."""
    for one in traffic().values():
        for row in one.joules[np.isfinite(one.joules).all(axis=1)]:
            chord = row[0] + (row[-1] - row[0]) * mixes.SHARES
            assert (row >= chord * (1 - 1e-9)).all()


def test_specialised_machines_gain_with_the_pace():
    shares = [traffic()[pace, False].first_share(mixes.ON_CHIP) for pace in mixes.PACES]
    assert shares[0] is None and shares[1] > shares[2] > 0


@lru_cache
def found_stacks() -> list[stacks.Stack]:
    return stacks.stacks()


def test_no_part_passes_the_limits_of_its_hardware():
    for one in found_stacks():
        for k in range(len(stacks.FLYING)):
            assert 0 < one.reached(k).low <= one.reached(k).value <= one.reached(k).high <= 1.0


def test_engines_are_compared_on_one_part_and_parts_on_one_engine():
    parts, engines = stacks.between_parts(found_stacks()), stacks.between_engines(found_stacks())
    assert parts.lower.engine == parts.higher.engine == stacks.COMMON
    assert engines.lower.accelerator == engines.higher.accelerator and engines.lower.engine != engines.higher.engine
    assert engines.ratio.low < engines.ratio.value < 1.0


def test_without_calibration_all_engines_of_a_part_are_nearly_one():
    h100 = [one for one in found_stacks() if one.accelerator == "nvidia-h100-sxm"]
    assert np.ptp([one.prior[0] for one in h100]) < 0.02 * h100[0].prior[0]
    assert np.ptp([one.calibrated[0].value for one in h100]) > 0.02 * h100[0].prior[0]


@lru_cache
def four(accelerator: str) -> dict[str, four_bit.Gains]:
    return {one.weights: one for one in four_bit.gains(accelerator, four_bit.PARTS[accelerator])}


@pytest.mark.parametrize("accelerator", four_bit.PARTS)
def test_narrow_weights_gain_where_a_step_reads_weights(accelerator):
    gains = [gain.value for gain in four(accelerator)[four_bit.WEIGHTS_ONLY].speed]
    assert 1.0 < gains[0] < 16 / 4 and gains[-1] < 1.1
    assert all(a > b - 0.02 for a, b in itertools.pairwise(gains))


def test_narrow_products_gain_where_a_step_computes():
    only, full = (four("nvidia-b200-sxm")[name].speed for name in (four_bit.WEIGHTS_ONLY, four_bit.FULL))
    assert only[0].value > full[0].value and full[-1].value > only[-1].value


def test_a_part_without_four_bit_products_is_refused_them():
    with pytest.raises(NoFeasibleAnswer):
        four_bit.gains("amd-mi300x", (four_bit.FULL,))


@pytest.mark.parametrize("case", hybrids.CASES)
def test_a_hybrid_gains_with_the_context_when_memory_is_full(case):
    full = [one for one in hybrids.gains(case) if one.flying == OFFLINE]
    assert [one.gain.value for one in full] == sorted(one.gain.value for one in full)
    assert all(one.kept[0] < one.kept[1] and one.batches[0] > one.batches[1] for one in full)


def test_a_model_beside_itself_gains_nothing():
    for one in hybrids.gains(hybrids.Beside("llama-3.1-8b", "llama-3.1-8b", 1, (512,))):
        assert one.gain.value == 1.0 and one.kept[0] == one.kept[1]


@lru_cache
def seen(model: str) -> list[pictures.Seen]:
    return pictures.seen(model)


@pytest.mark.parametrize("model", pictures.MODELS)
def test_images_are_tokens_and_a_tower(model):
    found = seen(model)
    assert len({one.tokens / one.images for one in found}) == 1
    assert all(one.tower.value > 1 for one in found)
    ttft, left = ([getattr(one, name).value for one in found] for name in ("ttft", "throughput"))
    assert ttft == sorted(ttft) and left == sorted(left, reverse=True) and left[0] < 1 < ttft[0]


@lru_cache
def kinds(model: str) -> dict[str, memories.Best]:
    return {one.kind: one for one in memories.best_of(model)}


def test_on_chip_memory_is_fast_and_takes_chips_with_the_model():
    hbm, *_, sram = memories.KINDS
    assert all(kinds(model)[sram].itl.value < kinds(model)[hbm].itl.value for model in memories.MODELS)
    counts = [kinds(model)[sram].least for model in memories.MODELS]
    assert counts == sorted(counts) and counts[-1] > kinds(memories.MODELS[-1])[hbm].least


def test_bandwidth_is_what_a_single_request_lives_on():
    alone, many = memories._left(1), memories._left(64)
    assert alone == sorted(alone) and alone[-1] == 1.0
    assert alone[0] < 2 * memories.LESS[0] and many[0] > alone[0]


def test_energies_are_sorted_and_within_the_pace():
    values = [one.joules.value for one in watts.spent()]
    assert values == sorted(values)
    assert len(watts.spent(pace_s=0.005)) < len(values)


@lru_cache
def grown() -> list[links.Grown]:
    return links.grown()


def test_more_accelerators_never_slow_a_single_request_and_replicas_do_not_speed_it():
    for one in grown():
        values = [one.itl[count].value for count in sorted(one.itl)]
        assert all(b <= a * 1.001 for a, b in itertools.pairwise(values)), one.accelerator
        if one.gain is not None:
            assert one.gain.value == pytest.approx(one.itl[links.FIRST].value / one.itl[links.LAST].value, rel=1e-3)
