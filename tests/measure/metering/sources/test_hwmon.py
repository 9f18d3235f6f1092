"""Sensors of the kernel mean what their driver documents; what it does not document has no scope and is never added."""

import math
from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable, key_of
from inferatlas.measure.metering.sources import hwmon


@pytest.fixture
def machine(tmp_path):
    """Adds a chip to a file system; its files beside the name, or with the device as drivers of the older kind do."""
    tree = tmp_path / "sys" / "class" / "hwmon"
    tree.mkdir(parents=True)

    def add(chip, place, files, older=False, of_device=()):
        number = len(list(tree.iterdir()))
        device = tmp_path / "sys" / "devices" / place
        device.mkdir(parents=True, exist_ok=True)
        folder = tree / f"hwmon{number}"
        folder.mkdir()
        (folder / "device").symlink_to(device)
        (folder / "name").write_text(f"{chip}\n")
        for name, value in files.items():
            at = device if older or name == "type" or name in of_device else folder
            (at / name).write_text(f"{value}\n")
        return folder

    add.root = tmp_path
    return add


def opened(machine):
    return hwmon.open_source(root=machine.root)


def described(source):
    return [(one.device, one.quantity, one.semantics, one.scope, one.part) for one in source.channels]


def values(source):
    return [one.value for one in source.read()]


def fails_with(monkeypatch, name, number):
    read = Path.read_bytes

    def read_bytes(path):
        if path.name == name:
            raise OSError(number, "as the driver says")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


def test_an_amd_card_gives_its_average_and_its_instant_power(machine):
    files = {"power1_average": 41_000_000, "power1_input": 45_000_000, "power1_cap": 750_000_000, "power1_label": "PPT"}
    machine("amdgpu", "0000:03:00.0", files)
    source = opened(machine)
    assert described(source) == [
        ("0000:03:00.0", "power_w", "average", Scope.GPU, ""),
        ("0000:03:00.0", "power_w", "instant", Scope.GPU, ""),
    ]
    assert [one.limit_w for one in source.channels] == pytest.approx([750.0, 750.0])
    assert source.channels[0].window_s is None  # the driver does not say over how long
    assert values(source) == pytest.approx([41.0, 45.0])


@pytest.mark.parametrize("mark", [{"in1_label": "vddnb"}, {"device": "0x74a0"}])
def test_an_amd_chip_with_a_cpu_is_a_module_as_amdsmi_says(machine, mark):
    machine("amdgpu", "0000:03:00.0", {"power1_input": 45_000_000} | mark, of_device=("device",))
    machine("amdgpu", "0000:04:00.0", {"power1_input": 45_000_000, "device": "0x74a1"}, of_device=("device",))
    assert [one.scope for one in opened(machine).channels] == [Scope.MODULE, Scope.GPU]


def test_the_second_die_of_a_card_gives_nothing_and_is_no_meter(machine):
    machine("amdgpu", "0000:03:00.0", {"power1_average": 89_000_000})
    machine("amdgpu", "0000:04:00.0", {"power1_average": 0})
    machine("pmbus", "7-0058", {"power1_input": 0})  # a supply in reserve
    source = opened(machine)
    assert [one.device for one in source.channels] == ["0000:03:00.0", "7-0058 1"]
    assert source.notes == (
        "amdgpu 0000:04:00.0 power1_average: 0 W, as of the second die of a card, whose first counts for both",
    )


def test_two_averages_of_one_chip_over_different_times_are_told_apart(machine):
    files = {"power1_average": 9_000_000, "power1_label": "slowPPT", "in1_label": "vddnb"}
    machine("amdgpu", "0000:03:00.0", files | {"power2_average": 11_000_000, "power2_label": "fastPPT"})
    assert described(opened(machine)) == [
        ("0000:03:00.0", "power_w", "average", Scope.MODULE, ""),
        ("0000:03:00.0 fastPPT", "power_w", "average", None, ""),
    ]


def test_of_two_files_the_one_that_the_card_does_not_support_is_left_out(machine, monkeypatch):
    machine("amdgpu", "0000:03:00.0", {"power1_average": 1, "power1_input": 45_000_000})
    fails_with(monkeypatch, "power1_average", 95)
    assert [one.semantics for one in opened(machine).channels] == ["instant"]


