"""Splits against mixed fleets: targets kept, baselines that are what predictions say, laws, and refusals."""

import math
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import inferatlas
from inferatlas.catalogue.models import load_model, models
from inferatlas.decide.disaggregation.answered import Disaggregation
from inferatlas.decide.disaggregation.compare import disaggregate
from inferatlas.decide.disaggregation.conditions import claims, pays
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.predict.platforms import bind

SLO = ("ttft:mean<1s", "itl:mean<30ms")
BIG, SMALL = "llama-3.3-70b", "llama-3.1-8b"


@lru_cache
def asked(model: str = BIG, prefill: str = "h100", decode: str | None = None, **more) -> Disaggregation:
    return disaggregate(model, prefill, decode, **{"slo": SLO, "count": 16, **more})


def test_it_is_the_command():
    assert inferatlas.disaggregate is disaggregate


@pytest.mark.parametrize("decode", [None, "mi300x"])
def test_pools_and_fleets_are_of_the_count_and_keep_the_targets(decode):
    found = asked(decode=decode)
    pools = found.prefill["count"] + found.decode["count"]
    assert pools + found.inputs["idle"] == 16 and found.inputs["idle"] >= 0
    for pool in (found.prefill, found.decode, *(part for fleet in found.colocated for part in fleet["parts"])):
        layout = pool["layout"]
        assert layout["tp"] * layout["pp"] * layout["dp"] <= pool["count"]
        assert all(0 < share <= 1 for share in pool["uses"].values())
    for seen in (found.latencies, *found.colocated):
        assert seen["ttft_s"] < 1.0 and seen["itl_s"] < 0.030
    # each target binds, or the pool that it limits does
    assert found.latencies["ttft_s"] > 0.9 or found.latencies["itl_s"] > 0.027
    names = [fleet["fleet"] for fleet in found.colocated]
    assert sorted(names) == (["mixed"] if decode is None else ["all decode part", "all prefill part", "half"])
    rates = [fleet["request_rate"].value for fleet in found.colocated]
    assert rates == sorted(rates, reverse=True)
    assert found.gain.value == pytest.approx(found.request_rate.value / rates[0])
    assert found.label == "extrapolated"


@pytest.mark.parametrize(("statistic", "cv"), [("mean", 0.0), ("p95", 0.0)])
def test_the_mixed_fleet_s_rate_is_the_largest_that_predictions_allow(statistic, cv):
    slo = (f"ttft:{statistic}<1s", f"itl:{statistic}<30ms")
    fleet = asked(slo=slo).colocated[0]
    part = fleet["parts"][0]
    shape = {name: part["layout"][name] for name in ("tp", "pp", "ep", "dp")}
    table = platform_table([bind("h100", model=BIG)])
    points = make_points(
        0, **shape, request_rate=fleet["request_rate"].value * np.array([0.999, 1.01]), input_tokens=4096,
        output_tokens=512,
    )  # fmt: skip
    found = predict(operators(load_model(BIG)), table, points)

    def kept(name: str, bound: float) -> list[bool]:
        value, spread = (getattr(found, f"{name}_{kind}") for kind in ("s", "cv"))
        return (percentile_of(value, spread.astype(float), statistic) < bound).tolist()

    assert [a and b for a, b in zip(kept("ttft", 1.0), kept("itl", 0.030), strict=True)] == [True, False]


def test_tighter_statistics_serve_less():
    assert asked(slo=("ttft:p95<1s", "itl:p95<30ms")).request_rate.value < asked().request_rate.value


def test_where_prompts_break_the_gap_a_split_gains_and_where_nothing_is_bounded_less():
    gains = [row["gain"] for row in asked().curve if row["axis"] == "itl_target_s"]
    assert gains[1] > 1.2 > gains[-1]
    longer = [row["gain"] for row in asked().curve if row["axis"] == "isl_over_osl"]
    assert longer[0] < 1.0 < longer[-1]


def test_the_question_is_a_point_of_both_curves():
    found = asked()
    for axis, x in (("itl_target_s", 0.030), ("isl_over_osl", 8.0)):
        row = next(row for row in found.curve if row["axis"] == axis and row["x"] == pytest.approx(x))
        assert row["gain"] == pytest.approx(found.gain.value, rel=2e-3)
        assert row["split_rate_per_accelerator"] * 16 == pytest.approx(found.request_rate.value, rel=2e-3)


