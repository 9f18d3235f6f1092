"""The table of what is drawn now, on terminals of any width."""

import io
from collections import deque

import pytest
from rich.console import Console

from inferatlas.measure.metering.channel import Channel
from inferatlas.measure.metering.live import Live
from inferatlas.measure.metering.scope import Scope
from inferatlas.show.power_live import LiveTable, live_cells


def live(device: str, name: str = "NVIDIA H100 80GB HBM3", watts: float = 687.5) -> Live:
    channel = Channel("nvml", device, "power_w", "average", Scope.GPU, name=name)
    return Live(channel, watts=watts, peak_w=700.0, joules=12345.0, history=deque((n / 10, watts) for n in range(600)))


def drawn(lives: list[Live], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(LiveTable(lives, 12.0))
    return console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("width", [56, 60, 80, 100, 160])
def test_numbers_stay_whole_on_one_line_a_device(width):
    lines = drawn([live(f"GPU-{n}") for n in range(8)], width)
    assert len(lines) == 10 and all(len(line) <= width for line in lines)
    assert all("688 W" in line and "700 W" in line and "12.3 kJ" in line for line in lines[2:])
    assert ("█" in lines[2]) == (width >= 60)


def test_devices_of_one_name_are_told_apart_and_a_lone_one_has_its_name():
    cells = live_cells([live("GPU-7"), live("GPU-8"), live("card0", "Arc B580"), live("hwmon3", "")])
    assert [row[1] for row in cells] == ["GPU-7", "GPU-8", "Arc B580", "hwmon3"]


def test_nothing_to_show_is_an_empty_table():
    assert len(drawn([], 80)) == 2
