"""RAPL zones are meters of their own: packages, memory, platform; each counted once, and only where it may be read."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import rapl, sysfs

RANGE_UJ = 262_143_328_850  # of a 32-bit counter in steps of 2^-14 J
TWO_SOCKETS = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:1:0": "dram",
}


@pytest.fixture
def tree(tmp_path):
    """A file system with zones: path -> name."""

    def build(zones, energy_uj=5_000_000, range_uj=RANGE_UJ):
        top = tmp_path / "sys" / "class" / "powercap"
        (top / "intel-rapl").mkdir(parents=True)  # the control type is no zone
        for path, name in zones.items():
            (top / path).mkdir()
            (top / path / "name").write_text(f"{name}\n")
            (top / path / "energy_uj").write_text(f"{energy_uj}\n")
            if range_uj:
                (top / path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        return tmp_path

    return build


@pytest.fixture
def forbid(monkeypatch):
    """Files that only root may read; the tests may run as root."""

    def deny(*parts):
        read = Path.read_bytes

        def read_bytes(path):
            if path.name == "energy_uj" and path.parent.name in parts:
                raise PermissionError(13, "Permission denied")
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)

    return deny


def written(root, zone, text):
    (root / "sys" / "class" / "powercap" / zone / "energy_uj").write_text(text)


def described(source):
    return [(one.device, one.scope, one.part) for one in source.channels]


def test_packages_and_their_memory_are_parts_of_one_device_and_cores_are_left_out(tree):
    source = rapl.open_source(root=tree(TWO_SOCKETS))
    assert described(source) == [
        ("intel-rapl:0 package-0", Scope.MODULE, ""),
        ("intel-rapl:0 package-0", Scope.MODULE, "dram"),
        ("intel-rapl:1 package-1", Scope.MODULE, ""),
        ("intel-rapl:1 package-1", Scope.MODULE, "dram"),
    ]
    assert {one.semantics for one in source.channels} == {"counter"}


def test_the_platform_is_wider_than_a_package(tree):
    source = rapl.open_source(root=tree({"intel-rapl:0": "package-0", "intel-rapl:1": "psys"}))
    assert described(source)[1] == ("intel-rapl:1 psys", Scope.BOARD, "platform")


def test_packages_of_several_dies_are_all_read(tree):
    source = rapl.open_source(root=tree({"intel-rapl:0": "package-0-die-0", "intel-rapl:1": "package-0-die-1"}))
    assert [one.name for one in source.channels] == ["package-0-die-0", "package-0-die-1"]


def test_the_counter_wraps_at_its_range_and_steps_by_its_unit(tree):
    channel = rapl.open_source(root=tree(TWO_SOCKETS)).channels[0]
    assert channel.wrap_j == pytest.approx(262_143.328_850)
    assert channel.quantum == pytest.approx(2**-14, rel=1e-5)


def test_power_beyond_any_processor_is_not_believed_but_for_the_platform(tree):
    source = rapl.open_source(root=tree({"intel-rapl:0": "package-0", "intel-rapl:1": "psys"}))
    package, platform = source.channels
    assert package.most_w == 1500.0  # a counter of 65 kJ may be read every 43 s
    assert platform.limit_w is None


def test_without_a_range_no_wrap_is_claimed(tree):
    channel = rapl.open_source(root=tree(TWO_SOCKETS, range_uj=None)).channels[0]
    assert channel.wrap_j is None
    assert channel.quantum == 0


def test_readings_are_joules_and_follow_the_counter(tree):
    root = tree(TWO_SOCKETS)
    source = rapl.open_source(root=root)
    assert [one.value for one in source.read()] == pytest.approx([5.0] * 4)
    written(root, "intel-rapl:1", "7250000\n")
    readings = source.read()
    assert [one.value for one in readings] == pytest.approx([5.0, 5.0, 7.25, 5.0])
    assert [one.channel for one in readings] == [0, 1, 2, 3]
    assert readings[0].t_ns <= readings[3].t_ns


def test_a_second_window_on_the_same_package_is_not_read(tree):
    source = rapl.open_source(
        root=tree(TWO_SOCKETS | {"intel-rapl-mmio:0": "package-0", "intel-rapl-mmio:0:0": "dram"})
    )
    assert {one.device for one in source.channels} == {"intel-rapl:0 package-0", "intel-rapl:1 package-1"}
    assert len(source.channels) == 4


def test_the_second_window_counts_where_it_is_the_only_one(tree):
    source = rapl.open_source(root=tree({"intel-rapl-mmio:0": "package-0"}))
    assert described(source) == [("intel-rapl-mmio:0 package-0", Scope.MODULE, "")]


def test_a_machine_without_zones_says_how_to_get_them(tmp_path):
    with pytest.raises(Unavailable) as caught:
        rapl.open_source(root=tmp_path)
    assert "/sys/class/powercap" in caught.value.message
    assert "modprobe" in str(caught.value.hint)
    assert "virtual machines" in str(caught.value.hint)


def test_counters_for_root_only_name_the_cause_and_the_remedy(tree, forbid):
    root = tree(TWO_SOCKETS)
    forbid(*TWO_SOCKETS)
    with pytest.raises(Unavailable) as caught:
        rapl.open_source(root=root)
    assert "CVE-2020-8694" in caught.value.message
    assert "chmod" in str(caught.value.hint)


def test_zones_that_may_be_read_are_used_without_the_others(tree, forbid):
    root = tree(TWO_SOCKETS)
    forbid("intel-rapl:0", "intel-rapl:1:0")
    source = rapl.open_source(root=root)
    assert described(source) == [
        ("intel-rapl:0 package-0", Scope.MODULE, "dram"),
        ("intel-rapl:1 package-1", Scope.MODULE, ""),
    ]
    assert source.notes == (
        "intel-rapl:0 package-0 is not read (permission_denied)",
        "intel-rapl:1:0 dram is not read (permission_denied)",
    )


def test_only_zones_inside_packages_are_no_meter(tree):
    with pytest.raises(Unavailable, match="core"):
        rapl.open_source(root=tree({"intel-rapl:0:0": "core"}))


def test_a_reading_that_is_refused_later_has_a_reason_and_no_value(tree, forbid):
    root = tree(TWO_SOCKETS)
    source = rapl.open_source(root=root)
    forbid("intel-rapl:0")
    first, *others = source.read()
    assert (first.fault, math.isnan(first.value)) == (Fault.PERMISSION_DENIED, True)
    assert all(one.fault is Fault.NONE for one in others)


@pytest.mark.parametrize("text", ["", "\n", "12x", "N/A\n", "1.5\n", "1_000\n", "0x10\n", "+5\n", "9" * 400])
def test_what_is_no_whole_number_is_unreadable(tree, text):
    root = tree({"intel-rapl:0": "package-0"})
    source = rapl.open_source(root=root)
    written(root, "intel-rapl:0", text)
    (reading,) = source.read()
    assert (reading.fault, math.isnan(reading.value)) == (Fault.UNREADABLE, True)


def test_a_zone_that_goes_away_is_lost(tree):
    root = tree({"intel-rapl:0": "package-0"})
    source = rapl.open_source(root=root)
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    assert source.read()[0].fault is Fault.DEVICE_LOST
    source.close()
    source.close()


def test_an_address_is_refused():
    with pytest.raises(BadInput, match="takes no address"):
        rapl.open_source("0")


@given(st.binary(max_size=30) | st.text("0123456789-+_ \n", max_size=400).map(str.encode))
def test_any_file_is_a_number_or_a_fault_and_never_an_error(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("any") / "energy_uj"
    path.write_bytes(written)
    value, fault = sysfs.number_of(path)
    assert (fault is Fault.NONE) == math.isfinite(value)
    assert value != 0 or int(written) == 0
