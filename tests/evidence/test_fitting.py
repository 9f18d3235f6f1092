"""The fit finds coefficients that made a table, whatever single figures of it say."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.evidence import fitting
from inferatlas.evidence.answers import answers
from inferatlas.evidence.calibration import level_names
from inferatlas.evidence.fitting import COEFFICIENTS, POWER, Fit, entry_values, fit, scales, tuned
from inferatlas.evidence.hierarchy import Tree
from inferatlas.evidence.observations import Observations, observations, power_observations
from inferatlas.evidence.questions import Questions, questions
from inferatlas.evidence.table import METRICS, conform, read_table
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.coefficients import LOGIT, TUNED, from_link, levels, to_link

SHARED = Path(__file__).parents[3] / "shared" / "measured" / "calibration.parquet"
SHIFTED = {"nvidia-h200-sxm": ("memory_efficiency", -0.8), "sglang": ("step_s", 0.7)}  # on the links
BATCHES = (1.0, 4.0, 32.0, 128.0)
HELD_OUT = (12.0,)


def table(batches: tuple[float, ...] = BATCHES, **columns: object) -> pl.DataFrame:
    """Two accelerators x two engines x two models at several loads."""
    at = [
        (model, part, engine, c)
        for model in ("llama-3.1-8b", "qwen3-14b")
        for part in ("nvidia-h100-sxm", "nvidia-h200-sxm")
        for engine in ("vllm", "sglang")
        for c in batches
    ]
    rows = {
        "model": [m for m, *_ in at], "accelerator": [a for _, a, *_ in at], "engine": [e for *_, e, _ in at],
        "concurrency": [c for *_, c in at], "accelerators": 1.0, "weights": "bf16", "source": "a test",
        "load": "closed_loop", "input_tokens": 1024.0, "output_tokens": 256.0, **dict.fromkeys(METRICS, 1.0),
    }  # fmt: skip
    return conform(pl.DataFrame(rows | columns, strict=False))


def truth(asked: Questions) -> dict[str, Floats]:
    """Coefficients per entry with which the figures are made."""
    out = {}
    for name in TUNED:
        link = to_link(name, entry_values(asked, name))
        for e, entry in enumerate(asked.entries):
            for level in (entry["accelerator"], entry["engine"]):
                coefficient, shift = SHIFTED.get(level, ("", 0.0))
                link[e] += shift * (coefficient == name)
        out[name] = from_link(name, link)
    return out


def made(batches: tuple[float, ...] = BATCHES, **columns: object) -> tuple[Questions, dict[str, Floats]]:
    """Questions whose figures are those of the shifted coefficients."""
    plain = questions(table(batches, **columns), NOTHING)
    found = answers(plain, truth(plain))
    frame = plain.frame.with_columns(pl.Series(name, found[name]) for name in METRICS)
    return questions(frame, NOTHING), found


def quick(asked: Questions, seen: Observations, rounds: int = 7) -> Fit:
    """A fit of all but power; seven rounds are near enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "ROUNDS", rounds)
        return fit(asked, seen, level_names(asked), COEFFICIENTS)


@cache
def fitted() -> tuple[Questions, Observations, Fit]:
    asked, _ = made()
    seen = observations(asked)
    return asked, seen, quick(asked, seen)


def coefficients(asked: Questions, solution: Fit) -> dict[str, Floats]:
    return tuned(solution.names, solution.links, {name: entry_values(asked, name) for name in solution.names})


def test_figures_without_noise_are_met():
    asked, seen, solution = fitted()
    before = np.abs(np.expm1(seen.predicted(answers(asked)) - seen.log))
    after = np.abs(np.expm1(seen.predicted(answers(asked, coefficients(asked, solution))) - seen.log))
    assert before.max() > 0.10
    assert np.median(after) < 0.01
    assert after.max() < 0.02


def test_a_load_that_was_not_measured_is_predicted():
    asked, _, solution = fitted()
    new, expected = made(HELD_OUT)
    assert new.entries == asked.entries
    found = answers(new, coefficients(asked, solution))
    plain = answers(new)
    for name in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s"):
        assert np.abs(found[name] / expected[name] - 1).max() < 0.03, name
    assert np.abs(plain["itl_s"] / expected["itl_s"] - 1).max() > 0.05


