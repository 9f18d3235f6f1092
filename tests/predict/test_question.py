"""One question through `ask`: what must hold on every accelerator of the catalogue, and at the edges of input."""

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model, model_ids
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.answer import Answer, Interval
from inferatlas.predict.hardware.device import device
from inferatlas.predict.performance.calibrated import FORMAT
from inferatlas.predict.question import ask

MODELS = ("llama-3.1-8b", "mixtral-8x7b")
NOT_MODELLED = Path(__file__).parents[1] / "not_modelled"
USERS = (1, 8, 64)
LENGTHS = {"isl": 1024, "osl": 256}
every_model = pytest.mark.parametrize("model", MODELS)
every_part = pytest.mark.parametrize("part", accelerator_ids())

PROMPTS = (128, 1024, 2048, 2049, 3000, 8192, 8193, 9000)  # on both sides of the engines' step budgets


@lru_cache(maxsize=512)
def asked(model: str, part: str, **question: Any) -> Answer:
    return ask(model, part, **(LENGTHS | question))


@lru_cache(maxsize=512)
def layout_of(model: str, part: str) -> dict[str, int]:
    """A layout that holds the longest requests asked about here."""
    answer = ask(model, part, isl=8192, osl=256, concurrency=1)
    assert answer.fits, (model, part, answer.reason)
    return answer.inputs["layout"]


def laid_out(model: str, part: str, **question: Any) -> Answer:
    answer = asked(model, part, **(layout_of(model, part) | question))
    assert answer.fits, (model, part, question, answer.reason)
    return answer


def interval(answer: Answer, name: str) -> Interval:
    found = answer.metrics[name]
    assert found is not None, name
    return found


def value(answer: Answer, name: str) -> float:
    return interval(answer, name).value


def rises(values: list[float], slack: float = 1e-6) -> bool:
    return all(later >= earlier * (1 - slack) for earlier, later in pairwise(values))


def known(answer: Answer) -> Iterator[tuple[str, Interval]]:
    return ((name, one) for name, one in answer.metrics.items() if one is not None)


@every_part
@every_model
def test_times_are_positive_and_intervals_hold_their_value(model: str, part: str):
    for users in USERS:
        answer = laid_out(model, part, concurrency=users)
        for name, one in known(answer):
            assert 0 < one.low <= one.value <= one.high < math.inf, name
        for name in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s"):
            assert answer.metrics[name] is not None, name
        latency = value(answer, "ttft_s") + 255 * value(answer, "itl_s")
        assert value(answer, "latency_s") == pytest.approx(latency, rel=1e-9)
        assert answer.batch is not None and 0 < answer.batch <= users


@every_part
@every_model
def test_more_requests_in_flight_never_lower_throughput_nor_shorten_latency(model: str, part: str):
    answers = [laid_out(model, part, concurrency=users) for users in USERS]
    assert rises([value(answer, "output_tokens_per_s") for answer in answers])
    assert rises([value(answer, "latency_s") for answer in answers])
    assert rises([value(answer, "itl_s") for answer in answers])


@every_part
@every_model
def test_longer_prompts_are_never_answered_sooner(model: str, part: str):
    for users in USERS:
        ttft = [value(laid_out(model, part, concurrency=users, isl=isl), "ttft_s") for isl in PROMPTS]
        assert rises(ttft), (users, ttft)


@every_part
@every_model
def test_more_replicas_never_lower_throughput_nor_lengthen_latency(model: str, part: str):
    size = layout_of(model, part)["tp"] * layout_of(model, part)["pp"]
    for users in USERS:
        answers = [laid_out(model, part, concurrency=users, dp=dp) for dp in (1, 3) if size * dp <= 1024]
        assert rises([value(answer, "output_tokens_per_s") for answer in answers])
        assert rises([value(answer, "latency_s") for answer in reversed(answers)])


