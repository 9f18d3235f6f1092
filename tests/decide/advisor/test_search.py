"""The search: every design keeps the limits, and every accelerator asked for is a design or has a reason."""

from pathlib import Path

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs, Limits, evaluate
from inferatlas.errors import BadInput, NotModelled, UnknownName
from inferatlas.workload import make_workload

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

LLAMA = load_model("llama-3.1-8b")
LOAD = make_workload(None, isl=512, osl=128, concurrency=8)


def search(**limits) -> Designs:
    return evaluate(LLAMA, LOAD, Limits(**({"max_count": 2} | limits)))


def keys(found: Designs) -> set[tuple]:
    """Every design as a tuple: accelerator, formats and layout."""
    p = found.points
    names = [(x.device.id, x.engine.name, x.precision.text()) for x in found.table.platforms]
    rows = zip(*(column.tolist() for column in (p.platform, p.tp, p.pp, p.ep, p.dp)), strict=True)
    return {(*names[i], *layout) for i, *layout in rows}


def test_every_design_keeps_the_count_and_is_asked_once(designs: Designs):
    p = designs.points
    assert (p.tp * p.pp * p.dp == p.accelerators).all()
    assert p.accelerators.min() >= 1
    assert p.accelerators.max() == 4
    assert len(keys(designs)) == len(designs)
    assert (p.concurrency == 16).all()


def test_what_does_not_fit_has_no_value_at_all(designs: Designs):
    out = ~designs.predictions.fits
    assert out.any() and designs.predictions.fits.any()
    for name, metric in designs.metrics.items():
        assert np.isnan(metric.value[out]).all(), name


@pytest.mark.parametrize(
    "limits",
    [
        {}, {"vendors": ("amd", "Groq")}, {"engine": "vllm"}, {"engine": "sglang", "vendors": ("NVIDIA",)},
        {"engine": "native"}, {"engine": "deepspeed"}, {"weights": ("fp8",)}, {"weights": ("nvfp4", "int8")},
        {"weights": ("mxfp4",), "engine": "tensorrt-llm"}, {"kv_cache": "fp8", "max_count": 1},
    ],
    ids=str,
)  # fmt: skip
def test_no_accelerator_vanishes_and_none_is_both_in_and_out(limits):
    found = search(**limits)
    inside = {found.platform(i).device.id for i in range(len(found))}
    outside = [out.accelerator for out in found.rejected]
    assert len(outside) == len(set(outside))
    assert not inside & set(outside)
    assert inside | set(outside) == set(accelerator_ids())
    for out in found.rejected:
        assert out.code in {"vendor", "engine", "precision", "layout", "not_modelled"}, out
        assert out.detail


def test_filters_let_through_what_they_name_and_nothing_else():
    found = search(vendors=("NVIDIA",), engine="vllm", weights=("fp8", "int4"), kv_cache="fp8")
    platforms = found.table.platforms
    assert {p.device.vendor for p in platforms} == {"NVIDIA"}
    assert {p.engine.name for p in platforms} == {"vllm"}
    assert {p.precision.weights for p in platforms} == {"fp8", "int4"}
    assert {p.precision.kv_cache for p in platforms} == {"fp8"}


def test_a_larger_count_adds_designs_and_takes_none_away():
    few, more = (search(accelerators=("h100", "mi250", "groq"), max_count=n) for n in (2, 5))
    assert keys(few) < keys(more)
    assert max(more.points.accelerators) == 5


@pytest.mark.parametrize(("alias", "name"), [("trtllm", "tensorrt-llm"), ("VLLM", "vllm"), ("TensorRT-LLM", "trt-llm")])
def test_an_engine_by_another_name_is_the_same_search(alias: str, name: str):
    # an alias once searched 16-bit weights only
    asked = {"accelerators": ("h100", "mi300x"), "weights": ("bf16", "fp8")}
    assert keys(search(engine=alias, **asked)) == keys(search(engine=name, **asked))
    assert keys(search(engine=alias, accelerators=("h100",))) == keys(search(engine=name, accelerators=("h100",)))