def test_effects_go_where_the_difference_is():
    asked, _, solution = fitted()
    memory = solution.names.index("memory_efficiency")
    at = {name: i for i, name in enumerate(solution.tree.levels)}
    h200, h100 = (solution.effects[at[f"accelerator:nvidia-{name}-sxm"], memory] for name in ("h200", "h100"))
    assert h200 < -0.1 and h200 < h100 - 0.2
    # what differs between engines goes to several levels of the engine; their sum counts
    step = solution.links[:, solution.names.index("step_s")]
    engine = np.array([entry["engine"] for entry in asked.entries])
    assert (step[engine == "sglang"] > step[engine == "vllm"] + 0.1).all()


def test_links_are_priors_and_effects():
    asked, _, solution = fitted()
    tree = solution.tree
    for e in range(len(asked.entries)):
        total = (
            solution.prior[e] + sum(solution.effects[i] for i in tree.members[e]) + solution.case_effects[tree.case[e]]
        )
        assert solution.links[e] == pytest.approx(total, nan_ok=True)


def test_one_gross_error_moves_nothing():
    asked, seen, solution = fitted()
    clean = answers(asked, coefficients(asked, solution))
    for wrong in (0, len(seen.row) - 2):  # a TTFT, an ITL
        log = seen.log.copy()
        log[wrong] += np.log(10.0)
        other = Observations(seen.row, seen.entry, seen.metric, seen.kind, log, seen.weight)
        again = quick(asked, other)
        found = answers(asked, coefficients(asked, again))
        for name in ("ttft_s", "itl_s"):
            assert np.abs(found[name] / clean[name] - 1).max() < 0.01, (wrong, name)


def test_the_same_table_gives_the_same_fit():
    asked, seen, solution = fitted()
    again = quick(asked, seen)
    assert np.array_equal(again.links, solution.links)
    assert np.array_equal(again.effects, solution.effects)
    assert np.array_equal(again.leaving.inverse, solution.leaving.inverse)


def test_priors_that_are_right_stay():
    plain = questions(table(), NOTHING)
    found = answers(plain)
    asked = questions(plain.frame.with_columns(pl.Series(name, found[name]) for name in METRICS), NOTHING)
    solution = quick(asked, observations(asked), rounds=3)
    assert np.abs(solution.effects).max() < 1e-6
    assert np.abs(solution.case_effects).max() < 1e-6


def test_figures_of_no_weight_are_not_heard():
    asked, seen, _ = fitted()
    mine = asked.frame["model"].to_numpy()[seen.row] == "qwen3-14b"
    found = []
    for factor in (1.0, 5.0):
        other = Observations(
            seen.row, seen.entry, seen.metric, seen.kind, seen.log, np.where(mine, 1e-12 * factor, seen.weight)
        )
        found.append(quick(asked, other, rounds=4))
    at = found[0].tree.levels.index("model:qwen3-14b")
    assert np.abs(found[0].effects[at]).max() < 1e-6
    assert found[0].effects == pytest.approx(found[1].effects, abs=1e-6)


def test_power_is_fitted_with_times_held():
    asked, found = made()
    watts = asked.frame.with_columns(power_w=pl.Series(found["power_w"]) * 1.05)
    asked = questions(watts, NOTHING)
    seen = power_observations(asked)
    fixed = truth(asked)
    solution = fit(asked, seen, level_names(asked), POWER, fixed=fixed)
    after = answers(asked, {**fixed, **coefficients(asked, solution)})
    assert np.abs(np.expm1(seen.predicted(after) - seen.log)).max() < 0.02
    for name in ("ttft_s", "itl_s"):
        assert after[name] == pytest.approx(found[name], rel=1e-12)


def test_a_group_left_out_leans_on_the_rest():
    _, _, solution = fitted()
    tree = solution.tree
    case = next(i for i, name in enumerate(tree.cases) if "qwen3-14b/nvidia-h200-sxm/sglang" in name)
    links = solution.without([[case]])
    own = tree.case == case
    assert np.array_equal(links[~own], solution.links[~own])
    memory = solution.names.index("memory_efficiency")
    # its accelerator is known from other engines and models, so most of the shift is still there
    shift = links[own, memory] - solution.prior[own, memory]
    full = solution.links[own, memory] - solution.prior[own, memory]
    assert (shift < 0.5 * full).all()
    assert not np.allclose(links[own], solution.links[own], atol=1e-3)


def test_progress_counts_rounds(monkeypatch: pytest.MonkeyPatch):
    asked, seen, _ = fitted()
    monkeypatch.setattr(fitting, "ROUNDS", 2)
    told: list[int] = []
    fit(asked, seen, level_names(asked), POWER, progress=told.append)
    assert told == [0, 1]


