"""Logs of other tools, as one table: how each is known, what its columns mean, where that is documented.

In: the header of a file. Out: the `Tool` that wrote it, or a `Tool` made from the header where every column says its
own unit (meters in racks, and anything else). Headers were read in the documents named; what could not be is marked
unverified.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.measure.metering.channel import GAINS, Quantity, Semantics
from inferatlas.measure.metering.logs.formats_clock import is_asctime
from inferatlas.measure.metering.logs.formats_text import Header, Layout
from inferatlas.measure.metering.logs.formats_values import UNITS, Label
from inferatlas.measure.metering.scope import Scope


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a tool: ``name`` of its header, ``unit`` where the header says none; the rest as in `Channel`.

    ``limit`` : the column that holds the device's limit in W. ``wide`` : the header names what is metered, so that
    each such column is a device of its own.
    """

    name: str
    semantics: Semantics
    scope: Scope | None
    unit: str = "W"
    window_s: float | None = None
    assumed: bool = False
    limit: str = ""
    shared: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """One form of log.

    Parameters
    ----------
    name : as `Channel.source`. document : where columns and their meaning are documented, "" where nothing but a
    header's own units says what they are.
    columns : quantities, by the name of their header. times, devices : names of columns, the preferred ones first.
    label : the column with the name that people call a device. update_s, gain : as in `Channel`.
    floors : stamps are the seconds that had begun. polls_all : without a column of devices its rows are of all
    devices in turn. untimed : what to do where it writes no times. drops : columns that are not read where one of
    others says better what it is.
    """

    name: str
    document: str
    columns: tuple[Column, ...]
    layout: Layout = "csv"
    times: tuple[tuple[str, ...], ...] = (("timestamp",),)
    devices: tuple[str, ...] = ()
    label: str = ""
    update_s: float | None = None
    gain: float = GAINS["board"]
    floors: bool = False
    polls_all: bool = True
    untimed: str = ""
    drops: tuple[tuple[str, tuple[str, ...]], ...] = ()


