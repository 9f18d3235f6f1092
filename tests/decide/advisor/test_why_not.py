"""Why not: every reason comes from a real question, and the number in it is the one that decides."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.judge import Budget, hourly_usd
from inferatlas.decide.advisor.recommend import recommend
from inferatlas.decide.advisor.search import Designs, Limits, Rejected, evaluate
from inferatlas.decide.advisor.why_not import explain
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.platforms import weight_choices
from inferatlas.predict.question import ask
from inferatlas.quantities import parse
from inferatlas.workload import make_workload

LENGTHS = {"isl": 1024, "osl": 256}
LOAD = LENGTHS | {"concurrency": 8}


def why(model: str, accelerator: str, **asked) -> Rejected:
    """The one reason of the one accelerator asked for."""
    found = recommend(model, **(LOAD | {"accelerators": (accelerator,)} | asked))
    assert found.candidates == []
    (out,) = found.rejected
    assert out.detail and out.detail[-1] != ";"
    return out


def qualifies(model: str, accelerator: str, **asked) -> bool:
    return bool(recommend(model, **(LOAD | {"accelerators": (accelerator,)} | asked)).candidates)


def designs_of(model: str, accelerator: str, max_count: int) -> Designs:
    return evaluate(load_model(model), make_workload(None, **LOAD), Limits((accelerator,), max_count=max_count))


def test_weights_of_70b_need_two_parts_of_80_gb():
    out = why("llama-3.3-70b", "h100", weights=("bf16",), max_count=1)
    assert (out.code, out.least_count) == ("memory", 2)
    assert out.detail == "does not fit on up to 1 accelerators; bf16 weights need 2"
    assert ask("llama-3.3-70b", "h100", count=2, weights="bf16", **LOAD).fits
    assert not ask("llama-3.3-70b", "h100", count=1, weights="bf16", **LOAD).fits
    assert qualifies("llama-3.3-70b", "h100", weights=("bf16",), max_count=2)


def test_the_least_count_fits_and_one_less_does_not_on_every_accelerator():
    found = recommend("llama-3.1-405b", **LOAD, max_count=1)
    short = [out for out in found.rejected if out.code in ("memory", "kv_cache")]
    assert len(short) > 25
    for out in short:
        match = re.search(r"(\w+) weights need (\d+)$", out.detail)
        if out.least_count is None:  # more than anyone may ask for
            assert match is None
            assert not ask("llama-3.1-405b", out.accelerator, **LOAD, count=1024).fits
            continue
        assert match is not None and int(match[2]) == out.least_count > 1
        choices = weight_choices(load_model("llama-3.1-405b"), device(load_accelerator(out.accelerator)))
        assert match[1] == min(choices, key=lambda name: FORMATS[name].bytes)  # nothing narrower would need fewer
        asked = LENGTHS | {"concurrency": 1, "weights": match[1]}
        assert ask("llama-3.1-405b", out.accelerator, **asked, count=out.least_count).fits, out
        assert not ask("llama-3.1-405b", out.accelerator, **asked, count=out.least_count - 1).fits, out


def test_what_only_uneven_stages_hold_is_said_so():
    # 126 layers in 5 stages: engines can, the search does not try
    out = why("llama-3.1-405b", "mi300x", weights=("bf16",), max_count=5)
    assert (out.code, out.least_count) == ("memory", 5)
    assert "except on 5 with bf16 weights in uneven pipeline stages" in out.detail
    assert ask("llama-3.1-405b", "mi300x", weights="bf16", count=5, **LOAD).fits


def test_a_context_that_no_single_part_holds():
    out = why("llama-3.1-8b", "l4", isl=120_000, weights=("bf16",), max_count=1)
    assert out.code == "kv_cache"
    assert out.least_count is not None
    asked = {"isl": 120_000, "osl": 256, "concurrency": 1, "weights": "bf16"}
    assert ask("llama-3.1-8b", "l4", **asked, count=out.least_count).fits
    assert not ask("llama-3.1-8b", "l4", **asked, count=out.least_count - 1).fits


def test_a_cluster_is_spoken_of_with_what_it_has(cluster):
    out = why("llama-3.1-405b", cluster("h100", nodes=1, per_node=2), max_count=64)
    assert out.detail.startswith("does not fit on up to 2 accelerators")


def test_a_rate_beyond_capacity():
    asked = {"concurrency": None, "max_count": 2}
    out = why("llama-3.1-8b", "h100", **asked, request_rate=1000.0)
    assert (out.code, out.detail) == ("rate_beyond_capacity", "the rate exceeds what 2 accelerators can serve")
    assert qualifies("llama-3.1-8b", "h100", **asked, request_rate=5.0)


def test_a_rate_is_the_reason_where_some_layouts_hold_the_model_and_others_do_not():
    out = why("llama-3.3-70b", "h100", weights=("bf16",), concurrency=None, request_rate=1000.0, max_count=2)
    assert out.code == "rate_beyond_capacity"


def test_the_price_that_decided_is_the_least_there_is():
    out = why("llama-3.3-70b", "h100", weights=("bf16",), max_usd_per_hour=2.0)
    assert out.code == "budget"
    match = re.fullmatch(r"it needs at least ([\d.]+) USD/h \(budget 2\)", out.detail)
    assert match is not None
    assert float(match[1]) == pytest.approx(2 * 1.30)  # two parts at the rental row
    assert qualifies("llama-3.3-70b", "h100", weights=("bf16",), max_usd_per_hour=2.6)


def test_the_power_that_decided_is_the_least_there_is():
    out = why("llama-3.1-8b", "h100", max_power_w=100.0)
    match = re.fullmatch(r"it draws at least (.+) \(budget 100 W\)", out.detail)
    assert out.code == "budget" and match is not None
    least = float(np.nanmin(designs_of("llama-3.1-8b", "h100", 64).predictions.power_w))
    assert parse(match[1], "W") == pytest.approx(least, rel=0.005)
    assert qualifies("llama-3.1-8b", "h100", max_power_w=least)
    assert not qualifies("llama-3.1-8b", "h100", max_power_w=least * 0.999)


def test_unknown_price_or_power_cannot_be_shown_to_be_inside_a_budget():
    assert why("llama-3.1-8b", "l4", max_usd_per_hour=1e6).detail.startswith("its price is unknown")
    assert why("llama-3.1-8b", "google-tpu-v5e", max_power_w=1e6).detail.startswith("its power is unknown")
    assert qualifies("llama-3.1-8b", "l4", max_usd_per_hour=1e6, price=1.0)


def test_only_the_budget_that_is_broken_is_named():
    out = why("llama-3.1-8b", "h100", max_usd_per_hour=1e6, max_power_w=100.0)
    assert "USD" not in out.detail
    out = why("llama-3.1-8b", "h100", max_usd_per_hour=0.5, max_power_w=1e6)
    assert " W" not in out.detail


def test_budgets_that_are_only_broken_together():
    found = designs_of("llama-3.1-8b", "mi300x", 8)
    count = found.points.accelerators
    thrifty = replace(found, predictions=replace(found.predictions, power_w=1000.0 / count))  # if many drew little
    usd = float(np.nanmin(hourly_usd(found)))
    (out,) = explain(thrifty, (), Budget(usd_per_hour=usd, power_w=200.0), set(), 0.8)
    assert (out.code, out.detail) == ("budget", "no design is inside both budgets at once")


def test_the_best_a_target_gets_is_the_best_there_is():
    asked = {"max_count": 2, "slo": ["ttft:p95<1ms"]}
    out = why("llama-3.1-8b", "h100", **asked)
    match = re.fullmatch(r"ttft p95 is (.+) at best, 1\.00 ms asked", out.detail)
    assert out.code == "target" and match is not None
    best = parse(match[1], "s")
    even = {"max_count": 2, "min_probability": 0.5}
    assert qualifies("llama-3.1-8b", "h100", **even, slo=[f"ttft:p95<{best * 1.01}s"])
    assert not qualifies("llama-3.1-8b", "h100", **even, slo=[f"ttft:p95<{best * 0.99}s"])


def test_each_missed_target_is_named_and_a_kept_one_is_not():
    out = why("llama-3.1-8b", "l4", slo=["ttft<1us", "itl<1us", "latency<1h", "output_tokens_per_s>1e9"])
    assert out.code == "target"
    assert [part.split(" ")[0] for part in out.detail.split("; ")] == ["ttft", "itl", "output_tokens_per_s"]


def test_a_target_met_too_unlikely_is_said_with_the_probability():
    asked = {"max_count": 1, "weights": ("bf16",)}
    found = recommend("llama-3.1-8b", **LOAD, accelerators=("h100",), **asked)
    itl = found.candidates[0].metrics["itl_s"]
    assert itl is not None
    slo = [f"itl<{itl.value * 1.02}s"]
    out = why("llama-3.1-8b", "h100", **asked, slo=slo)
    match = re.search(r"with a probability of (0\.\d{3}) at best, 0\.8 asked", out.detail)
    assert out.code == "target" and match is not None
    assert 0.5 < float(match[1]) < 0.8
    assert qualifies("llama-3.1-8b", "h100", **asked, slo=slo, min_probability=float(match[1]) - 0.001)
    assert not qualifies("llama-3.1-8b", "h100", **asked, slo=slo, min_probability=float(match[1]) + 0.001)


def test_an_engine_that_does_not_run_there():
    out = why("llama-3.1-8b", "groq", engine="vllm")
    assert out.code == "engine"
    assert "vllm is not supported on groq-lpu-v1" in out.detail and "native" in out.detail
    assert qualifies("llama-3.1-8b", "groq", engine="native", max_count=200)


@pytest.mark.parametrize(("part", "weights"), [("mi300x", "nvfp4"), ("groq", "fp8"), ("sambanova-sn40l", "int8")])
def test_a_format_that_is_not_multiplied_there(part: str, weights: str):
    out = why("llama-3.1-8b", part, weights=(weights,))
    assert out.code == "precision"
    assert "weights" in out.detail


def test_a_vendor_that_was_not_asked_for():
    out = why("llama-3.1-8b", "h100", vendors=("AMD",))
    assert (out.code, out.detail) == ("vendor", "NVIDIA is not among the vendors asked for")


def test_heads_that_two_dies_cannot_share(tmp_path):
    config = {
        "model_type": "llama", "hidden_size": 1600, "num_hidden_layers": 8, "vocab_size": 32000,
        "max_position_embeddings": 4096, "num_attention_heads": 25, "num_key_value_heads": 25,
        "intermediate_size": 6400, "torch_dtype": "bfloat16",
    }  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    out = why(str(file), "mi250")
    assert out.code == "layout"
    assert "query heads" in out.detail
    assert qualifies(str(file), "h100")


def test_all_reasons_of_a_hard_question_have_words_and_known_codes():
    found = recommend("deepseek-r1", **LOAD, slo=["ttft<1ms"], max_usd_per_hour=5.0, max_count=8)
    assert {out.accelerator for out in found.rejected} == set(accelerator_ids())
    assert {out.code for out in found.rejected} >= {"memory", "budget"}
    assert all(out.detail and "nan" not in out.detail for out in found.rejected)
