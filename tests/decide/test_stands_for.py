"""Where one model of the catalogue answers for another checkpoint, every answer says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

import inferatlas

NAME = "llama-3.1-70b"
SAID = "stands for meta-llama/Llama-3.1-70B-Instruct"


def traced(model: str, folder: Path) -> list[str]:
    file = folder / "trace.csv"
    rows = [f"{i},1000,100" for i in range(20)]
    file.write_text("\n".join(["arrival_s,input_tokens,output_tokens", *rows]), encoding="utf-8")
    return inferatlas.profile(model, file, accelerator="h200").assumptions


ANSWERS: dict[str, Callable[[str, Path], list[str]]] = {
    "predict": lambda m, _: inferatlas.predict(m, "h200", concurrency=1, isl=64, osl=64).fallbacks,
    "recommend": lambda m, _: inferatlas.recommend(m, accelerators="h200", concurrency=1, isl=64, osl=64).notes,
    "regimes": lambda m, _: inferatlas.regimes(m, regimes="single-stream", accelerators="h200").assumptions,
    "scale": lambda m, _: inferatlas.scale(m, "h200", count=2).assumptions,
    "crossover": lambda m, _: inferatlas.crossover(m, "h200", values=[1, 2]).assumptions,
    "variance": lambda m, _: inferatlas.variance(m, "h200", concurrency=1, isl=64, osl=64).assumptions,
    "profile": traced,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_checkpoint_asked_for_is_named(name: str, tmp_path: Path):
    assert sum(SAID in line for line in ANSWERS[name](NAME, tmp_path)) == 1
    assert not any("stands for" in line for line in ANSWERS[name]("llama-3.3-70b", tmp_path))
