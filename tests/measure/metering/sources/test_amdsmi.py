"""AMD cards as they answer: dies, partitions, counters that are not to be trusted; the package is a stand-in."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.amdsmi import INTERFACE, open_source
from inferatlas.measure.metering.sources.amdsmi_errors import FAULTS

MI250 = {"market": "AMD Instinct MI250X", "current": "N/A"}
PRIMARY, SECONDARY = MI250 | {"average": 89, "count": 10**9}, MI250 | {"average": 0, "count": 0, "cap": 0}


def kinds(source: Any) -> list[tuple[Any, ...]]:
    return [(one.device, one.quantity, one.semantics, one.scope.label) for one in source.channels]


def values(source: Any) -> list[float]:
    return [one.value for one in source.read()]


def faults(source: Any) -> list[str]:
    return [one.fault.code for one in source.read()]


def test_a_card_gives_power_and_energy(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", serial="692316000123")
    source = open_source()
    power, counter = source.channels
    assert kinds(source) == [
        ("692316000123", "power_w", "instant", "gpu"),
        ("692316000123", "energy_j", "counter", "gpu"),
    ]
    assert values(source) == [140.0, pytest.approx(15259.0)]
    assert (power.name, power.limit_w, power.quantum, power.window_s) == ("AMD Instinct MI300X #0", 750.0, 1.0, None)
    assert (counter.quantum, counter.wrap_j, counter.shared) == (15.259e-6, None, False)
    assert counter.update_s is None  # how often it moves is documented nowhere
    assert source.notes == ()


def test_a_card_without_serial_is_known_by_its_address(fake_amdsmi: Any) -> None:
    for n, serial in enumerate(("N/A", "", "0000000000", "unknown")):
        fake_amdsmi.add(f"0000:C{n}:00.0", serial=serial)
    assert {one.device for one in open_source().channels} == {f"0000:c{n}:00.0" for n in range(4)}


def test_average_power_serves_where_there_is_no_current_power(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", market="AMD Instinct MI210", current="N/A", average=55)
    source = open_source()
    assert (source.channels[0].semantics, source.channels[0].window_s) == ("average", None)
    assert values(source)[0] == 55.0


@pytest.mark.parametrize("nothing", ["N/A", 0xFFFF, 0xFFFFFFFF])
def test_power_that_is_not_available_is_a_fault(fake_amdsmi: Any, nothing: Any) -> None:
    die = fake_amdsmi.add("0000:c1:00.0")
    source = open_source()
    die.current = nothing
    assert faults(source) == ["not_available", "none"]
    for broken in ("140 W", None, True, [140], float("nan")):
        die.current = broken
        assert faults(source) == ["unreadable", "none"]
    assert all(math.isnan(one.value) for one in source.read()[:1])


@pytest.mark.parametrize("resolution", ["N/A", 0, -1.0, None, float("inf")])
def test_a_count_of_steps_of_unknown_size_is_no_energy(fake_amdsmi: Any, resolution: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    source = open_source()
    fake_amdsmi.amdsmi_get_energy_count = lambda die: {"energy_accumulator": 5, "counter_resolution": resolution}
    assert faults(source) == ["none", "unreadable"]


@pytest.mark.parametrize("answer", [None, [], "N/A", 7])
def test_a_package_that_does_not_fit_its_library_is_a_failure_and_does_not_raise(fake_amdsmi: Any, answer: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    source = open_source()
    fake_amdsmi.amdsmi_get_power_info = lambda die: answer
    fake_amdsmi.amdsmi_get_energy_count = lambda die: answer
    assert faults(source) == ["failed", "failed"]


def test_energy_is_the_count_times_its_resolution_under_both_names(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", count=2**40)
    fake_amdsmi.add("0000:c2:00.0", count=2**40, count_key="power")
    source = open_source()
    assert values(source)[1::2] == pytest.approx([2**40 * 15.259e-6] * 2)


@pytest.mark.parametrize("order", [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)])
def test_two_dies_of_one_board_are_one_card(fake_amdsmi: Any, order: tuple[dict[str, Any], ...]) -> None:
    for n, die in enumerate(order):
        fake_amdsmi.add(f"0000:c{n}:00.0", serial="S1", **die)
    source = open_source()
    assert kinds(source) == [("S1", "power_w", "average", "gpu"), ("S1", "energy_j", "counter", "gpu")]
    assert values(source) == [89.0, pytest.approx(15259.0)]
    assert source.channels[0].limit_w == 750.0


def test_both_dies_are_never_added(fake_amdsmi: Any) -> None:
    for n in range(2):
        fake_amdsmi.add(f"0000:c{n}:00.0", serial="S1", **PRIMARY)
    source = open_source()
    assert values(source) == [89.0, pytest.approx(15259.0)]
    assert "0000:c1:00.0 on the board of 0000:c0:00.0 answers as well and is not read" in source.notes[0]


def test_a_second_die_without_serial_is_left_out(fake_amdsmi: Any) -> None:
    for card in range(4):
        fake_amdsmi.add(f"0000:c{card}:00.0", serial=f"S{card}", **PRIMARY)
        fake_amdsmi.add(f"0000:d{card}:00.0", **SECONDARY)
    source = open_source()
    assert [device for device, quantity, *_ in kinds(source) if quantity == "power_w"] == ["S0", "S1", "S2", "S3"]
    assert [note.partition(" ")[0] for note in source.notes] == [f"0000:d{card}:00.0" for card in range(4)]


def test_a_die_that_may_not_be_read_is_not_taken_for_a_second_one(fake_amdsmi: Any) -> None:
    errors = {"amdsmi_get_power_info": 10, "amdsmi_get_energy_count": 10}
    fake_amdsmi.add("0000:c0:00.0", errors=errors, **PRIMARY)
    with pytest.raises(Unavailable, match=r"no power \(permission_denied\)") as caught:
        open_source()
    assert "second die" not in str(caught.value)


def test_a_serial_that_many_boards_share_is_no_identity(fake_amdsmi: Any) -> None:
    for card in range(8):
        fake_amdsmi.add(f"0000:{card:02x}:00.0", serial="To be filled by O.E.M.")
    assert len({one.device for one in open_source().channels}) == 8


def test_partitions_of_a_card_are_one_card(fake_amdsmi: Any) -> None:
    for card in range(2):
        fake_amdsmi.add(f"0000:c{card}:00.0")
        for partition in range(1, 8):
            errors = {"amdsmi_get_power_info": 2, "amdsmi_get_energy_count": 2}
            fake_amdsmi.add(f"0000:c{card}:00.{partition}", errors=errors)
    source = open_source()
    assert values(source) == [140.0, pytest.approx(15259.0)] * 2
    assert source.notes == ()


def test_a_package_with_a_cpu_is_a_module(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", market="AMD Instinct MI300A")
    fake_amdsmi.add("0000:c2:00.0", market="AMD Instinct MI300A")
    source = open_source()
    assert {one.scope for one in source.channels} == {Scope.MODULE}
    assert not any(one.shared for one in source.channels)  # every package is one device


def test_the_counter_of_mi100_is_not_read(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", market="AMD Instinct MI100", current="N/A", average=40)
    source = open_source()
    assert [one.quantity for one in source.channels] == ["power_w"]
    assert "https://github.com/ROCm/amdsmi/issues/38" in source.notes[0]


@pytest.mark.parametrize(
    ("version", "trusted"),
    [
        ({"year": 24, "major": 6, "minor": 3, "release": 0}, False),  # ROCm 6.2
        ({"year": 24, "major": 7, "minor": 1, "release": 0}, True),  # ROCm 6.3
        ({"major": 26, "minor": 0, "release": 2}, True),  # ROCm 7
        ({}, False),
    ],
)
def test_the_counter_is_read_from_rocm_6_3_on(fake_amdsmi: Any, version: dict[str, int], trusted: bool) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    fake_amdsmi.version = version
    source = open_source()
    assert [one.quantity for one in source.channels] == (["power_w", "energy_j"] if trusted else ["power_w"])
    assert bool(source.notes) != trusted
    assert all("https://github.com/ROCm/amdsmi/issues/22" in note for note in source.notes)


def test_a_version_that_cannot_be_asked_is_not_trusted(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    fake_amdsmi.errors["amdsmi_get_lib_version"] = 7
    assert [one.quantity for one in open_source().channels] == ["power_w"]


def test_a_guest_has_no_counter_and_reads_no_zero(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", errors={"amdsmi_get_energy_count": 2})
    source = open_source()
    assert [one.quantity for one in source.channels] == ["power_w"]
    assert source.notes == ("AMD Instinct MI300X #0: no energy counter (not_supported)",)


@pytest.mark.parametrize(("cap", "limit_w"), [(750_000_000, 750.0), (750, 750.0), (0, None), (0xFFFFFFFF, None)])
def test_the_cap_is_in_microwatts_or_in_watts(fake_amdsmi: Any, cap: int, limit_w: float | None) -> None:
    fake_amdsmi.add("0000:c1:00.0", cap=cap)
    assert {one.limit_w for one in open_source().channels} == {limit_w}


def test_a_cap_that_is_not_given_is_unknown(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", errors={"amdsmi_get_power_cap_info": 2})
    assert {one.limit_w for one in open_source().channels} == {None}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10, "permission_denied"),
        (31, "device_lost"),
        (34, "driver_gone"),
        (8, "timeout"),
        (43, "unreadable"),
        (99, "failed"),
    ],
)
def test_a_status_is_a_fault_and_leaves_the_other_cards(fake_amdsmi: Any, code: int, expected: str) -> None:
    die = fake_amdsmi.add("0000:c1:00.0")
    fake_amdsmi.add("0000:c2:00.0")
    source = open_source()
    die.errors = {"amdsmi_get_power_info": code, "amdsmi_get_energy_count": code}
    assert faults(source) == [expected, expected, "none", "none"]
    assert all(one.value != 0 for one in source.read())


def test_an_exception_without_code_is_a_failure(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    source = open_source()

    def broken(_die: Any) -> None:
        raise fake_amdsmi.AmdSmiException

    fake_amdsmi.amdsmi_get_energy_count = broken
    assert faults(source) == ["none", "failed"]


def test_codes_of_the_table_are_those_of_amd() -> None:
    # amdsmi.h names these, https://rocm.docs.amd.com/projects/amdsmi/en/docs-7.0.0/doxygen/docBin/html/amdsmi_8h.html
    assert set(FAULTS) == {*range(1, 21), *range(30, 35), *range(39, 57), 0xFFFFFFFE, 0xFFFFFFFF}


def test_times_are_taken_right_after_each_call(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    ticks = iter(range(100))
    assert [one.t_ns for one in open_source(clock=lambda: next(ticks)).read()] == [0, 1]


def test_a_processor_without_address_is_noted(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0", errors={"amdsmi_get_gpu_device_bdf": 31})
    fake_amdsmi.add("0000:c2:00.0")
    source = open_source()
    assert source.notes == ("processor 0 is not read (device_lost)",)
    assert {one.device for one in source.channels} == {"0000:c2:00.0"}


def test_the_library_is_given_back_once(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    source = open_source()
    assert fake_amdsmi.started == 1
    source.close()
    source.close()
    assert (fake_amdsmi.started, source.read()) == (0, [])


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (10, "does not let this user read", "render"),
        (34, "driver is not loaded", "/dev/kfd"),
        (7, "cannot start", "amdgpu"),
    ],
)
def test_a_library_that_does_not_start_says_why(fake_amdsmi: Any, code: int, message: str, hint: str) -> None:
    fake_amdsmi.errors["amdsmi_init"] = code
    with pytest.raises(Unavailable, match=message) as caught:
        open_source()
    assert hint in str(caught.value)
    assert "\t" not in str(caught.value)


def test_without_card_it_says_so_and_gives_the_library_back(fake_amdsmi: Any) -> None:
    with pytest.raises(Unavailable, match="lists no GPU"):
        open_source()
    assert fake_amdsmi.started == 0


@pytest.mark.parametrize(("code", "hint"), [(10, "groups render and video"), (2, "virtual machine")])
def test_cards_that_give_nothing_say_why(fake_amdsmi: Any, code: int, hint: str) -> None:
    fake_amdsmi.add("0000:c1:00.0", errors={"amdsmi_get_power_info": code, "amdsmi_get_energy_count": code})
    with pytest.raises(Unavailable, match="MI300X #0: no power") as caught:
        open_source()
    assert hint in str(caught.value)
    assert fake_amdsmi.started == 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(Unavailable, match="amdsmi is not installed") as caught:
        open_source()
    assert caught.value.hint == "pip install 'inferatlas[amd]'"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        # as amdsmi 7.0.2 does without its library
        ('print("Unable to find libamd_smi.so library")\n{}["libamd_smi.so"]', r"libamd_smi\.so is not installed"),
        ('raise AttributeError("undefined symbol: amdsmi_get_x")', "do not fit together: undefined symbol"),
    ],
)
def test_a_package_without_its_library_is_told_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, message: str
) -> None:
    (tmp_path / "amdsmi.py").write_text(body)
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable, match=message):
        open_source()
    assert capsys.readouterr() == ("", "")


def test_an_address_is_refused() -> None:
    with pytest.raises(BadInput, match="takes no address"):
        open_source("0000:c1:00.0")


def test_every_channel_is_of_a_kind_that_the_interface_offers(fake_amdsmi: Any) -> None:
    fake_amdsmi.add("0000:c1:00.0")
    fake_amdsmi.add("0000:c2:00.0", current="N/A", average=89)
    fake_amdsmi.add("0000:c3:00.0", market="AMD Instinct MI300A")
    offered = {(one.quantity, one.semantics, one.scope) for one in INTERFACE.offers}
    assert {(one.quantity, one.semantics, one.scope) for one in open_source().channels} == offered
