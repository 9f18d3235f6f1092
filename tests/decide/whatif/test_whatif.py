"""A device beside another, what its parameters buy by the watt and the dollar, and what is refused."""

from pathlib import Path

import pytest

from inferatlas.decide.whatif.deployment import METRICS
from inferatlas.decide.whatif.elasticities import BOUGHT, STEP, cost_shares
from inferatlas.decide.whatif.whatif import WhatIf, whatif
from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.predict.question import ask

OWN = str(Path(__file__).parents[3] / "docs" / "examples" / "my-accelerator.yaml")
LOAD = {"isl": 1024, "osl": 256, "concurrency": 16}


def effects(found: WhatIf, kind: str = "elasticities") -> dict[tuple[str, str], float]:
    return {(row.parameter, row.metric): row.value for row in getattr(found.sensitivity, kind)}


def least_count(model: str, accelerator: str) -> int:
    return int(ask(model, accelerator, **LOAD).inputs["count"])


@pytest.fixture(scope="module")
def beside() -> WhatIf:
    return whatif(
        OWN, model="llama-3.3-70b", workload="chat", concurrency=64, against="nvidia-b200-sxm", count=8, tp=8,
        price=3.0, cost_share="compute=0.4,memory=0.35,link=0.1",
    )  # fmt: skip


def test_each_device_has_the_numbers_of_predict(beside: WhatIf):
    for one, name, price in ((beside.device, OWN, 3.0), (beside.against, "nvidia-b200-sxm", None)):
        assert one is not None
        known = ask("llama-3.3-70b", name, workload="chat", concurrency=64, count=8, tp=8, price=price)
        for metric in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w", "usd_per_million_tokens"):
            assert one.metrics[metric] == known.metrics[metric]
        joules, tokens = one.metrics["joules_per_output_token"], known.metrics["tokens_per_joule"]
        assert joules is not None and tokens is not None
        assert (joules.low, joules.value, joules.high) == (1 / tokens.high, 1 / tokens.value, 1 / tokens.low)
        assert (one.label, one.bound, one.batch) == (known.label, known.bound, known.batch)
    assert beside.device.label == "extrapolated" and beside.device.count == beside.against.count == 8
    assert beside.ratios["latency_s"] == pytest.approx(
        beside.device.metrics["latency_s"].value / beside.against.metrics["latency_s"].value
    )


def test_small_steps_are_what_elasticities_say(beside: WhatIf):
    slopes, steps = effects(beside), effects(beside, "steps")
    assert steps.keys() <= slopes.keys()
    for key, step in steps.items():
        assert step == pytest.approx((1 + STEP) ** slopes[key] - 1, abs=0.004), key


def test_a_bigger_step_agrees_with_a_device_of_those_facts(tmp_path: Path):
    """+10 % of memory bandwidth, once as a column and once as another file."""
    text = Path(OWN).read_text().replace("{value: 6, unit: TB/s", "{value: 6.6, unit: TB/s")
    (tmp_path / "faster.yaml").write_text(text)
    found = whatif(OWN, model="llama-3.1-8b", **LOAD)
    faster = whatif(str(tmp_path / "faster.yaml"), model="llama-3.1-8b", **LOAD)
    ratio = faster.device.metrics["latency_s"].value / found.device.metrics["latency_s"].value
    assert effects(found, "steps")["memory_bandwidth", "latency_s"] == pytest.approx(ratio - 1)


def test_derived_metrics_follow_from_the_predicted_ones(beside: WhatIf):
    slopes = effects(beside)
    for name in {name for name, _ in slopes} - {"price", "utilisation"}:
        assert slopes[name, "usd_per_million_tokens"] == -slopes[name, "output_tokens_per_s"]
    assert slopes["price", "usd_per_million_tokens"] == 1 and slopes["utilisation", "usd_per_million_tokens"] == -1
    assert slopes["rated_power", "joules_per_output_token"] + slopes["idle_power", "joules_per_output_token"] == (
        pytest.approx(1.0)
    )
    assert {metric for _, metric in slopes} == set(METRICS)


def test_rows_come_in_the_order_of_what_they_buy(beside: WhatIf):
    order = [abs(row.value) for row in beside.sensitivity.elasticities if row.metric == "latency_s"]
    assert order[:-2] == sorted(order[:-2], reverse=True)  # price and utilisation last


def test_a_wafer_buys_with_its_layer_latency():
    found = whatif("cerebras-wse-3", model="llama-3.3-70b", isl=1024, osl=256, concurrency=4)
    assert found.sensitivity.elasticities[0].parameter == "kernel_overhead"


def test_in_an_open_loop_nothing_moves_the_throughput_offered():
    found = whatif("h100", model="llama-3.1-8b", isl=1024, osl=256, request_rate=4.0)
    slopes = effects(found)
    assert not any(x for (_, metric), x in slopes.items() if metric == "output_tokens_per_s")
    assert slopes["memory_bandwidth", "latency_s"] < 0


