"""Odd questions over every kind of model, machine and technique: finite and sane answers, or a reason; no warning."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model, model_ids
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.answer import Answer
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.mapping.reasons import CODES
from inferatlas.predict.question import ask

PARTS = ["nvidia-h100-sxm", "google-tpu-v6e", "intel-gaudi-3", "aws-trainium-2", "groq-lpu-v1", "cerebras-wse-3",
         "sambanova-sn40l", "tenstorrent-blackhole-p150", "amd-mi250", "nvidia-l4"]  # fmt: skip
LAYOUTS = [{}, {}, {"tp": 2, "pp": 1}, {"tp": 3, "pp": 1}, {"tp": 1, "pp": 3}, {"cp": 2}, {"ep": 2}, {"count": 1}]
TECHNIQUES = [
    {}, {"speculate": "gamma=3,acceptance=0.6"}, {"speculate": "gamma=4,acceptance=0.7,draft=mamba-2.8b,width=2"},
    {"tier": "cxl:1TiB@64GB/s"}, {"tier": ["cxl:64GB@64GB/s", "nvme:8TB@12GB/s"], "kv_offload": 0.5},
    {"offload": 0.6}, {"kv_offload": 1.0}, {"kv_compression": 4.0}, {"kv_keep": 64, "kv_read": 16},
    {"prefix_tokens": 100}, {"images": 2}, {"images": 1, "image_size": "1x1", "speculate": "gamma=1,acceptance=1"},
]  # fmt: skip
LENGTHS = [{"isl": 1, "osl": 1}, {"isl": 128, "osl": 64}, {"isl": 128, "osl": 1}, {"isl": 1, "osl": 300}]
LOADS = [{"concurrency": 1}, {"concurrency": 64}, {"request_rate": 0.5}]


def sane(answer: Answer) -> None:
    assert answer.metrics["latency_s"] is not None and answer.bound and answer.batch and answer.batch > 0
    for name, one in answer.metrics.items():
        assert one is None or 0 < one.low <= one.value * (1 + 1e-12) <= one.high * (1 + 1e-9) < math.inf, name
    assert all(np.isfinite(row["seconds"]) and row["seconds"] > 0 for row in answer.breakdown)
    assert all(value >= 0 and (np.isfinite(value) or name == "sequences") for name, value in answer.memory.items())
    # no machine does more than it can; of an encoder-decoder a token meets one half, of experts its own
    held, part = count(load_model(answer.inputs["model"])), device(load_accelerator(answer.inputs["accelerator"]))
    peak = part.peaks[FORMATS[answer.inputs["compute"]].rate] * answer.inputs["count"]
    work = answer.inputs["workload"]
    if not work["prefix_tokens"]:
        rate = answer.metrics["total_tokens_per_s"].value
        tables = held.embedding + held.lm_head
        assert (
            rate * 2 * max(held.active - tables, 0) * (0.5 if load_model(answer.inputs["model"]).encoder else 1) < peak
        )


@settings(max_examples=150)
@given(st.sampled_from(model_ids()), st.sampled_from(PARTS), st.sampled_from(LAYOUTS), st.sampled_from(TECHNIQUES),
       st.sampled_from(LENGTHS), st.sampled_from(LOADS))  # fmt: skip
def test_any_question_has_a_sane_answer_or_a_reason(model, part, layout, technique, lengths, load):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            answer = ask(model, part, **layout, **technique, **lengths, **load)
        except (BadInput, NoFeasibleAnswer) as refused:
            assert refused.exit_code in (2, 3) and (refused.field or isinstance(refused, NoFeasibleAnswer))
            return
    if answer.fits:
        sane(answer)
    else:
        assert answer.reason is not None and answer.reason["code"] in CODES.values() and answer.reason["detail"]


@pytest.mark.parametrize("model", ["falcon-mamba-7b", "mamba2-2.7b", "rwkv-7-world-7.2b"])
@pytest.mark.parametrize("part", PARTS[::3])
def test_a_recurrent_model_takes_a_prompt_of_a_million(model, part):
    long, short = (ask(model, part, isl=isl, osl=100, concurrency=1) for isl in (1_000_000, 1000))
    assert long.fits and short.fits and long.inputs["layout"] == short.inputs["layout"]
    sane(long)
    assert long.memory["kv_bytes_per_sequence"] == short.memory["kv_bytes_per_sequence"]
    assert long.metrics["itl_s"].value == pytest.approx(short.metrics["itl_s"].value, rel=1e-6)
    assert long.metrics["ttft_s"].value > 100 * short.metrics["ttft_s"].value / 10