@every_part
@every_model
def test_a_narrower_cache_never_takes_more_memory_nor_time(model: str, part: str):
    wide = laid_out(model, part, concurrency=64)
    for kv in ("fp8", "int8"):
        narrow = laid_out(model, part, concurrency=64, kv_cache=kv)
        held, before = narrow.memory["kv_bytes_per_sequence"], wide.memory["kv_bytes_per_sequence"]
        assert held == pytest.approx(before / 2)
        assert narrow.memory["sequences"] >= wide.memory["sequences"]
        assert value(narrow, "output_tokens_per_s") >= value(wide, "output_tokens_per_s") * (1 - 1e-6)


@every_part
def test_nothing_draws_more_than_its_rating(part: str):
    rated = device(load_accelerator(part)).power.rated_w
    for load in ({"concurrency": 1}, {"concurrency": 64}, {"concurrency": 4096}, {"request_rate": 0.05}):
        for isl in (128, 8192):
            answer = laid_out("llama-3.1-8b", part, **load, isl=isl)
            if rated is None:
                assert answer.metrics["power_w"] is None
                assert answer.metrics["tokens_per_joule"] is None and answer.metrics["gco2e_per_million_tokens"] is None
                continue
            most = rated * answer.inputs["count"]
            power, tokens = interval(answer, "power_w"), value(answer, "output_tokens_per_s")
            assert power.high <= most * (1 + 1e-9)
            # energy is power times time: a token takes no more than the rating for its share of a second
            assert value(answer, "tokens_per_joule") == pytest.approx(tokens / power.value, rel=1e-9)
            assert value(answer, "tokens_per_joule") >= tokens / most * (1 - 1e-9)


@every_part
def test_memory_adds_up(part: str):
    answer = laid_out("llama-3.1-8b", part, concurrency=64)
    held = answer.memory
    assert all(math.isfinite(amount) and amount >= 0 for amount in held.values())
    taken = sum(held[f"{name}_bytes"] for name in ("weights", "kv", "activations", "reserve"))
    assert taken <= held["usable_bytes"] * (1 + 1e-9) <= held["capacity_bytes"] * (1 + 1e-9)
    assert held["kv_bytes"] == pytest.approx(held["kv_bytes_per_sequence"] * (answer.batch or 0))


@every_part
def test_the_answer_is_json_whatever_is_unknown(part: str):
    for load in ({"concurrency": 8}, {"request_rate": 1e6}, {"concurrency": 8, "osl": 1}):
        answer = asked("llama-3.1-8b", part, **layout_of("llama-3.1-8b", part), **load)
        said = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
        assert {"inputs", "fits", "reason", "metrics", "bound", "batch", "memory", "breakdown", "label"} <= said.keys()
        if not answer.fits:
            assert said["metrics"] == {} and said["bound"] is said["batch"] is None
            assert said["reason"].keys() == {"code", "detail", "least_count"}


@every_part
def test_the_breakdown_is_of_the_step_that_was_predicted(part: str):
    answer = laid_out("llama-3.1-8b", part, concurrency=8)
    assert answer.breakdown
    assert all(row["seconds"] >= 0 for row in answer.breakdown)
    assert sum(row["seconds"] for row in answer.breakdown) > 0


# what was not given -------------------------------------------------------------------------------------------------


def test_a_layout_left_open_is_chosen_and_named():
    free = asked("llama-3.3-70b", "h100", concurrency=8)
    assert free.fits and free.inputs["count"] == 2
    (note,) = [note for note in free.fallbacks if "chosen" in note]
    assert "tp" in note and "dp 1" in note
    given = asked("llama-3.3-70b", "h100", concurrency=8, **free.inputs["layout"])
    assert given.metrics == free.metrics
    assert not [note for note in given.fallbacks if "chosen" in note]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"count": 4, "tp": 2, "pp": 1, "dp": 1}, "count"), ({"count": 3, "tp": 2}, "count"), ({"tp": 0}, "tp"),
        ({"pp": -1}, "pp"), ({"count": 1025}, "count"), ({"tp": 8, "pp": 32, "dp": 8}, "count"), ({"tp": 1.5}, "tp"),
    ],
    ids=str,
)  # fmt: skip
def test_layouts_that_contradict_themselves_are_refused(given, field: str):
    with pytest.raises(BadInput) as caught:
        asked("llama-3.1-8b", "h100", concurrency=1, **given)
    assert (caught.value.field, caught.value.exit_code) == (field, 2)