def test_more_link_never_hurts_and_a_slow_one_shows():
    found = [asked(link=rate) for rate in (2e9, 10e9, 50e9, 400e9)]
    rates = [one.request_rate.value for one in found]
    assert all(a <= b * 1.003 for a, b in pairwise(rates))
    assert rates[0] < 0.5 * rates[-1]
    assert found[0].link["exposed_s"] > 0 == found[-1].link["exposed_s"]
    for one in found:
        assert one.link["utilisation"] < 1
        # 80 layers x 2 x 8 heads x 128 x 2 bytes
        assert one.link["bytes_per_request"] == 4096 * 80 * 2 * 8 * 128 * 2


def test_on_the_link_that_is_needed_nothing_is_lost():
    free = asked(link=1e12)
    need = asked(link=free.link["needed_bytes_per_s"] * 1.01)
    assert need.link["exposed_s"] < 1e-3
    assert need.request_rate.value == pytest.approx(free.request_rate.value, rel=0.01)


def test_who_sends_the_first_token_decides_what_ttft_and_itl_hold():
    first, second = (asked(link=5e9, first_token=side, slo=("latency:mean<30s",)) for side in ("prefill", "decode"))
    assert first.request_rate.value == pytest.approx(second.request_rate.value, rel=5e-3)
    assert first.latencies["ttft_s"] < second.latencies["ttft_s"]
    assert first.latencies["itl_s"] > second.latencies["itl_s"]
    assert first.latencies["latency_s"] == pytest.approx(second.latencies["latency_s"], rel=0.02)


def test_pools_of_many_small_units_take_the_ratio_of_the_closed_form():
    found = disaggregate(SMALL, "h100", slo=SLO, count=64)
    assert found.ratio == pytest.approx(found.ratio_closed_form, rel=0.15)


def test_one_part_under_two_names_is_one_part():
    assert asked(decode="nvidia-h100-sxm").as_dict() == asked().as_dict()


@pytest.mark.parametrize("decode", [None, "mi300x"])
def test_intervals_hold_their_values_and_common_errors_cancel_in_the_gain(decode):
    found = asked(decode=decode)
    for one in (found.request_rate, found.gain, found.gain_per_usd, found.gain_per_watt):
        assert 0 <= one.low < one.value < one.high
    rate, gain = found.request_rate, found.gain
    assert math.log(gain.high / gain.low) < math.log(rate.high / max(rate.low, 1e-9))


def test_the_smallest_count_that_shows_the_best_ratio_is_taken():
    free = disaggregate(SMALL, "h100", slo=SLO)
    best = disaggregate(SMALL, "h100", slo=SLO, count=32)
    assert free.inputs["count"] <= 32
    assert free.request_rate.value / free.inputs["count"] >= 0.93 * best.request_rate.value / 32


def test_gains_per_dollar_and_watt_follow_from_the_figures_shown():
    found = asked(decode="mi300x")
    split = found.request_rate.value
    for gain, name in ((found.gain_per_usd, "usd_per_hour"), (found.gain_per_watt, "power_w")):
        own = found.prefill[name] + found.decode[name]
        best = max(fleet["request_rate"].value / fleet[name] for fleet in found.colocated)
        assert gain.value == pytest.approx(split / own / best)


def test_attention_apart_from_feed_forward_is_an_account_of_the_decode_step():
    found = asked(decode="h100")
    one = found.attention_ffn
    assert one.ratio_by_time == pytest.approx(one.attention_s / one.feed_forward_s)
    assert one.attention_s + one.feed_forward_s == pytest.approx(found.decode["itl_s"], rel=0.05)
    assert one.hops == 2 * 80 and one.hop_s > 15e-6
    if one.gain is not None:
        assert one.itl_s <= one.itl_limit_s * (1 + 1e-6)
        assert one.itl_s > one.hops * one.hop_s


def test_machines_whose_layers_have_devices_of_their_own_do_not_split_them():
    found = disaggregate(SMALL, "h100", "cerebras-wse-3", slo=["itl<5ms"], count=8)
    assert found.attention_ffn is None


