"""Laws of one fleet lie on the same axes and say what they say alone; steps of many short prompts are on the grid."""

import numpy as np
import pytest

from inferatlas.predict.question import asked
from inferatlas.simulate.law import seconds_of
from inferatlas.simulate.tabulating import Wanted, law_of, laws_of
from inferatlas.workload import make_workload

LOAD = make_workload(isl=64, osl=16, concurrency=1)


def test_laws_of_a_fleet_share_their_axes_and_keep_their_limits():
    h100, wafer = asked("llama-3.1-8b", "h100", LOAD), asked("llama-3.1-8b", "cerebras-wse-3", LOAD)
    first, second = laws_of([Wanted(h100, 300, 2048), Wanted(wafer)], 2000)
    for name in ("batch", "context", "tokens", "pairs", "outputs", "wide"):
        assert np.array_equal(getattr(first.grid, name), getattr(second.grid, name))
    assert first.grid.mixed.shape == second.grid.mixed.shape
    assert (first.max_sequences, first.step_tokens, second.max_sequences) == (300, 2048, 8)
    assert len(first.grid.decode) > 300


def test_a_law_says_in_a_fleet_what_it_says_alone():
    h100, wafer = asked("llama-3.1-8b", "h100", LOAD), asked("llama-3.1-8b", "cerebras-wse-3", LOAD)
    for i, (one, most) in enumerate([(h100, 300), (wafer, 8)]):
        alone = law_of(one, 2000, max_sequences=most)
        among = laws_of([Wanted(h100, 300), Wanted(wafer)], 2000)[i]
        for batch in (1, 2, 4, 8):
            assert seconds_of(among.grid, batch, 500.0) == pytest.approx(seconds_of(alone.grid, batch, 500.0), rel=1e-9)
            tokens = {"tokens": 700.0, "pairs": 350.0}
            expected = seconds_of(alone.grid, batch, 500.0, **tokens)
            assert seconds_of(among.grid, batch, 500.0, **tokens) == pytest.approx(expected, rel=0.01)


def test_a_step_full_of_short_prompts_takes_as_long_as_on_a_grid_of_long_ones():
    one = asked("llama-3.1-8b", "h100", LOAD)
    short, long = law_of(one, 80), law_of(one, 8192)
    for prompts in (1, 4, 16, 64, 128):
        tokens = 64.0 * prompts
        expected = seconds_of(long.grid, 0, 0.0, tokens, 32.0, prompts)
        assert seconds_of(short.grid, 0, 0.0, tokens, 32.0, prompts) == pytest.approx(expected, rel=0.01)


def test_images_are_not_compiled_beyond_what_the_machine_takes():
    wafer = asked("llama-3.1-8b", "cerebras-wse-3", LOAD)
    assert law_of(wafer, 80, max_sequences=64).max_sequences == 8
    assert law_of(wafer, 80, max_sequences=3).max_sequences == 2