def test_an_accelerator_named_twice_is_refused_here_as_everywhere():
    for names in (("h100", "nvidia-h100-sxm"), ("all", "h100")):
        with pytest.raises(BadInput, match="nvidia-h100-sxm is named twice") as caught:
            search(accelerators=names)
        assert caught.value.field == "accelerator"


def test_a_bare_name_is_one_name_and_formats_ignore_case():
    listed = Limits(accelerators=("h100",), vendors=("NVIDIA",), weights=("fp8",), kv_cache="fp8")
    assert Limits(accelerators="h100", vendors="NVIDIA", weights="FP8", kv_cache="FP8") == listed
    for limits in ({"accelerators": ""}, {"vendors": ("AMD", " ")}, {"weights": ("",)}):
        with pytest.raises(BadInput, match="an empty name"):
            Limits(**limits)


def test_all_is_the_whole_catalogue():
    assert search(accelerators="all", weights="fp8").most == search(weights=("fp8",)).most


def test_one_part_at_two_conditions_is_refused_rather_than_merged(cluster):
    with pytest.raises(BadInput, match="named twice") as caught:
        search(accelerators=("h100", cluster("h100", price=1.0)))
    assert caught.value.field == "accelerator"
    with pytest.raises(BadInput, match="named twice"):
        search(accelerators=(cluster("h100", price=1.0), cluster("h100", price=2.0)))


def test_a_cluster_lends_no_more_than_it_has(cluster):
    found = search(accelerators=(cluster("h100", nodes=1, per_node=3), "l4"), max_count=6)
    names, owner = found.accelerator_index()
    largest = {name: int(found.points.accelerators[owner == k].max()) for k, name in enumerate(names)}
    assert largest == {"nvidia-h100-sxm": 3, "nvidia-l4": 6}
    assert found.most == largest


def test_nothing_left_is_an_empty_search_with_all_reasons():
    found = search(accelerators=("h100", "l4"), vendors=("AMD",))
    assert len(found) == 0
    assert {out.accelerator: out.code for out in found.rejected} == {"nvidia-h100-sxm": "vendor", "nvidia-l4": "vendor"}


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        ({"vendors": ("nvidea",)}, UnknownName, "did you mean nvidia"),
        ({"vendors": ("AMD", "nvidea")}, UnknownName, "did you mean nvidia"),
        ({"accelerators": ("h1000",)}, UnknownName, "did you mean"),
        ({"engine": "vlm"}, UnknownName, "did you mean vllm"),
        ({"weights": ("fp5",)}, BadInput, "unknown format 'fp5'"),
        ({"kv_cache": "fp4"}, BadInput, "unknown format 'fp4'"),
        ({"region": "Mars"}, UnknownName, "Mars"),
        ({"site": "Moon"}, UnknownName, "Moon"),
        ({"price": 0.0}, BadInput, "price"),
        ({"utilisation": 1.5}, BadInput, "utilisation"),
        ({"max_count": 0}, BadInput, "1 to 1024"),
        ({"max_count": 1025}, BadInput, "1 to 1024"),
        ({"max_count": 1.5}, BadInput, "1 to 1024"),
        ({"max_count": float("nan")}, BadInput, "1 to 1024"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits, error, words):
    with pytest.raises(error, match=words) as caught:
        search(**({"accelerators": ("h100",)} | limits))
    assert caught.value.exit_code == 2


def test_a_vendor_of_a_users_own_accelerator_is_known(tmp_path):
    own = Path(load_accelerator("h100").file).read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(
        own.replace("vendor: NVIDIA", "vendor: Home Made", 1).replace("id: nvidia-h100-sxm", "id: mine", 1),
        encoding="utf-8",
    )
    found = search(accelerators=(str(file), "l4"), vendors=("home made",))
    assert {p.device.id for p in found.table.platforms} == {"mine"}


def test_a_model_without_a_performance_model_is_refused():
    with pytest.raises(NotModelled) as caught:
        evaluate(load_model(NOT_MODELLED), LOAD, Limits())
    assert caught.value.exit_code == 3