def test_a_mixture_with_latent_attention():
    found = disaggregate("deepseek-r1", "nvidia-b200-sxm", slo=["ttft:p95<3s", "itl:p95<50ms"], count=16)
    assert found.link["bytes_per_request"] == 4096 * 61 * 576 * 2
    assert found.attention_ffn is not None


def test_a_model_without_attention_sends_its_state_however_long_the_prompt():
    sent = [
        disaggregate("falcon-mamba-7b", "h100", count=4, isl=isl, osl=128).link["bytes_per_request"]
        for isl in (1024, 8192)
    ]
    assert sent[0] == sent[1] > 0
    assert disaggregate("falcon-mamba-7b", "h100", count=4, isl=1024, osl=128).attention_ffn is None


def test_a_model_that_yields_a_vector_has_nothing_to_decode():
    name = next(name for name in models() if load_model(name).embeds)
    with pytest.raises(BadInput, match="vector"):
        disaggregate(name, "h100", isl=128, osl=16)


def test_where_it_pays_and_claims():
    rows = [{"axis": "a", "x": float(k), "gain": g} for k, g in enumerate((None, 2.0, 0.5, 2.0, 3.0), start=1)]
    found = pays(rows)
    assert [(one["x_from"], one["x_to"]) for one in found] == [
        (2.0, pytest.approx(math.sqrt(6.0))), (pytest.approx(math.sqrt(12.0)), 5.0)
    ]  # fmt: skip
    assert [one["to_end"] for one in found] == [False, True]
    use = {name: {"change": value} for name, value in (("compute", 0.2), ("capacity", 0.1), ("bandwidth", None))}
    verdicts = {one["claim"]: one["verdict"] for one in claims(use, 1 / 0.78)}
    assert verdicts == {"compute": "within", "capacity": "below", "bandwidth": None, "cost_per_request": "within"}


REFUSED = [
    ({"count": 1}, BadInput, "no two pools"),
    ({"count": 2000}, BadInput, "2 to 1024"),
    ({"link": 0.0}, BadInput, "B/s"),
    ({"link": math.nan}, BadInput, "B/s"),
    ({"first_token": "both"}, UnknownName, "first token"),
    ({"slo": ["output_tokens_per_s>10"]}, BadInput, "the rate is what is looked for"),
    ({"osl": 1, "isl": 10}, BadInput, "nothing to decode"),
    ({"isl": 131_072, "osl": 512}, BadInput, "exceed the context"),
    ({"slo": ["itl<0.1ms"]}, NoFeasibleAnswer, "for decode cannot keep itl:mean<0.1ms .* closest, nearly idle"),
    ({"slo": ["ttft<1ms"]}, NoFeasibleAnswer, "for prefill cannot keep ttft:mean<1ms"),
    ({"slo": ["ttft<1.2s"], "link": 1e8}, NoFeasibleAnswer, "of a transfer show behind prefill"),
    ({"count": 2}, NoFeasibleAnswer, "exceed the memory|accelerators"),
    ({"count": 3}, NoFeasibleAnswer, "accelerators"),
]


@pytest.mark.parametrize(("more", "error", "words"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_what_cannot_be_is_refused_with_the_reason(more, error, words):
    with pytest.raises(error, match=words):
        disaggregate(BIG, "h100", **{"slo": SLO, "count": 16, **more})


def test_models_and_parts_that_are_not_there():
    with pytest.raises(NotModelled):
        disaggregate(str(Path(__file__).parents[2] / "not_modelled" / "config.json"), "h100")
    with pytest.raises(UnknownName):
        disaggregate(SMALL, "h10")


def test_a_cluster_holds_both_pools(cluster, tmp_path: Path):
    lab = cluster("h100", price=2.0, nodes=1, per_node=4)
    with pytest.raises(BadInput, match="more than cluster my-h100 has"):
        disaggregate(SMALL, lab, count=8)
    found = disaggregate(SMALL, lab)
    assert found.inputs["count"] <= 4
    assert found.prefill["usd_per_hour"] == 2.0 * found.prefill["count"]
