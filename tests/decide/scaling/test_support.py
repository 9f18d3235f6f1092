"""Support of strategies: what the engine offers, what leaves the domain, and a study's own words."""

from importlib import resources
from typing import Any

import pytest
import yaml

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.catalogue.engines import load_engine
from inferatlas.decide.scaling import support
from inferatlas.decide.scaling.strategies import STRATEGIES
from inferatlas.predict.platforms import bind
from inferatlas.predict.replicas import Layout

by_name = {strategy.name: strategy for strategy in STRATEGIES}
MANY = {"tp": 1, "pp": 1, "ep": 1, "dp": 1}


def of(part: str, name: str, engine: str | None = None, **layout: Any) -> dict[str, Any]:
    return support.of(bind(part, engine), by_name[name], Layout(**(MANY | layout)))


def words() -> dict[str, Any]:
    return yaml.safe_load(
        resources.files("inferatlas.decide.scaling").joinpath("published_support.yaml").read_text("utf-8")
    )


def test_words_of_the_study_stand_verbatim_and_nobody_else_has_any():
    said = words()
    platforms = {part: bind(part) for part in ("nvidia-b200-sxm", "amd-mi300x", "intel-gaudi-3", "nvidia-l4")}
    for strategy in STRATEGIES:
        for part, platform in platforms.items():
            found = support.of(platform, strategy, Layout(**MANY))
            own = said["strategies"].get(strategy.published or "", {}).get(part)
            assert found["published"] == own
            assert found["source"] == (said["source"] if own else None)
    assert of("amd-mi300x", "pipeline", pp=2)["published"] == "more limited"
    assert not any(support.of(platforms["nvidia-l4"], s, Layout(**MANY))["published"] for s in STRATEGIES)


def test_the_study_speaks_of_strategies_and_accelerators_that_there_are():
    said = words()
    assert set(said["strategies"]) == {s.published for s in STRATEGIES if s.published}
    named = {part for parts in said["strategies"].values() for part in parts}
    assert named <= set(accelerator_ids())
    kept = {"excellent", "well-optimized", "more limited"}
    assert {word for parts in said["strategies"].values() for word in parts.values()} <= kept


@pytest.mark.parametrize(
    ("layout", "flags"),
    [
        ({"tp": 8}, {"tensor"}), ({"pp": 8}, {"pipeline"}), ({"cp": 8}, {"context"}), ({"dp": 8}, set()),
        ({"tp": 4, "ep": 4}, {"tensor", "expert"}), ({"ep": 8, "dp": 8}, {"expert", "data"}),
        ({"tp": 2, "pp": 2, "offload": 0.3}, {"tensor", "pipeline", "offload"}),
    ],
)  # fmt: skip
def test_flags_are_those_of_what_a_layout_asks_of_the_engine(layout, flags):
    found = of("nvidia-h100-sxm", "hybrid best", "vllm", **layout)
    engine = load_engine("vllm")
    assert found["flags"] == {name: engine.strategy(name) for name in flags}
    assert (found["level"], found["why"]) == ("full", "")


def test_experts_over_the_dies_of_a_card_need_no_replicas():
    assert set(of("amd-mi250", "expert", tp=1, ep=2)["flags"]) == {"expert"}
    assert set(of("amd-mi250", "expert", ep=8, dp=4)["flags"]) == {"expert", "data"}


def test_an_engine_that_says_no_is_limited():
    found = of("nvidia-h100-sxm", "pipeline", "deepspeed", pp=4)
    assert found["level"] == "limited"
    assert found["flags"] == {"pipeline": "no"}
    assert "deepspeed does not offer pipeline" in found["why"]


def test_what_nobody_says_is_unknown_unless_it_is_the_vendor_s_own_stack():
    found = of("nvidia-h100-sxm", "offload", "tensorrt-llm", offload=0.5)
    assert found["level"] == "unknown"
    assert "offload" in found["why"] and "catalogue" in found["why"]
    assert of("nvidia-h100-sxm", "tensor", "native", tp=8)["level"] == "full"


def test_what_is_known_to_be_limited_is_not_unknown():
    found = of("nvidia-h100-sxm", "hybrid pipeline + offload", "deepspeed", cp=2, pp=2)
    assert found["level"] == "limited"  # no pipelines, and nothing known of shards of the context


@pytest.mark.parametrize("layout", [{"tp": 16}, {"ep": 16, "dp": 16}, {"tp": 4, "cp": 4}])
def test_a_group_that_leaves_the_domain_is_limited(layout):
    found = of("nvidia-h100-sxm", "hybrid best", **layout)
    assert found["level"] == "limited"
    assert "groups of 16 leave the scale-up domain of 8" in found["why"]


@pytest.mark.parametrize("layout", [{"pp": 64}, {"dp": 64}, {"tp": 8, "pp": 8}, {"tp": 8, "dp": 8}])
def test_stages_and_replicas_may_stand_anywhere(layout):
    assert of("nvidia-h100-sxm", "hybrid best", **layout)["level"] == "full"


def test_a_card_of_two_dies_counts_them_in_group_and_domain():
    assert of("amd-mi250", "tensor", tp=4)["level"] == "full"
    assert of("amd-mi250", "expert", ep=8, dp=4)["level"] == "full"
    assert of("amd-mi250", "expert", ep=16, dp=8)["level"] == "limited"


def test_an_experimental_engine_is_limited_whatever_the_layout():
    found = of("intel-max-1550", "data", "vllm", dp=2)
    assert found["level"] == "limited"
    assert "experimental" in found["why"]
    assert of("intel-max-1550", "data", dp=2)["level"] == "full"


def test_no_layout_has_no_support():
    found = support.of(bind("nvidia-b200-sxm"), by_name["expert"], None)
    assert (found["level"], found["flags"]) == ("none", {})
    assert found["published"] == "excellent"
