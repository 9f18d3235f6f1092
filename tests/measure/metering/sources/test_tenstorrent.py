"""Tenstorrent by tt-smi: what a snapshot says, what it does not, and a tool that does as it likes."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import tenstorrent
from inferatlas.measure.metering.sources.tenstorrent import open_source, powers_of, snapshot_of, watts_of

FIXTURES = Path(__file__).parent / "fixtures" / "tenstorrent"
N300, P300 = (json.loads((FIXTURES / f"{name}.json").read_text()) for name in ("n300", "p300"))
LEFT, RIGHT = "010001451170801d/0000:01:00.0", "010001451170801d/(1, 0, 0, 0)"
P300_BOARD = "0000046131924062"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A ``tt-smi`` on PATH; what it prints can be changed by calling this again."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "tt-smi"

    def says(output: object, *, status: int = 0, before: str = "") -> None:
        text = output if isinstance(output, str) else json.dumps(output, indent=4)
        (tmp_path / "output").write_text(before + text)
        check = '[ "$*" = "-s" ] || { echo "unexpected arguments $*" >&2; exit 2; }'
        path.write_text(f"#!/bin/sh\n{check}\ncat {tmp_path}/output\nexit {status}\n")
        path.chmod(0o755)

    says.path = path
    return says


def changed(snapshot, chip, part, **values):
    new = copy.deepcopy(snapshot)
    new["device_info"][chip][part].update(values)
    return new


def test_the_chips_of_an_n300_are_two_devices_of_scope_die(tool):
    tool(N300)
    source = open_source()
    assert [(one.device, one.scope, one.name, one.limit_w) for one in source.channels] == [
        (LEFT, Scope.DIE, "n300 L", 85.0),
        (RIGHT, Scope.DIE, "n300 R", 85.0),
    ]
    assert [(one.value, one.fault) for one in source.read()] == [(26.0, Fault.NONE), (19.0, Fault.NONE)]
    assert source.least_s >= 1.0


def test_the_power_of_a_board_is_one_meter_of_its_own_scope_however_many_chips_say_it(tool):
    tool(P300)
    source = open_source()
    assert [(one.device, one.scope, one.limit_w) for one in source.channels] == [
        (f"{P300_BOARD}/0000:04:00.0", Scope.DIE, 150.0),
        (P300_BOARD, Scope.BOARD, 550.0),
        (f"{P300_BOARD}/0000:05:00.0", Scope.DIE, 150.0),
    ]
    assert [one.value for one in source.read()] == [16.0, 94.0, 27.0]


@pytest.mark.parametrize(("first", "second", "watts"), [("0x5e", "0x60", 94.0), ("94 W", "0x60", 96.0)])
def test_of_two_chips_that_say_the_power_of_their_board_the_first_readable_one_counts(first, second, watts):
    snapshot = changed(changed(P300, 0, "smbus_telem", INPUT_POWER=first), 1, "smbus_telem", INPUT_POWER=second)
    assert powers_of(snapshot)[P300_BOARD, Scope.BOARD].watts == (watts, Fault.NONE)


def test_the_upper_half_of_the_word_is_not_power():
    assert watts_of("0xffff0010", 0xFFFF) == (16.0, Fault.NONE)


@given(st.integers(0, 2**32 - 1))
def test_every_word_reads_as_its_lower_half(word):
    assert watts_of(hex(word), 0xFFFF) == (float(word % 65536), Fault.NONE)


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(), st.integers(), max_size=2)
)
def test_what_is_no_word_has_no_value_and_does_not_raise(raw):
    watts, fault = watts_of(raw)
    assert math.isnan(watts) == (fault is not Fault.NONE)
    assert math.isnan(watts) or isinstance(raw, str)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (None, Fault.NOT_AVAILABLE), ("N/A", Fault.NOT_AVAILABLE), ("", Fault.UNREADABLE), ("16.0", Fault.UNREADABLE),
        ("0x", Fault.UNREADABLE), ("0x1 W", Fault.UNREADABLE), ("-0x1", Fault.UNREADABLE), (16, Fault.UNREADABLE),
        (True, Fault.UNREADABLE), (["0x10"], Fault.UNREADABLE), ("0x123456789", Fault.UNREADABLE),
    ],
)  # fmt: skip
def test_a_chip_without_a_readable_word_has_a_fault_and_never_0_watts(tool, raw, fault):
    tool(N300)
    source = open_source()
    tool(changed(N300, 0, "smbus_telem", TDP=raw))
    left, right = source.read()
    assert left.fault is fault
    assert math.isnan(left.value)
    assert right.value == 19.0


def test_a_chip_that_gives_nothing_is_not_0_watts_although_the_tool_writes_so(tool):
    silent = changed(changed(N300, 0, "smbus_telem", TDP=None), 0, "telemetry", power="  0.0")
    tool(silent)
    assert open_source().read()[0].fault is Fault.NOT_AVAILABLE


@pytest.mark.parametrize("broken", [None, [], "text", 3])
@pytest.mark.parametrize("part", ["smbus_telem", "board_info", "limits", "telemetry"])
def test_missing_or_mistyped_parts_of_a_chip_do_not_raise(part, broken):
    snapshot = copy.deepcopy(N300)
    snapshot["device_info"][0][part] = broken
    snapshot["device_info"].append(broken)
    powers = powers_of(snapshot)
    assert len(powers) == 2
    assert powers[RIGHT, Scope.DIE].watts == (19.0, Fault.NONE)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("0x10"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
chips = st.fixed_dictionaries({}, optional=dict.fromkeys(("smbus_telem", "board_info", "limits"), anything)) | anything


@given(st.lists(chips, max_size=4))
def test_any_snapshot_has_powers_with_a_number_or_a_fault(found):
    for (device, _), power in powers_of({"device_info": found}).items():
        watts, fault = power.watts
        assert device
        assert (fault is Fault.NONE) == math.isfinite(watts)


def test_names_of_older_telemetry_are_understood(tool):
    old = copy.deepcopy(N300)
    for chip in old["device_info"]:
        chip["smbus_telem"] = {f"SMBUS_TX_{key}": value for key, value in chip["smbus_telem"].items()}
    tool(old)
    assert [one.value for one in open_source().read()] == [26.0, 19.0]


def test_chips_without_identity_are_told_apart():
    anonymous = {"device_info": [{"board_info": {"board_id": "N/A", "bus_id": "N/A", "coords": "N/A"}}] * 3}
    assert [device for device, _ in powers_of(anonymous)] == [f"board unknown/chip {n}" for n in (1, 2, 3)]


def test_a_chip_that_goes_away_is_lost_and_the_others_go_on_whatever_their_order(tool):
    tool(N300)
    source = open_source()
    tool({"device_info": N300["device_info"][1:]})
    assert [(one.fault, one.value == 19.0) for one in source.read()] == [
        (Fault.DEVICE_LOST, False),
        (Fault.NONE, True),
    ]
    tool({"device_info": N300["device_info"][::-1]})
    assert [one.value for one in source.read()] == [26.0, 19.0]


def test_a_board_whose_chips_all_go_away_is_lost_and_one_that_falls_silent_is_not(tool):
    tool(P300)
    source = open_source()
    silent = changed(changed(P300, 0, "smbus_telem", INPUT_POWER=None), 1, "smbus_telem", INPUT_POWER="0x0")
    tool(silent)
    assert [one.fault for one in source.read()] == [Fault.NONE, Fault.NOT_AVAILABLE, Fault.NONE]
    tool({"device_info": []})
    assert [one.fault for one in source.read()] == [Fault.DEVICE_LOST] * 3
    tool(changed(P300, 0, "smbus_telem", INPUT_POWER=None))
    assert source.read()[1].value == 94.0  # the other chip still says it


def test_messages_before_and_after_the_snapshot_are_passed_over(tool):
    before = "\x1b[33m Detecting ARC: {1} of {2}\x1b[0m\n{}\n" + '{"level": "warning", "chip": {"id": 0}}\n'
    tool(json.dumps(N300) + "\nDone!\n", before=before)
    assert [one.value for one in open_source().read()] == [26.0, 19.0]


@given(st.integers(0, len(json.dumps(N300)) - 1))
def test_a_truncated_snapshot_is_none(length):
    assert snapshot_of(json.dumps(N300)[:length]) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(text):
    assert snapshot_of(text) is None
    assert snapshot_of("{" * 5_000 + text) is None


@pytest.mark.parametrize(
    "output", ["", "Saved tt-smi log to: x.json", "[]", '{"device_info": {}}', json.dumps(N300)[:-2]]
)
def test_output_without_a_whole_snapshot_is_unreadable_and_at_the_start_unavailable(tool, output):
    tool(N300)
    source = open_source()
    tool(output)
    assert [one.fault for one in source.read()] == [Fault.UNREADABLE] * 2
    with pytest.raises(Unavailable, match="printed no snapshot") as raised:
        open_source()
    assert "3.0.5" in str(raised.value.hint)


def test_a_tool_that_fails_midway_is_a_fault_and_recovers(tool):
    tool(N300)
    source = open_source()
    tool(N300, status=1)
    assert [one.fault for one in source.read()] == [Fault.FAILED] * 2
    tool.path.unlink()
    assert [one.fault for one in source.read()] == [Fault.DRIVER_GONE] * 2
    tool(N300)
    assert [one.value for one in source.read()] == [26.0, 19.0]


def test_a_tool_that_hangs_is_a_timeout(tool, monkeypatch):
    tool(N300)
    source = open_source()
    monkeypatch.setattr(tenstorrent, "TIMEOUT_S", 0.05)
    tool.path.write_text("#!/bin/sh\nsleep 30\n")
    assert [one.fault for one in source.read()] == [Fault.TIMEOUT] * 2


def test_why_the_tool_failed_is_said_without_colours(tool):
    tool("\x1b[31m No Tenstorrent driver detected! \x1b[0m\n", status=1)
    with pytest.raises(Unavailable, match=r"^tt-smi: No Tenstorrent driver detected!\n"):
        open_source()


def test_a_tool_that_fails_with_colours_only_is_unavailable(tool):
    tool("\x1b[31m\x1b[0m\n", status=1)
    with pytest.raises(Unavailable, match="said nothing"):
        open_source()


def test_no_tool_is_unavailable(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="tt-smi is not installed"):
        open_source()


def test_no_chip_is_unavailable(tool):
    tool({"device_info": []})
    with pytest.raises(Unavailable, match="finds no chip"):
        open_source()


def test_the_address_is_the_path_of_the_tool(tool, monkeypatch):
    tool(N300)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert len(open_source(str(tool.path)).channels) == 2


def test_a_reading_is_of_the_middle_of_the_run_and_its_time_is_uncertain(tool):
    tool(N300)
    source = open_source()
    before = time.monotonic_ns()
    (reading, _), after = source.read(), time.monotonic_ns()
    assert before < reading.t_ns < after
    assert source.channels[0].u_time_s > 0


def test_closing_twice_is_allowed(tool):
    tool(N300)
    source = open_source()
    source.close()
    source.close()