def test_coefficients_that_are_0_stay_0_and_the_others_stay_possible():
    values = {"memory_efficiency": np.array([0.8, 0.8]), "routing_s": np.array([0.0, 1e-5])}
    links = np.stack([to_link(name, value) for name, value in values.items()], axis=1)
    out = tuned(tuple(values), links + 50.0, values)
    assert out["routing_s"][0] == 0.0 and out["routing_s"][1] > 1.0
    assert (out["memory_efficiency"] <= 1.0).all() and (out["memory_efficiency"] > 0.8).all()
    same = tuned(tuple(values), links, values)
    for name, value in values.items():
        assert same[name] == pytest.approx(value)


def test_every_level_and_coefficient_has_a_prior_scale():
    names = levels(
        architectural_class="gpu_simt", vendor="NVIDIA", accelerator="a", engine="e", era="2025", version="1",
        weights="bf16", compute="bf16", model="m", source="s", drafted=True,
    )  # fmt: skip
    other = levels(
        architectural_class="lpu", vendor="Groq", accelerator="b", engine="e", era="2025", weights="bf16",
        compute="bf16", model="m",
    )  # fmt: skip
    tree = Tree.of([names, other])
    for chosen in (COEFFICIENTS, POWER):
        level, case = scales(tree, chosen)
        assert level.shape == (len(tree.levels), len(chosen)) and case.shape == (len(chosen),)
        assert (level > 0).all() and (case > 0).all()
    level, _ = scales(tree, COEFFICIENTS)
    at = tree.levels.index
    per = np.array(list(COEFFICIENTS.values()))
    assert level[at("class:lpu")] == pytest.approx(fitting.OTHER_CLASS * per)
    assert level[at("class:gpu_simt")] == pytest.approx(fitting.LEVELS["class"] * per)
    # speculative decoding changes how many tokens a step yields and nothing else
    drafted = dict(zip(COEFFICIENTS, level[at("drafted:m/e@1")], strict=True))
    assert drafted.pop("accepted") == fitting.DRAFTED["accepted"]
    assert max(drafted.values()) < 1e-3


def test_every_coefficient_of_the_model_is_fitted_once():
    assert sorted([*COEFFICIENTS, *POWER]) == sorted(TUNED)
    assert set(LOGIT) < set(COEFFICIENTS)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared table of measured points is not here")
def test_the_linearised_solution_without_a_group_is_that_of_a_fit_without_its_rows():
    """All vLLM rows on three accelerators, a real refit without one group: about half a minute."""
    parts = ["nvidia-h100-sxm", "nvidia-h200-sxm", "nvidia-b200-sxm"]
    whole = read_table(SHARED).filter(pl.col("engine") == "vllm", pl.col("accelerator").is_in(parts))
    group = ("nvidia-h100-sxm", "vllm", "llama-3.3-70b")  # also known as llama-3.1-70b

    def solved(frame: pl.DataFrame) -> tuple[Questions, Fit]:
        asked = questions(frame, NOTHING)
        return asked, quick(asked, observations(asked), rounds=4)

    asked, full = solved(whole)
    keys = [(p.device.id, p.engine.name, a.ops.model.id) for a in asked.asked for p in a.platforms]
    own = np.array([key == group for key in keys])
    rows = own[asked.entry]
    assert rows.sum() > 50
    _, refit = solved(whole.filter(~pl.col("row_id").is_in(asked.frame.filter(pl.Series(rows))["row_id"].to_list())))
    at = {name: i for i, name in enumerate(refit.tree.levels)}
    links, names = full.prior.copy(), level_names(asked)
    for e in np.flatnonzero(own):
        links[e] += refit.effects[[at[name] for name in names[e] if name in at]].sum(axis=0)
    values = {name: entry_values(asked, name) for name in full.names}
    cases = sorted(set(full.tree.case[own]))
    linearised, again, seen = (
        answers(asked, tuned(full.names, x, values))["itl_s"][rows] for x in (full.without([cases]), links, full.links)
    )
    assert np.nanmedian(np.abs(linearised / again - 1)) < 0.03
    # which says something, because the fit that saw the group is farther away
    assert np.nanmedian(np.abs(linearised / again - 1)) < 0.5 * np.nanmedian(np.abs(seen / again - 1))