def test_an_intel_card_and_its_package_are_different_scopes_of_one_device(machine):
    files = {"energy1_input": 9_000_000, "energy2_input": 7_000_000, "energy1_label": "card", "energy2_label": "pkg"}
    machine("xe", "0000:05:00.0", files | {"power1_cap": 0})
    source = opened(machine)
    assert described(source) == [
        ("0000:05:00.0", "energy_j", "counter", Scope.BOARD, ""),
        ("0000:05:00.0", "energy_j", "counter", Scope.GPU, ""),
    ]
    assert values(source) == pytest.approx([9.0, 7.0])
    assert {one.limit_w for one in source.channels} == {None}  # 0 switches the limit off
    assert {one.wrap_j for one in source.channels} == {None}


def test_the_limit_of_a_card_is_the_largest_that_its_driver_names(machine):
    limits = {"power1_max": 190_000_000, "power1_rated_max": 200_000_000, "power1_cap": 240_000_000}
    machine("xe", "0000:05:00.0", {"energy1_input": 9, "energy2_input": 7, "power2_max": 150_000_000} | limits)
    assert [one.limit_w for one in opened(machine).channels] == pytest.approx([240.0, 150.0])
    machine("pmbus", "7-0058", {"power1_input": 9, "power1_max": 5})  # where an alarm is set
    assert opened(machine).channels[2].limit_w is None


def test_without_labels_the_number_says_which_is_the_package(machine):
    machine("xe", "0000:05:00.0", {"energy1_input": 9_000_000, "energy2_input": 7_000_000})
    assert [one.scope for one in opened(machine).channels] == [Scope.BOARD, Scope.GPU]


def test_tiles_of_an_intel_card_are_not_counted_beside_it(machine):
    machine("i915", "0000:05:00.0", {"energy1_input": 9_000_000})
    machine("i915_gt0", "0000:05:00.0", {"energy1_input": 4_000_000})
    machine("i915_gt1", "0000:05:00.0", {"energy1_input": 5_000_000})
    assert described(opened(machine)) == [("0000:05:00.0", "energy_j", "counter", Scope.BOARD, "")]


def test_zones_of_grace_are_the_module_and_parts_of_it(machine):
    zones = ("Module", "Grace", "CPU", "SysIO")
    for n, zone in enumerate(zones):
        files = {
            "power1_average": (n + 1) * 10**8,
            "power1_average_interval": 50,
            "power1_oem_info": f"{zone} Power Socket 0",
        }
        machine("power_meter", f"ACPI000D:0{n}", files, older=True)
    source = opened(machine)
    assert described(source) == [
        ("socket 0", "power_w", "average", Scope.MODULE, part) for part in ("", "cpu", "cpu_rail", "sysio")
    ]
    assert [one.window_s for one in source.channels] == pytest.approx([0.05] * 4)
    assert values(source) == pytest.approx([100.0, 200.0, 300.0, 400.0])


def test_sockets_of_grace_are_different_devices(machine):
    for n in (0, 1):
        files = {"power1_average": 10**8, "power1_oem_info": f"Grace Power Socket {n}"}
        machine("power_meter", f"ACPI000D:0{n}", files)
    assert [(one.device, one.part) for one in opened(machine).channels] == [("socket 0", "cpu"), ("socket 1", "cpu")]


def test_the_only_meter_of_the_acpi_is_taken_as_the_node(machine):
    machine("power_meter", "ACPI000D:00", {"power1_average": 640_000_000, "power1_average_interval": 1000}, older=True)
    (channel,) = opened(machine).channels
    assert (channel.scope, channel.semantics, channel.window_s, channel.shared) == (
        Scope.NODE_AC,
        "average",
        1.0,
        False,
    )


