"""Strategies as families of layouts: all layouts of a count, each family what its name says."""

from functools import lru_cache

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.scaling.strategies import OFFLOADS, STRATEGIES, Candidates, candidates
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.mapping.layouts import layouts_of, legal

CASES = [
    ("llama-3.3-70b", "nvidia-h100-sxm", 8), ("llama-3.3-70b", "nvidia-h100-sxm", 12), ("deepseek-r1", "h200", 16),
    ("mixtral-8x7b", "amd-mi250", 4), ("llama-3.1-8b", "groq-lpu-v1", 576), ("llama-3.1-8b", "cerebras-wse-3", 2),
    ("mixtral-8x7b", "amd-mi300a", 4), ("llama-3.2-1b", "nvidia-l4", 1),
]  # fmt: skip
PURE = {"tensor": "tp", "pipeline": "pp", "data": "dp", "context": "cp"}
by_name = {strategy.name: strategy for strategy in STRATEGIES}


@lru_cache
def tried(model: str, part: str, count: int) -> Candidates:
    return candidates(operators(load_model(model)), device(load_accelerator(part)), count)


def members(name: str, case: tuple[str, str, int]) -> dict[str, np.ndarray]:
    found = tried(*case)
    mine = by_name[name].belongs(found)
    return {field: getattr(found, field)[mine] for field in ("tp", "pp", "ep", "dp", "cp", "offload")}


@pytest.mark.parametrize("case", CASES)
def test_every_candidate_has_exactly_the_count_and_none_comes_twice(case):
    found = tried(*case)
    assert (found.tp * found.pp * found.dp * found.cp == case[2]).all()
    assert ((found.offload >= 0) & (found.offload < 1)).all()
    rows = np.stack([found.tp, found.pp, found.ep, found.dp, found.cp, found.offload], axis=1)
    assert len(np.unique(rows, axis=0)) == len(found) > 0


@pytest.mark.parametrize("case", CASES)
def test_every_legal_layout_of_the_count_is_a_candidate(case):
    found = tried(*case)
    ops, part = operators(load_model(case[0])), device(load_accelerator(case[1]))
    known = layouts_of(ops, part, case[2], context=True)
    mine = set(
        zip(*(getattr(found, n)[found.offload == 0].tolist() for n in ("tp", "pp", "ep", "dp", "cp")), strict=True)
    )
    assert mine >= set(zip(*(getattr(known, n).tolist() for n in ("tp", "pp", "ep", "dp", "cp")), strict=True))
    # beside them only the pure ones, which may be illegal
    code = legal(ops, part, found.tp, found.pp, found.ep, found.dp, found.cp)
    pure = np.logical_or.reduce([by_name[name].belongs(found) for name in (*PURE, "expert", "offload")])
    assert pure[code != 0].all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PURE)
def test_pure_strategies_have_one_layout_of_one_kind(case, name):
    layout = members(name, case)
    assert len(layout["tp"]) == 1
    for field in ("tp", "pp", "dp", "cp"):
        assert layout[field][0] == (case[2] if field == PURE[name] else 1)
    assert (layout["ep"][0], layout["offload"][0]) == (1, 0)


@pytest.mark.parametrize("case", CASES)
def test_pure_experts_are_spread_over_every_device_and_nothing_else_is(case):
    layout = members("expert", case)
    if not operators(load_model(case[0])).experts or case[2] == 1:
        assert not len(layout["tp"])
        return
    dies = device(load_accelerator(case[1])).engine_devices
    assert [layout[n].tolist() for n in ("tp", "pp", "ep", "dp", "cp")] == [[1], [1], [case[2] * dies], [case[2]], [1]]
    assert layout["offload"] == 0


@pytest.mark.parametrize("case", CASES)
def test_hybrids_are_what_their_names_say(case):
    both = members("hybrid 3d", case)
    assert (both["tp"] > 1).all() and (both["pp"] > 1).all()
    assert (both["ep"] == 1).all() and (both["cp"] == 1).all() and (both["offload"] == 0).all()
    both = members("hybrid expert + tensor", case)
    assert (both["tp"] > 1).all() and (both["ep"] > 1).all() and (both["pp"] == 1).all() and (both["cp"] == 1).all()
    both = members("hybrid context + tensor", case)
    assert (both["tp"] > 1).all() and (both["cp"] > 1).all() and (both["pp"] == 1).all()
    both = members("hybrid pipeline + offload", case)
    assert (both["pp"] > 1).all() and (both["offload"] > 0).all() and (both["cp"] == 1).all()
    assert len(members("hybrid best", case)["tp"]) == len(tried(*case))


@pytest.mark.parametrize("case", CASES)
def test_weights_wait_only_where_a_slower_memory_is_known(case):
    layout = members("offload", case)
    assert (layout["tp"] == 1).all() and (layout["pp"] == 1).all() and (layout["dp"] == case[2]).all()
    assert (layout["ep"] == 1).all() and (layout["cp"] == 1).all()
    known = device(load_accelerator(case[1])).offload is not None
    # where none is known one remains, to say why it cannot be
    assert sorted(layout["offload"]) == (list(OFFLOADS[1:]) if known else [OFFLOADS[-1]])
    assert known or (members("hybrid pipeline + offload", case)["tp"].size == 0)