NVIDIA = Tool(
    "nvidia-smi",
    # nvidia-smi --query-gpu=... --format=csv
    # averages are of the last second, a module is GPU, CPU and what else draws power on it: the document below; what
    # power.draw is depends on the generation: `of_generation`
    "https://docs.nvidia.com/deploy/nvidia-smi/index.html",
    (
        Column("power.draw", "instant", Scope.GPU, assumed=True, limit="power.limit"),
        Column("power.draw.average", "average", Scope.GPU, window_s=1.0, limit="power.limit"),
        Column("power.draw.instant", "instant", Scope.GPU, limit="power.limit"),
        Column("module.power.draw.average", "average", Scope.MODULE, window_s=1.0, limit="module.power.limit"),
        Column("module.power.draw.instant", "instant", Scope.MODULE, limit="module.power.limit"),
    ),
    devices=("uuid", "gpu_uuid", "serial", "pci.bus_id", "gpu_bus_id", "index"),
    label="name",
    update_s=0.1,  # reference/energy.md, section 2: arXiv 2312.02741 for A100 and H100
    untimed="log it again with --query-gpu=timestamp,uuid,name,power.draw",
    drops=(("power.draw", ("power.draw.average", "power.draw.instant")),),
)
GAUDI = Tool(
    "hl-smi",
    # hl-smi -Q ... -f csv
    # -Q and its names: the document below; stamps: https://github.com/intel/PerfSpect (telemetry of Gaudi); whether the
    # power is instant or an average is unverified
    "https://docs.habana.ai/en/latest/Management_and_Monitoring/Embedded_System_Tools_Guide/"
    "System_Management_Interface_Tool.html",
    (Column("power.draw", "instant", Scope.BOARD, assumed=True),),
    devices=("uuid", "serial", "bus_id", "module_id", "index"),
    label="name",
    floors=True,
    untimed="log it again with -Q timestamp,uuid,name,power.draw",
)
AMD = Tool(
    "amd-smi",
    # amd-smi metric -p -w SECONDS --csv, amd-smi monitor -p -w SECONDS --csv
    # socket_power and power_usage are the current or the average socket power, whichever the generation has, and stamps
    # are whole seconds (reference/energy.md, section 12):
    # https://github.com/ROCm/amdsmi , amdsmi_cli/amdsmi_commands.py and amdsmi_logger.py
    "https://rocm.docs.amd.com/projects/amdsmi/en/latest/how-to/amdsmi-cli-tool.html",
    (
        Column("socket_power", "instant", Scope.GPU, assumed=True),
        Column("power_usage", "instant", Scope.GPU, assumed=True, limit="max_power"),
        Column("total_energy_consumption", "counter", Scope.GPU, unit="J"),
    ),
    devices=("gpu_uuid", "uuid", "gpu_bdf", "bdf", "gpu"),
    floors=True,
    untimed="log it again with --watch SECONDS, which writes a timestamp",
    drops=(("power_usage", ("socket_power",)),),
)
ROCM = Tool(
    "rocm-smi",
    # rocm-smi --showpower --csv
    # names: https://github.com/ROCm/rocm_smi_lib , python_smi_tools/rocm_smi.py; it writes no times: people put them
    # before
    "https://rocm.docs.amd.com/projects/rocm_smi_lib/en/latest/",
    (
        Column("average graphics package power", "average", Scope.GPU),
        Column("current socket graphics package power", "instant", Scope.GPU),
        Column("accumulated energy", "counter", Scope.GPU, unit="uJ"),
    ),
    times=(("timestamp",), ("time",)),
    devices=("device",),
    untimed="rocm-smi writes no times: put one before every row, or log with amd-smi metric -p -w 1 --csv",
)
INTEL = Tool(
    "xpu-smi",
    # xpu-smi dump -m 1,8
    # stamps are times of day; power is the slope of energy (reference/energy.md, section 2). Intel's exporter takes the
    # energy for a counter (rest/prometheus_exporter/prometheus_exporter_types.py of
    # https://github.com/intel/xpumanager ); that it goes on counting over a whole dump is unverified
    "https://intel.github.io/xpumanager/2.0/xpu-smi/dump.html",
    (
        Column("gpu power", "average", Scope.GPU),
        Column("gpu energy consumed", "counter", Scope.GPU, unit="J"),
    ),
    devices=("deviceid",),
    untimed="log it again with xpu-smi dump, which writes a Timestamp",
)
DMON = Tool(
    "nvidia-smi",
    # nvidia-smi dmon
    "https://docs.nvidia.com/deploy/nvidia-smi/index.html",
    (Column("pwr", "instant", Scope.GPU, assumed=True),),
    layout="spaced",
    times=(("date", "time"), ("time",), ("timestamp",)),
    devices=("gpu",),
    update_s=0.1,
    floors=True,
    untimed="log it again with dmon -o DT",
)
DCGM = Tool(
    "dcgm",
    # dcgmi dmon -e 155,156,157
    # POWER (averaged: reference/energy.md, section 2), TOTEC (mJ) and POWINST are fields 155, 156 and 157:
    # https://github.com/NVIDIA/DCGM , common/dcgm_fields.cpp ; the short name POWINST is unverified
    "https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/feature-overview.html",
    (
        Column("power", "average", Scope.GPU, assumed=True),
        Column("powinst", "instant", Scope.GPU),
        Column("totec", "counter", Scope.GPU, unit="mJ"),
    ),
    layout="spaced",
    times=(("timestamp",), ("date", "time")),
    devices=("entity",),
    update_s=0.1,
    untimed="dcgmi dmon writes no times: log it again with dcgmi dmon -e 155,156 -d 100 | ts '%.s'",
    drops=(("power", ("powinst",)),),
)
PTDAEMON = Tool(
    "ptdaemon",
    # SPEC PTDaemon (spl.txt of MLPerf Power)
    # forms are those of logs_example in the folder below. That a value is the mean of the second before it is
    # unverified: section 2.13.2 of https://www.spec.org/power/docs/SPECpower_ssj2008-Run_Reporting_Rules.html says what
    # an analyser has to do, and was not at hand. What is plugged into it the log does not say
    "https://github.com/mlcommons/power-dev/tree/master/ptd_client_server",
    (Column("watts", "average", None, window_s=1.0),),
    layout="pairs",
    times=(("time",),),
    gain=GAINS["pdu"],
    polls_all=False,
)
TOOLS = (DMON, DCGM, PTDAEMON, GAUDI, NVIDIA, AMD, ROCM, INTEL)

