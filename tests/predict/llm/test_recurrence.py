"""Weights and state of recurrent blocks: published counts of whole models, equation (4), and what must hold of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Recurrence
from inferatlas.predict.llm.recurrence import (
    conv_channels,
    projections,
    recurrence_parameters,
    small_parameters,
    state,
    state_values,
)

FALCON = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256)
MAMBA_2_8B = Recurrence("mamba1", heads=5120, key=16, value=1, conv=4, rank=160)
MAMBA2 = Recurrence("mamba2", heads=80, key=128, value=64, conv=4)
FINCH = Recurrence("rwkv6", heads=64, key=64, value=64, mix_rank=64, decay_rank=128)
GOOSE = Recurrence("rwkv7", heads=64, key=64, value=64, decay_rank=128, rate_rank=128, value_rank=96, gate_rank=480)
EVERY = [(FALCON, 4096), (MAMBA_2_8B, 2560), (MAMBA2, 2560), (FINCH, 4096), (GOOSE, 4096)]


@pytest.mark.parametrize(
    ("r", "hidden", "rows", "tables", "total"),
    [
        (FALCON, 4096, 65024, 2, 7_272_665_088),
        (MAMBA_2_8B, 2560, 50280, 1, 2_768_345_600),
        (MAMBA2, 2560, 50288, 1, 2_702_599_680),
    ],
)
def test_64_blocks_with_a_norm_each_are_the_published_mamba(
    r: Recurrence, hidden: int, rows: int, tables: int, total: int
) -> None:
    assert 64 * (recurrence_parameters(r, hidden) + hidden) + hidden + tables * rows * hidden == total


def test_rwkv_7_has_the_count_of_its_paper() -> None:
    # arXiv:2503.14456: 2DV + 4D + LD(12D + 2(d_w + d_a + d_v + d_g) + 19) - (2 D d_v + D), at F = 4D; of the 19 vectors
    # four are the norms of a layer; the last bracket is the value adapter, which the first layer has not
    first = Recurrence("rwkv7", heads=64, key=64, value=64, decay_rank=128, rate_rank=128, gate_rank=480)
    d, layers, ranks = 4096, 32, 128 + 128 + 96 + 480
    blocks = 31 * recurrence_parameters(GOOSE, d) + recurrence_parameters(first, d)
    feed_forward_and_norms = layers * (8 * d * d + 4 * d)
    assert blocks + feed_forward_and_norms == layers * d * (12 * d + 2 * ranks + 19) - (2 * d * 96 + d)


def test_each_projection_of_mamba_2_is_divided_as_far_as_it_can_be() -> None:
    nemotron = Recurrence("mamba2", heads=128, key=128, value=64, groups=8, conv=4)
    into, out = projections(nemotron, 4096)
    assert (into.divided, into.grouped) == (4096 * (2 * 8192 + 128), 4096 * 2 * 8 * 128)
    assert (into.reads, into.writes) == (4096, 2 * 8192 + 2 * 8 * 128 + 128)
    assert (out.divided, out.grouped, out.replicated) == (8192 * 4096, 0, 0)
    assert conv_channels(nemotron) == 8192 + 2 * 8 * 128


@pytest.mark.parametrize(
    ("r", "hidden", "layers", "kept_by_transformers"),
    [(FALCON, 4096, 64, 10_485_760), (MAMBA2, 2560, 64, 43_319_296), (FINCH, 4096, 32, 8_650_752)],
)
def test_the_state_is_that_of_equation_4_and_a_tap_less_than_the_library_keeps(
    r: Recurrence, hidden: int, layers: int, kept_by_transformers: int
) -> None:
    parts = state(r, hidden)
    assert state_values(r, hidden) == parts.matrix + parts.convolution + parts.shift
    assert parts.convolution == (r.conv - 1) * conv_channels(r) if r.conv else parts.convolution == 0
    assert layers * (state_values(r, hidden) + conv_channels(r)) == kept_by_transformers


def test_mamba_1_keeps_what_equation_4_says() -> None:
    assert state_values(FALCON, 4096) == 8192 * (16 + 4 - 1)


@pytest.mark.parametrize(("r", "hidden"), EVERY)
def test_a_block_is_its_products_and_its_small_tensors(r: Recurrence, hidden: int) -> None:
    parts = projections(r, hidden)
    assert len({p.name for p in parts}) == len(parts)
    assert recurrence_parameters(r, hidden) == sum(p.weights for p in parts) + small_parameters(r, hidden)
    assert small_parameters(r, hidden) < 0.01 * recurrence_parameters(r, hidden)
    for p in parts:  # a matrix of K x N reads K and writes N; a sum of such reads and writes no less than one would
        assert p.weights <= p.reads * p.writes


@given(
    heads=st.integers(1, 64), key=st.integers(1, 128), value=st.integers(1, 64), conv=st.integers(0, 8),
    groups=st.integers(1, 8), hidden=st.integers(1, 4096),
)  # fmt: skip
def test_a_longer_convolution_keeps_more_and_no_context_matters(
    heads: int, key: int, value: int, conv: int, groups: int, hidden: int
) -> None:
    r = Recurrence("mamba2", heads=heads, key=key, value=value, groups=groups, conv=conv)
    longer = Recurrence("mamba2", heads=heads, key=key, value=value, groups=groups, conv=conv + 1)
    assert heads * key * value <= state_values(r, hidden) <= state_values(longer, hidden)
    assert recurrence_parameters(r, hidden) < recurrence_parameters(longer, hidden)
    assert state(r, hidden).matrix == state(longer, hidden).matrix


def test_biases_and_inner_norms_are_counted_where_they_are() -> None:
    plain = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256)
    jamba = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256, inner_norms=True)
    biased = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4, rank=256, bias=True, conv_bias=False)
    assert small_parameters(jamba, 4096) - small_parameters(plain, 4096) == 256 + 2 * 16
    assert small_parameters(biased, 4096) - small_parameters(plain, 4096) == 2 * 8192 + 4096 - 8192
