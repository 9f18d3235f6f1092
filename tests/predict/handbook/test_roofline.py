"""Section 16: the 24 conformance vectors (check O), and what the plain roofline is and is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model, model_ids, models
from inferatlas.errors import NotModelled
from inferatlas.predict.handbook.roofline import Peaks, Shape, decode_step, fits, prefill_step, ring_all_reduce
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.performance.collectives import ring

PARTS = {
    "A100-80G": Peaks(312e12, 2039e9, 80e9, 300e9),
    "H100-SXM": Peaks(989e12, 3350e9, 80e9, 450e9),
    "MI300X": Peaks(1307e12, 5300e9, 192e9, 448e9),
    "SRAM-wafer": Peaks(12500e12, 21e15, 44e9, 2000e9),
    "SRAM-chip": Peaks(188e12, 80e12, 0.23e9, 330e9),
}
MODELS = {"70b": "llama-2-70b", "8b": "llama-3.1-8b"}
# number, model, part, batch, context, devices; prefill and decode step in ms; does it fit
VECTORS = [
    (1, "8b", "A100-80G", 1, 1024, 1, 46.6974, 7.42694, True),
    (2, "8b", "A100-80G", 32, 1024, 1, 1494.32, 9.46753, True),
    (3, "8b", "A100-80G", 128, 1024, 1, 5977.26, 15.7868, True),
    (4, "8b", "A100-80G", 1, 32768, 1, 2368.18, 9.46753, True),
    (5, "8b", "H100-SXM", 1, 1024, 1, 14.7316, 4.52046, True),
    (6, "8b", "H100-SXM", 32, 4096, 1, 1992.27, 9.60871, True),
    (7, "8b", "H100-SXM", 128, 2048, 1, 3842.31, 14.737, True),
    (8, "8b", "H100-SXM", 1, 32768, 1, 747.091, 5.76247, True),
    (9, "8b", "MI300X", 1, 1024, 1, 11.1473, 2.85727, True),
    (10, "8b", "MI300X", 64, 4096, 1, 3015.09, 9.31492, True),
    (11, "8b", "MI300X", 128, 8192, 1, 12921.7, 28.7638, True),
    (12, "70b", "A100-80G", 1, 1024, 4, 127.813, 17.864, True),
    (13, "70b", "A100-80G", 32, 4096, 8, 9477.61, 13.7872, True),
    (14, "70b", "H100-SXM", 1, 1024, 2, 77.8538, 20.8873, True),
    (15, "70b", "H100-SXM", 1, 1024, 8, 30.5713, 7.39056, True),
    (16, "70b", "H100-SXM", 64, 4096, 8, 7388.45, 11.2255, True),
    (17, "70b", "H100-SXM", 128, 2048, 8, 7299.51, 11.8779, True),
    (18, "70b", "H100-SXM", 8, 32768, 8, 8633.6, 10.6546, True),
    (19, "70b", "MI300X", 1, 1024, 1, 108.311, 25.9928, True),
    (20, "70b", "MI300X", 32, 4096, 8, 3127.87, 6.82183, True),
    (21, "8b", "SRAM-wafer", 1, 1024, 1, 1.16557, 0.0012437, True),
    (22, "8b", "SRAM-wafer", 16, 8192, 1, 168.886, 0.0247095, True),
    (23, "8b", "SRAM-chip", 1, 1024, 8, 13.4303, 0.922442, False),
    (24, "70b", "SRAM-chip", 1, 1024, 8, 110.599, 2.46915, False),
]


@pytest.mark.parametrize(
    ("model", "part", "batch", "context", "devices", "prefill", "decode", "fit"),
    [row[1:] for row in VECTORS],
    ids=[f"vector_{row[0]}" for row in VECTORS],
)
def test_o_conformance(model, part, batch, context, devices, prefill, decode, fit):
    shape, peaks = Shape.of(load_model(MODELS[model])), PARTS[part]
    # printed to six digits: half a unit of the last one is up to 5e-6 of the value
    assert decode_step(shape, peaks, batch, context, devices) * 1e3 == pytest.approx(decode, rel=1e-5)
    assert prefill_step(shape, peaks, batch, context, devices) * 1e3 == pytest.approx(prefill, rel=1e-5)
    assert bool(fits(shape, peaks, batch, context, devices)) is fit


def test_o_all_vectors_in_one_call():
    rows = [row for row in VECTORS if row[1] == "8b"]
    peaks = Peaks(*(np.array([getattr(PARTS[row[2]], name) for row in rows]) for name in Peaks.__slots__))
    batch, context, devices = (np.array([row[i] for row in rows]) for i in (3, 4, 5))
    shape = Shape.of(load_model("llama-3.1-8b"))
    expected = [row[7] * 1e-3 for row in rows]
    assert decode_step(shape, peaks, batch, context, devices) == pytest.approx(np.array(expected), rel=1e-5)


def plain(name):
    model = models()[name]
    return not (model.encoder or model.embeds or any(g.recurrence for g in model.layers))


@pytest.mark.parametrize("name", [name for name in model_ids() if not plain(name)])
def test_what_is_no_decoder_with_attention_is_refused(name):
    with pytest.raises(NotModelled, match="attention of decoders only"):
        Shape.of(models()[name])


@pytest.mark.parametrize("name", [name for name in model_ids() if plain(name)])
def test_every_decoder_with_attention_has_a_plain_baseline(name):
    shape, peaks = Shape.of(models()[name]), PARTS["H100-SXM"]
    assert 0 < shape.active <= shape.weights
    one, many = decode_step(shape, peaks, 1, 1024), decode_step(shape, peaks, 256, 1024)
    assert 0 < one < many
    assert prefill_step(shape, peaks, 1, 1024) < prefill_step(shape, peaks, 1, 2048)


def test_of_routed_experts_it_reads_those_of_one_token_then_all():
    shape = Shape.of(load_model("mixtral-8x7b"))
    peaks = Peaks(1e30, 1.0, 1.0, 1.0)
    one, many = (float(decode_step(shape, peaks, b, 0)) / 2 - shape.head for b in (1, 1000))
    assert one == shape.active
    assert many == shape.weights
    assert distinct_uniform(8, 2, 3) < 3 * 2  # so it is an upper bound of what a step touches


@given(st.integers(2, 64), st.floats(1, 1e10))
def test_its_all_reduce_is_equation_19(n, size):
    assert ring_all_reduce(n, size, 450e9) == pytest.approx(float(ring("all_reduce", n, size, 1e-6, 450e9)))


def test_peaks_come_from_the_catalogue_and_unknown_links_stay_unknown():
    h100 = Peaks.of(device(load_accelerator("nvidia-h100-sxm")))
    assert (h100.flop_per_s, h100.bytes_per_s, h100.link) == (989.4e12, 3.35e12, 450e9)
    shape = Shape.of(load_model("llama-3.1-8b"))
    unknown = Peaks.of(device(load_accelerator("aws-inferentia-2")))
    assert np.isnan(decode_step(shape, unknown, 1, 1024, 2))
    assert decode_step(shape, unknown, 1, 1024, 1) > 0
    with pytest.raises(KeyError):
        Peaks.of(device(load_accelerator("nvidia-a100-80gb-sxm")), "fp8")
