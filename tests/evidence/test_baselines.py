"""Baselines: physics without overhead, and one efficiency that never sees what it scores."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.evidence.baselines import ONE_EFFICIENCY, ROOFLINE, _median_of_others, with_baselines
from inferatlas.evidence.predicting import predict_rows
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count


def with_all(frame: pl.DataFrame) -> pl.DataFrame:
    return with_baselines(predict_rows(frame)[0], frame)


def test_the_bare_roofline_reads_the_weights_once_a_token(measured):
    found = with_all(measured()).filter(pl.col("row_id") == "r0", pl.col("metric") == "itl_s")
    part, parameters = device(load_accelerator("nvidia-h100-sxm")), count(load_model("llama-3.1-8b"))
    floor = 2.0 * parameters.active_without_embedding / (part.memory.bytes_per_s or np.nan)
    assert floor < found[ROOFLINE][0] < 1.1 * floor  # one request of 512 + 256 tokens adds little cache to 16 GB


def test_nothing_is_faster_than_the_bare_roofline(measured):
    found = with_all(measured())
    times = found.filter(pl.col("metric").is_in(["ttft_s", "itl_s", "latency_s"]))
    rates = found.filter(pl.col("metric") == "output_tokens_per_s")
    assert (times[ROOFLINE] < times["value"]).all()
    assert (rates[ROOFLINE] > rates["value"]).all()


def test_power_of_the_bare_roofline_is_the_rated_power_of_all_accelerators(measured):
    frame = measured(accelerators=2.0, tp=2.0, power_w=900.0)
    power = with_all(frame).filter(pl.col("metric") == "power_w")
    assert set(power[ROOFLINE]) == {1400.0}


def test_one_efficiency_is_learned_from_the_other_groups_only(measured):
    frame = measured()
    slower = frame.with_columns(pl.when(pl.col("model") == "qwen3-8b").then(pl.col("itl_s") * 3).otherwise("itl_s"))
    one, other = with_all(frame), with_all(slower)
    changed = (one[ONE_EFFICIENCY] - other[ONE_EFFICIENCY]).abs() > 1e-12 * one[ONE_EFFICIENCY]
    llama = one["model"] == "llama-3.1-8b"
    assert changed.filter(llama & (one["metric"] != "power_w")).any()
    # of one group alone nothing that it measured itself may enter
    alone = frame.with_columns(
        pl.when(pl.col("row_id").is_in(["r0", "r1", "r2"])).then(1.0).otherwise("itl_s").alias("itl_s")
    )
    third = with_all(alone)
    own = one["row_id"].is_in(["r0", "r1", "r2"])
    assert one.filter(own)[ONE_EFFICIENCY].to_list() == third.filter(own)[ONE_EFFICIENCY].to_list()


def test_a_single_group_has_nothing_to_learn_from(measured):
    frame = measured().filter(pl.col("model") == "qwen3-8b", pl.col("accelerator") == "nvidia-h100-sxm")
    found = with_all(frame)
    assert found.height == 15
    assert found[ONE_EFFICIENCY].null_count() == found.height
    assert found[ROOFLINE].null_count() == 0


def test_columns_are_there_where_nothing_was_scored(measured):
    assert with_all(measured(model="nonesuch")).columns[-2:] == [ROOFLINE, ONE_EFFICIENCY]


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 100), st.booleans()), min_size=1, max_size=60))
def test_the_median_of_others_is_the_plain_median_of_the_rest(rows: list[tuple[int, float, bool]]):
    group, value, chosen = (np.array(x) for x in zip(*rows, strict=True))
    found = _median_of_others(group, value, chosen)
    for i in range(len(rows)):
        rest = np.sort(value[chosen & (group != group[i])])
        if rest.size:
            assert found[i] == rest[(rest.size - 1) // 2]
        else:
            assert np.isnan(found[i])


def test_repeated_row_ids_multiply_no_figures(measured):
    frame = measured(row_id="the same")
    figures, _ = predict_rows(frame)
    assert with_baselines(figures, frame).height == figures.height == pytest.approx(60)