# Columns of meters whose names are nobody's in particular
TIMES = (
    ("time_s",), ("timestamp",), ("timestamp_utc",), ("timestamp_unix",), ("datetime",), ("date time",), ("date/time",),
    ("date", "time"), ("time",), ("unix_time",), ("epoch",), ("elapsed",), ("seconds",), ("ts",),
)  # fmt: skip
HOSTS = ("host", "hostname", "node", "pdu")
DEVICES = (
    "device", "device_id", "deviceid", "uuid", "gpu_uuid", "serial", "gpu", "gpu_index", "gpu_id", "ipu", "outlet",
    "sensor", "name",
)  # fmt: skip
_NOT_DRAWN = re.compile(
    r"\b(limit|cap|capacity|max|maximum|min|minimum|peak|rated|tdp|budget|threshold|apparent|reactive|factor)\b"
)
ALL = re.compile(r"\b(total|sum|all|inlet|phase)\b", re.I)  # devices that others are part of
_METER = re.compile(r"\b(active ?power|outlet|inlet|pdu|phase)\b")
_POWERED = re.compile(r"(power|energy|\bwatts?\b|\bpwr\b)")

# Products by generation: GA100 and what came before it give instant power, other Ampere and later a 1 s average
_INSTANT = re.compile(
    r"\b(A100X?|A800|A30X?|V100S?|T4G?|P100|P40|P4|M60|M40|K80|K40|TITAN|GTX|Tesla|RTX 20\d0|Quadro (?!RTX A))\b", re.I
)
_AVERAGE = re.compile(
    r"\b(A10G?|A16|A2|A40|(RTX )?A[2-6]\d00|RTX [3-9]0\d0|RTX \d000 Ada|RTX PRO|L4|L20|L40S?|H20|H100|H200|H800|GH200|"
    r"B100|B200|B300|GB200|GB300|GB10|Ada|Blackwell)\b",
    re.I,
)


def of_generation(name: str) -> tuple[Semantics, float | None, bool]:
    """What ``power.draw`` is on a device of this name: semantics, window in s, whether that is a guess.

    Source: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html , nvmlDeviceGetPowerUsage.

    Examples
    --------
    >>> of_generation("NVIDIA A100-SXM4-80GB"), of_generation("NVIDIA H100 80GB HBM3"), of_generation("")
    (('instant', None, False), ('average', 1.0, False), ('instant', None, True))
    """
    if _AVERAGE.search(name):
        return "average", 1.0, False
    return "instant", None, not _INSTANT.search(name)


def recognise(header: Header, labels: Sequence[Label], first_row: Sequence[str]) -> Tool | None:
    """The tool that wrote a header, or a tool made from its units; None where no column is of power or energy."""
    names = {label.name for label in labels}
    for tool in TOOLS:
        if tool.layout != header.layout or not any(column.name in names for column in tool.columns):
            continue
        if tool is GAUDI and not any(".aip" in name for name in names) and not _of_gaudi(labels, first_row):
            continue
        if tool in (AMD, ROCM, INTEL, DMON, DCGM) and not names.intersection(tool.devices):
            continue
        return tool
    return _from_units(labels) if header.layout == "csv" and len(labels) > 1 else None


def _of_gaudi(labels: Sequence[Label], first_row: Sequence[str]) -> bool:
    cells = dict(zip((label.name for label in labels), first_row, strict=False))
    return is_asctime(cells.get("timestamp", "")) or cells.get("name", "").startswith("HL-")


def strange(labels: Sequence[Label]) -> Label | None:
    """A column of power or energy in a unit that is not known, or in none."""
    drawn = [one for one in labels if not _NOT_DRAWN.search(_words(one.name))]
    return next((one for one in drawn if _POWERED.search(_words(one.name)) and one.unit not in UNITS), None)


def _from_units(labels: Sequence[Label]) -> Tool | None:
    used = [
        label
        for label in labels
        if label.unit in UNITS and re.search("[a-z]", label.name) and not _NOT_DRAWN.search(_words(label.name))
    ]
    if not used:
        return None
    kinds: list[tuple[Quantity, bool]] = [(UNITS[label.unit or ""][1], _averaged(label)) for label in used]
    wide = len(set(kinds)) < len(kinds)
    metered = any(_METER.search(_words(label.name)) for label in labels)
    return Tool(
        "pdu" if metered else "file",
        "",
        tuple(_column(label, *kind, wide) for label, kind in zip(used, kinds, strict=True)),
        times=TIMES,
        devices=DEVICES,
        gain=GAINS["pdu" if metered else "unknown"],
        polls_all=False,
    )


def _column(label: Label, quantity: Quantity, averaged: bool, wide: bool) -> Column:
    semantics: Semantics = "counter" if quantity == "energy_j" else "average" if averaged else "instant"
    return Column(label.name, semantics, None, assumed=semantics == "instant", shared=wide, wide=wide)


def _averaged(label: Label) -> bool:
    return bool(re.search(r"\b(average|avg|mean)\b", _words(label.name)))


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")