@pytest.mark.parametrize(("form", "scope"), [(23, Scope.NODE_AC), (28, Scope.NODE_DC), (25, None)])
def test_the_form_of_the_machine_says_what_its_meter_covers(machine, form, scope):
    machine("power_meter", "ACPI000D:00", {"power1_average": 640_000_000})
    (machine.root / "sys/class/dmi/id").mkdir(parents=True)
    (machine.root / "sys/class/dmi/id/chassis_type").write_text(f"{form}\n")
    assert [one.scope for one in opened(machine).channels] == [scope]


def test_several_meters_of_the_acpi_may_meter_anything(machine):
    for n in (0, 1):
        machine("power_meter", f"ACPI000D:0{n}", {"power1_average": 640_000_000})
    assert {(one.scope, one.shared) for one in opened(machine).channels} == {(None, True)}


def test_what_the_sensors_of_supplies_cover_is_unknown_and_is_not_added(machine):
    files = {"power1_input": 500_000_000, "power1_label": "pin", "power2_input": 470_000_000, "power2_label": "pout1"}
    machine("pmbus", "7-0058", files)
    source = opened(machine)
    assert [(one.device, one.scope, one.shared) for one in source.channels] == [
        ("7-0058 pin", None, True),
        ("7-0058 pout1", None, True),
    ]


def test_sensors_with_the_same_label_stay_apart(machine):
    files = {"power1_input": 1, "power1_label": "rail", "power2_input": 2, "power2_label": "rail"}
    machine("ina", "1-0040", files)
    assert [one.device for one in opened(machine).channels] == ["1-0040 rail power1", "1-0040 rail power2"]
    machine("ina", "1-0040", files | {"power1_cap": 7})  # one more chip at that place, with another limit
    assert len({key_of(one) for one in opened(machine).channels}) == 4


def test_counters_of_rapl_are_not_shown_twice(machine):
    machine("amd_energy", "amd_energy.0", {"energy1_input": 5_000_000, "energy1_label": "Esocket0"})
    with pytest.raises(Unavailable, match="no chip"):
        opened(machine)


@pytest.mark.parametrize(
    "files", [{"power1_input": 9, "type": "Battery"}, {"power1_average": 9, "power1_is_battery": 1}]
)
def test_a_battery_is_no_meter(machine, files):
    machine("BAT0", "BAT0", files)
    with pytest.raises(Unavailable):
        opened(machine)


def test_a_machine_without_sensors_says_which_drivers_have_some(machine, tmp_path):
    machine("coretemp", "coretemp.0", {"temp1_input": 40_000})
    for root in (machine.root, tmp_path / "nothing"):
        with pytest.raises(Unavailable) as caught:
            hwmon.open_source(root=root)
        assert "acpi_power_meter" in str(caught.value.hint)


def test_sensors_that_all_refuse_are_named_with_their_reasons(machine, monkeypatch):
    machine("amdgpu", "0000:03:00.0", {"power1_average": 1})
    fails_with(monkeypatch, "power1_average", 1)
    with pytest.raises(Unavailable, match=r"amdgpu 0000:03:00\.0 power1_average: permission_denied"):
        opened(machine)


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (61, Fault.NOT_AVAILABLE),
        (19, Fault.DEVICE_LOST),
        (110, Fault.TIMEOUT),
        (95, Fault.NOT_SUPPORTED),
        (5, Fault.FAILED),
    ],
)
def test_what_a_driver_answers_later_becomes_a_reason(machine, monkeypatch, number, fault):
    machine("amdgpu", "0000:03:00.0", {"power1_average": 41_000_000})
    source = opened(machine)
    fails_with(monkeypatch, "power1_average", number)
    (reading,) = source.read()
    assert (reading.fault, math.isnan(reading.value)) == (fault, True)


def test_a_card_that_is_unplugged_is_lost_and_the_other_goes_on(machine):
    machine("i915", "0000:05:00.0", {"energy1_input": 9_000_000})
    gone = machine("i915", "0000:06:00.0", {"energy1_input": 3_000_000})
    source = opened(machine)
    (gone / "energy1_input").unlink()
    assert [one.fault for one in source.read()] == [Fault.NONE, Fault.DEVICE_LOST]
    source.close()
    source.close()


def test_an_address_is_refused():
    with pytest.raises(BadInput, match="takes no address"):
        hwmon.open_source("hwmon3")
