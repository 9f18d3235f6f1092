"""Families of devices: members against devices built from files, bad ranges, the front by its definition."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.decide.whatif.axes import MOST_MEMBERS, axes_of
from inferatlas.decide.whatif.family import OBJECTIVES, Family, on_front
from inferatlas.decide.whatif.whatif import whatif
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

OWN = Path(__file__).parents[3] / "docs" / "examples" / "my-accelerator.yaml"
LOAD = {"isl": 1024, "osl": 256, "concurrency": 16}


def family(*vary: str, device: str = "h100", by=("latency", "energy"), model: str = "llama-3.1-8b", **more) -> Family:
    found = whatif(device, model=model, vary=vary, by=by, **({} if "request_rate" in more else LOAD), **more).family
    assert found is not None
    return found


def test_members_are_devices_of_those_facts(tmp_path: Path):
    """Built from files, each with its own facts; the rating as the files say it, since power is varied."""
    found = family(
        "mem.hbm.bandwidth=4TB/s..8TB/s:3", "mem.hbm.capacity=60GB..144GB:2", "power.tdp=700W..900W:2", device=str(OWN)
    )
    assert len(found.members) == 12
    for member in found.members:
        text = OWN.read_text()
        for old, new in (
            ("value: 6, unit: TB/s", f"value: {member.parameters['mem.hbm.bandwidth'] / 1e12}, unit: TB/s"),
            ("value: 144, unit: GB", f"value: {member.parameters['mem.hbm.capacity'] / 1e9}, unit: GB"),
            ("value: 900, unit: W", f"value: {member.parameters['power.tdp']}, unit: W"),
        ):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "member.yaml").write_text(text)
        known = ask("llama-3.1-8b", str(tmp_path / "member.yaml"), count=1, tp=1, **LOAD)
        for metric in ("ttft_s", "latency_s", "output_tokens_per_s", "power_w"):
            assert member.metrics[metric] == pytest.approx(known.metrics[metric].value, rel=1e-9), metric


def test_peaks_and_links_are_those_of_files(tmp_path: Path):
    found = family(
        "peak_bf16=600TFLOP/s..1200TFLOP/s:2", "link_bandwidth=0.5..1:2", "power=1..1:1", device=str(OWN), tp=4, count=4
    )
    for member in found.members:
        text = OWN.read_text()
        for old, new in (
            ("value: 1200, unit: TFLOPS", f"value: {member.parameters['peak_bf16'] / 1e12}, unit: TFLOPS"),
            ("value: 600, unit: GB/s", f"value: {600 * member.parameters['link_bandwidth']}, unit: GB/s"),
        ):
            text = text.replace(old, new)
        (tmp_path / "member.yaml").write_text(text)
        known = ask("llama-3.1-8b", str(tmp_path / "member.yaml"), count=4, tp=4, **LOAD)
        assert member.metrics["latency_s"] == pytest.approx(known.metrics["latency_s"].value, rel=1e-9)
        assert member.metrics["power_w"] == pytest.approx(known.metrics["power_w"].value, rel=1e-9)


def test_the_device_itself_is_the_member_in_the_middle():
    found = family("compute=0.5..1.5:3", "memory_bandwidth=0.5..1.5:3")
    own = whatif("h100", model="llama-3.1-8b", **LOAD).device
    middle = found.members[4]
    assert middle.parameters == {"compute": 1.0, "memory_bandwidth": 1.0}
    for metric in ("latency_s", "power_w", "joules_per_output_token"):
        assert middle.metrics[metric] == pytest.approx(own.metrics[metric].value)


def test_energy_per_operation_is_kept_unless_power_is_varied():
    """More compute that idles costs its watts only where it is busy; at a rating that stays it would cost nothing."""
    kept, stays = family("compute=1..4:2"), family("compute=1..4:2", "power=1..1:1")
    more_kept, more_stays = (f.members[-1].metrics["joules_per_output_token"] for f in (kept, stays))
    assert more_kept > more_stays
    assert any("energy per FLOP" in note for note in kept.notes) and not any("energy per" in n for n in stays.notes)
    assert sum(m.front for m in stays.members) == 1  # more of everything for nothing is best


def test_members_without_room_are_there_and_say_so():
    found = family("memory_capacity=0.1..1:2")
    assert [member.fits for member in found.members] == [False, True]
    assert found.members[0].metrics["latency_s"] is None and not found.members[0].front


def test_the_largest_family_is_one_pass():
    found = family("compute=0.5..2:100", "memory_bandwidth=0.5..2:100")
    assert len(found.members) == MOST_MEMBERS


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats(points):
    x, y = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    beaten = [
        any(a <= p and b <= q and (a < p or b < q) for a, b in points) for p, q in points
    ]  # fmt: skip
    assert (~on_front(x, y)).tolist() == beaten


def test_unknown_objectives_are_never_on_the_front():
    assert on_front(np.array([1.0, np.nan, np.nan]), np.array([1.0, 0.0, np.nan])).tolist() == [True, False, False]
    assert on_front(np.array([]), np.array([])).tolist() == []


@pytest.mark.parametrize("by", [("throughput", "power"), ("ttft", "cost"), ("itl", "latency")])
def test_fronts_by_other_objectives_know_their_directions(by):
    found = family("compute=0.5..2:4", "memory_bandwidth=0.5..2:4", by=by)
    first, second = (OBJECTIVES[name] for name in by)
    sign = -1 if by[0] == "throughput" else 1
    best = min(found.members, key=lambda m: (sign * m.metrics[first], m.metrics[second]))
    assert best.front


@pytest.mark.parametrize(
    "text",
    [
        "mem.hbm.bandwidth", "mem.hbm.bandwidth=2TB/s", "compute=1..2", "compute=1..2:x", "compute=1..2:0",
        "compute=2..1:3", "compute=1..1:3", "compute=1..2:1", "compute=0..2:3", "compute=-1..2:3", "compute=1..1e9:3",
        "mem.hbm.bandwidth=2..4:3", "mem.hbm.bandwidth=2GB..4GB:3", "mem.hbm.bandwidth=2TB/s..4GB:3",
        "compute=1..2TFLOP/s:2", "memory_bandwidth=1..2:20000", "compute=nan..2:3", "compute=1..inf:3", "=1..2:3",
    ],
)  # fmt: skip
def test_ranges_that_are_none_are_refused_with_the_field(text: str):
    with pytest.raises(BadInput) as error:
        axes_of([text], bind("h100"))
    assert error.value.field is not None and error.value.field.startswith("vary")


def test_facts_that_no_prediction_uses_are_refused_with_those_that_one_does():
    for field in ("mem.hbm.bandwith", "peak_fp64", "peak_fp8", "mem.sram.capacity", "die_area"):
        with pytest.raises(UnknownName) as error:
            axes_of([f"{field}=1..2:2"], bind("h100"))
        assert error.value.field == "vary" and "mem.hbm.bandwidth" in str(error.value)
    assert axes_of(["peak_fp8=1PFLOP/s..2PFLOP/s:2"], bind("h100", weights="fp8"))[0].rates == ["fp8"]


def test_too_many_ranges_members_or_the_same_twice_are_refused():
    platform = bind("h100")
    for texts in (
        ["compute=1..2:2", "power=1..2:2", "memory_bandwidth=1..2:2", "memory_capacity=1..2:2"],
        ["compute=0.5..2:101", "memory_bandwidth=0.5..2:100"],
        ["compute=1..2:2", "peak_bf16=500TFLOP/s..900TFLOP/s:2"],
    ):
        with pytest.raises(BadInput) as error:
            axes_of(texts, platform)
        assert error.value.field == "vary"


def test_objectives_about_which_nothing_is_known_are_refused():
    with pytest.raises(BadInput) as error:
        family("compute=1..2:2", device=str(OWN), by=("latency", "cost"))
    assert error.value.field == "by"
    for by in (("latency",), ("latency", "latency"), ("latency", "energy", "cost"), ("latency", "speed")):
        with pytest.raises(BadInput) as error:
            family("compute=1..2:2", by=by)
        assert error.value.field == "by"