def test_watts_by_part_are_within_the_whole(beside: WhatIf):
    rows = {row.parameter: row for row in beside.sensitivity.watts if row.metric == "joules_per_output_token"}
    assert rows.keys() == {"compute", "memory_bandwidth"}
    power = beside.device.metrics["power_w"].value
    for row in rows.values():
        assert row.watts == pytest.approx(row.share * power) and row.per_watt == pytest.approx(row.value / row.watts)
    assert 0 < sum(row.share for row in rows.values()) < 1  # the floor is the rest
    # its own watts counted, more of a part saves less energy per token than at the same rating
    slopes = effects(beside)
    for name, row in rows.items():
        assert row.value > slopes[name, "joules_per_output_token"]


def test_at_the_rating_watts_are_still_told_apart():
    found = whatif("h100", model="llama-3.1-8b", isl=1024, osl=256, concurrency=32)
    assert found.device.metrics["power_w"].value == pytest.approx(700)
    shares = {row.parameter: row.share for row in found.sensitivity.watts}
    assert 0 < shares["memory_bandwidth"] < shares["compute"] < 1 and sum(shares.values()) < 1
    assert any("rating allows" in note for note in found.sensitivity.notes)


def test_dollars_only_where_the_user_says_what_the_price_pays(beside: WhatIf):
    slopes = effects(beside)
    for row in beside.sensitivity.dollars:
        bought = sum(slopes[name, row.metric] for name in BOUGHT[row.part])
        assert row.value == pytest.approx(bought + row.share * (row.metric == "usd_per_million_tokens"))
        assert row.per_price == pytest.approx(row.value / row.share)
    assert whatif("h100", model="llama-3.1-8b", **LOAD).sensitivity.dollars == []


@pytest.mark.parametrize(
    "given",
    ["compute", "compute=x", "compute=0", "compute=1.2", "cpu=0.1", "compute=0.6,link=0.6", "link=0.1,link=0.1"],
)
def test_shares_of_a_price_are_checked(given: str):
    with pytest.raises(BadInput) as error:
        cost_shares(given)
    assert error.value.field == "cost_share" and error.value.allowed


def test_shares_may_be_a_mapping_and_pay_the_whole_price():
    assert cost_shares({"compute": 0.5, "memory": 0.4, "link": 0.1}) == {"compute": 0.5, "memory": 0.4, "link": 0.1}
    assert cost_shares(None) == {}


def test_what_a_device_does_not_publish_has_no_elasticity_and_is_said():
    found = whatif("h100", model="llama-3.1-8b", **LOAD)
    assert ("idle_power", "latency_s") in effects(found)
    unknown = whatif("groq", model="llama-3.1-8b", isl=1024, osl=256, concurrency=4)
    assert ("idle_power", "latency_s") not in effects(unknown)
    assert any("not published" in note for note in unknown.sensitivity.notes)
    assert effects(unknown)["compute", "usd_per_million_tokens"] is None  # no price
    assert ("price", "usd_per_million_tokens") not in effects(unknown)


def test_the_other_device_may_need_more_and_says_so():
    found = whatif("h100", model="llama-3.1-8b", against="groq", isl=1024, osl=256, concurrency=4)
    assert (found.device.count, found.against.count) == (1, 92)
    assert "different counts" in found.notes[0] and any("the fewest that do" in note for note in found.against.notes)


def test_the_other_device_may_lack_engine_and_format():
    found = whatif("h100", model="llama-3.1-8b", against="groq", engine="vllm", weights="fp8", **LOAD)
    assert found.device.engine == "vllm" and found.against.engine == "native" and found.against.weights != "fp8"
    assert sum("own default" in note for note in found.against.notes) == 2
    with pytest.raises(NoFeasibleAnswer):
        whatif("groq", model="llama-3.1-8b", engine="vllm", **LOAD)


def test_a_layout_that_does_not_fit_is_replaced_by_the_least_that_does():
    found = whatif("h100", model="llama-3.3-70b", tp=1, pp=1, dp=1, **LOAD)
    assert found.device.count == least_count("llama-3.3-70b", "h100")
    assert any("the fewest that do" in note for note in found.device.notes)


def test_names_that_are_none_are_refused():
    with pytest.raises(UnknownName):
        whatif("h1000", model="llama-3.1-8b", **LOAD)


def test_json_has_what_the_contract_says(beside: WhatIf):
    found = beside.as_dict()
    assert found.keys() >= {"device", "against", "elasticities", "steps", "watts", "dollars", "family", "notes"}
    for one in (found["device"], found["against"]):
        assert one.keys() >= {"id", "count", "layout", "metrics", "label"}
    assert found["elasticities"][0].keys() == {"parameter", "metric", "value"}
    assert found["family"] is None