def test_a_layout_that_does_not_fit_is_an_answer_with_the_count_that_would():
    answer = asked("llama-3.3-70b", "h100", concurrency=1, count=1)
    assert (answer.fits, answer.metrics, answer.breakdown) == (False, {}, [])
    assert answer.reason is not None
    assert (answer.reason["code"], answer.reason["least_count"]) == ("memory", 2)
    assert "from 2 accelerators on (asked: 1)" in answer.reason["detail"]
    assert answer.memory["weights_bytes"] > answer.memory["usable_bytes"]
    # enough accelerators in the wrong layout
    split = asked("llama-3.3-70b", "h100", concurrency=1, tp=1, pp=1, dp=8)
    assert split.reason is not None
    assert "another layout of 2 accelerators fits" in split.reason["detail"]


# a cluster ----------------------------------------------------------------------------------------------------------


def test_a_cluster_bounds_the_count(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text("id: lab\naccelerator: h100\nnodes: 1\naccelerators_per_node: 2\nsource: ours\n", encoding="utf-8")
    assert ask("llama-3.3-70b", str(file), concurrency=1, **LENGTHS).inputs["count"] == 2
    with pytest.raises(BadInput, match="more than cluster lab has"):
        ask("llama-3.1-8b", str(file), count=4, concurrency=1, **LENGTHS)
    # nobody asked for so many: the model needs them
    with pytest.raises(NoFeasibleAnswer, match="more than cluster lab has") as caught:
        ask("llama-3.1-405b", str(file), concurrency=1, **LENGTHS)
    assert caught.value.exit_code == 3
    assert caught.value.least_count is not None and caught.value.least_count > 2


# the edges of the load ----------------------------------------------------------------------------------------------


def test_the_context_of_the_model_is_the_limit():
    assert asked("llama-3.1-8b", "h100", isl=131_071, osl=1, concurrency=1).fits
    for lengths in ({"isl": 131_072, "osl": 1}, {"isl": 1, "osl": 131_072}):
        with pytest.raises(BadInput, match="up to 131072") as caught:
            asked("llama-3.1-8b", "h100", concurrency=1, **lengths)
        assert (caught.value.exit_code, caught.value.field) == (2, "isl")


@every_part
def test_one_output_token_has_a_latency_and_no_gap(part: str):
    answer = laid_out("llama-3.1-8b", part, osl=1, concurrency=4)
    assert answer.metrics["itl_s"] is None
    assert "itl" not in answer.percentiles
    first, whole = answer.metrics["ttft_s"], answer.metrics["latency_s"]
    assert first is not None and whole is not None
    assert (whole.low, whole.value, whole.high) == pytest.approx((first.low, first.value, first.high))
    requests = value(answer, "output_tokens_per_s")
    assert value(answer, "total_tokens_per_s") == pytest.approx(requests * 1025)


@every_part
def test_a_huge_crowd_waits_but_is_served_at_capacity(part: str):
    crowd = [laid_out("llama-3.1-8b", part, concurrency=users) for users in (10_000, 10**5, 10**6)]
    rates = [value(answer, "output_tokens_per_s") for answer in crowd]
    assert rates == pytest.approx([rates[2]] * 3, rel=1e-5)  # of ten thousand, a share still finds its slot taken
    assert rates[1] == pytest.approx(rates[2], rel=1e-6)
    ttft = [value(answer, "ttft_s") for answer in crowd]
    assert ttft[0] < ttft[1] < ttft[2]
    # Little's law: a million in flight at this rate wait a million's time
    assert value(crowd[2], "latency_s") == pytest.approx(10**6 * 256 / rates[2], rel=1e-6)


@every_part
def test_a_rate_is_served_up_to_capacity_and_not_beyond(part: str):
    layout = layout_of("llama-3.1-8b", part)
    most = value(laid_out("llama-3.1-8b", part, concurrency=10_000), "output_tokens_per_s") / 256
    served = asked("llama-3.1-8b", part, **layout, request_rate=0.3 * most)
    assert served.fits
    assert value(served, "output_tokens_per_s") == pytest.approx(0.3 * most * 256, rel=1e-6)
    given = interval(served, "output_tokens_per_s")
    assert given.low == given.value == given.high  # the question fixes it
    beyond = asked("llama-3.1-8b", part, **layout, request_rate=3 * most)
    assert not beyond.fits and beyond.reason is not None
    assert beyond.reason["code"] == "rate_beyond_capacity"
    assert beyond.metrics == {}


def test_percentiles_rise():
    answer = asked("llama-3.1-8b", "h100", workload="chat", request_rate=4.0, isl=None, osl=None)
    assert answer.percentiles.keys() == {"ttft", "itl", "latency"}
    for metric, at in answer.percentiles.items():
        assert at["p50"] <= at["p90"] <= at["p95"] <= at["p99"], metric
        assert at["p50"] <= value(answer, f"{metric}_s") <= at["p99"]


# names and files ----------------------------------------------------------------------------------------------------


def test_models_without_a_performance_model_say_so():
    assert not any(load_model(name).not_modelled for name in model_ids())  # none of the catalogue
    with pytest.raises(NotModelled, match="not modelled yet") as caught:
        ask(str(NOT_MODELLED), "h100", isl=16, osl=16, concurrency=1)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("model", model_ids())
def test_every_model_of_the_catalogue_is_answered(model: str):
    vector = load_model(model).embeds
    answer = ask(model, "mi355x", isl=384, osl=None if vector else 128, concurrency=4)
    assert answer.fits and value(answer, "latency_s") > 0
    assert (answer.metrics["itl_s"] is None) == vector


def test_a_config_of_hugging_face_is_the_model_it_describes(tmp_path, monkeypatch):
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "vocab_size": 128256, "max_position_embeddings": 131072, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    }  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    for path in (file, tmp_path):
        mine, theirs = ask(str(path), "h100", concurrency=8, **LENGTHS), asked("llama-3.1-8b", "h100", concurrency=8)
        assert mine.memory == theirs.memory
    # what was measured of a model belongs to its name; without that the same shape has the same answer
    nothing = {"format": FORMAT, "version": "none", "date": "", "effects": {}, "points": {}, "width": {}, "sources": {}}
    (tmp_path / "coefficients.json").write_text(json.dumps(nothing), encoding="utf-8")
    monkeypatch.setenv("INFERATLAS_COEFFICIENTS", str(tmp_path))
    for path in (file, tmp_path):
        mine, theirs = (ask(model, "h100", concurrency=8, **LENGTHS) for model in (str(path), "llama-3.1-8b"))
        assert mine.metrics == theirs.metrics


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"model": "lama-3.1-8b"}, UnknownName), ({"accelerator": "h10"}, UnknownName),
        ({"engine": "vlm"}, UnknownName), ({"region": "Mars"}, UnknownName),
        ({"site": "Moon"}, UnknownName), ({"weights": "fp5"}, BadInput),
        ({"activations": "fp5"}, BadInput), ({"kv_cache": "fp4"}, BadInput), ({"isl": 0}, BadInput),
        ({"osl": -1}, BadInput), ({"concurrency": 0}, BadInput), ({"concurrency": None}, BadInput),
        ({"request_rate": 1.0}, BadInput), ({"price": -1.0}, BadInput), ({"utilisation": 0.0}, BadInput),
        ({"accelerator": "groq", "engine": "vllm"}, NoFeasibleAnswer),
        ({"accelerator": "mi300x", "weights": "nvfp4"}, NoFeasibleAnswer),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_asked_names_its_field(changed, error):
    good = {"model": "llama-3.1-8b", "accelerator": "h100", "concurrency": 1} | LENGTHS
    with pytest.raises(error) as caught:
        ask(**(good | changed))
    assert caught.value.field
    assert caught.value.exit_code in (2, 3)
