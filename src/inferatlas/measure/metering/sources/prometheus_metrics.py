"""Metrics of power and energy that exporters publish for Prometheus, and what each means.

Units and meanings are those of the exporter's documentation, named with each row. TensorRT-LLM publishes none: its
collector's list (https://github.com/NVIDIA/TensorRT-LLM, tensorrt_llm/metrics/collector.py) has no power and no energy.
Kepler before 0.10 splits its counters by a mode, and may hold a model's estimates in them: it is not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferatlas.errors import UnknownName
from inferatlas.measure.metering.channel import GAINS, Channel, Quantity, Semantics
from inferatlas.measure.metering.scope import Scope, scope_of
from inferatlas.measure.metering.sources.hwmon import REPEATS, scope_of_chip

DCGM = "https://docs.nvidia.com/datacenter/dcgm/latest/reference/dcgm-exporter-metrics.html"
SAMBANOVA = "https://docs.sambanova.ai/docs/en/sambastack/hardware-admin/sambarack-manager/monitoring/exporter-pdu.md"
NODE_RAPL = "https://github.com/prometheus/node_exporter, collector/rapl_linux.go"
NODE_HWMON = "https://github.com/prometheus/node_exporter, collector/hwmon_linux.go"
KEPLER = "https://github.com/sustainable-computing-io/kepler, docs/user/metrics.md"

# DCGM writes numbers this large and larger for "no value" (DCGM_FP64_BLANK and DCGM_INT64_BLANK, dcgm_structs.h)
BLANK_POWER, BLANK_ENERGY = 2.0**47, 2.0**63
# Modules of CPU and GPU, where NVML's power is the module's on some and the GPU's on others: "probe, never infer"
# (reference/energy.md, section 2), which an exporter does not allow
SUPERCHIP = re.compile(r"\bG[HB]\d")
# a second window on the same counter; an exporter that does not say the path has an empty one
FIRST_WINDOW = ("path", r"(?!.*mmio).*")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one exporter.

    Parameters
    ----------
    name : a regular expression that its whole name matches.
    device : labels that identify the device together, as far as they are there, beside `HOST`. called : labels with
        its name.
    source : address of the documentation.
    factor : times the value gives W or J. where : labels and what each must match.
    says : what says scope, part and semantics: this row, the chip's name (node_exporter), or labels (our exporter).
    blank : from here on up, a value stands for none.
    """

    name: str
    quantity: Quantity
    semantics: Semantics
    scope: Scope | None
    device: tuple[str, ...]
    source: str
    factor: float = 1.0
    part: str = ""
    where: tuple[tuple[str, str], ...] = ()
    called: tuple[str, ...] = ()
    says: Literal["row", "chip", "labels"] = "row"
    assumed: bool = False
    gain: float = GAINS["board"]
    blank: float = math.inf


METRICS = (
    # Field 155 is NVML's power: averaged over 1 s on most GPUs, instant on A100 and older; hence assumed.
    Metric(
        "DCGM_FI_DEV_(POWER_USAGE|BOARD_POWER_WATTS)", "power_w", "average", Scope.GPU, ("UUID",), DCGM,
        called=("modelName",), assumed=True, blank=BLANK_POWER,
    ),
    Metric(
        "DCGM_FI_DEV_(POWER_USAGE_INSTANT|BOARD_POWER_RAW_WATTS)", "power_w", "instant", Scope.GPU, ("UUID",), DCGM,
        called=("modelName",), blank=BLANK_POWER,
    ),
    Metric(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "energy_j", "counter", Scope.GPU, ("UUID",), DCGM, 1e-3,
        called=("modelName",), blank=BLANK_ENERGY,
    ),
    Metric(
        "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", "energy_j", "counter", Scope.GPU, ("UUID",), DCGM,
        called=("modelName",), blank=BLANK_ENERGY,
    ),
    # The same watts stand at three levels: "always filter power on level=total".
    Metric(
        "pdu_power_watts", "power_w", "instant", Scope.RACK, ("device", "entity"), SAMBANOVA,
        where=(("level", "total"),), called=("label",), assumed=True, gain=GAINS["pdu"],
    ),
    # Counters of powercap in J, as they stand: without their range, so that a wrap looks like a reset. core and uncore
    # are inside the package.
    Metric(
        r"node_rapl_package(_\d+_die_\d+)?_joules_total", "energy_j", "counter", Scope.MODULE, ("path", "index"),
        NODE_RAPL, where=(FIRST_WINDOW,),
    ),
    Metric(
        "node_rapl_dram_joules_total", "energy_j", "counter", Scope.MODULE, ("path", "index"), NODE_RAPL, part="dram",
        where=(FIRST_WINDOW,),
    ),
    Metric(
        "node_rapl_psys_joules_total", "energy_j", "counter", Scope.BOARD, ("path", "index"), NODE_RAPL,
        part="platform", where=(FIRST_WINDOW,),
    ),
    Metric("node_hwmon_power_average_watt", "power_w", "average", None, ("chip", "sensor"), NODE_HWMON, says="chip"),
    Metric("node_hwmon_power(_input)?_watt", "power_w", "instant", None, ("chip", "sensor"), NODE_HWMON, says="chip"),
    Metric("node_hwmon_energy_joule_total", "energy_j", "counter", None, ("chip", "sensor"), NODE_HWMON, says="chip"),
    Metric(
        "kepler_node_cpu_joules_total", "energy_j", "counter", Scope.MODULE, ("node_name", "zone", "path"), KEPLER,
        where=(("zone", "package.*"), FIRST_WINDOW), called=("node_name",),
    ),
    Metric(
        "kepler_node_cpu_joules_total", "energy_j", "counter", Scope.MODULE, ("node_name", "zone", "path"), KEPLER,
        part="dram", where=(("zone", "dram.*"), FIRST_WINDOW), called=("node_name",),
    ),
    Metric(
        "kepler_node_cpu_joules_total", "energy_j", "counter", Scope.BOARD, ("node_name", "zone", "path"), KEPLER,
        part="platform", where=(("zone", "psys.*"), FIRST_WINDOW), called=("node_name",),
    ),
    Metric(
        "inferatlas_power_watts", "power_w", "instant", None, ("source", "device"), "inferatlas", says="labels",
        gain=GAINS["unknown"],
    ),
    Metric(
        "inferatlas_energy_joules_total", "energy_j", "counter", None, ("source", "device"), "inferatlas",
        says="labels", gain=GAINS["unknown"],
    ),
)  # fmt: skip

# Which host it is, where a Prometheus server passes on the metrics of many (/federate): chips and packages go by the
# same names on all of them.
HOST = "instance"
CHIP_NAMES = "node_hwmon_chip_names"  # labels chip, chip_name: which driver a chip belongs to
WANTED = re.compile(rf"({'|'.join(one.name for one in METRICS)}|{CHIP_NAMES})(?=[\s{{])")


def meaning(name: str, labels: Mapping[str, str], chips: Mapping[str, str]) -> tuple[Metric, Channel] | None:
    """What a sample is; None of one that is not known, or counts elsewhere.

    Parameters
    ----------
    name, labels : of the sample. chips : names of drivers, by `chip_of`.

    Examples
    --------
    >>> found = meaning("DCGM_FI_DEV_POWER_USAGE", {"UUID": "GPU-1", "GPU_I_ID": "3"}, {})
    >>> found[1].device, found[1].scope, found[1].semantics
    ('GPU-1', <Scope.GPU: 2>, 'average')
    >>> meaning("pdu_power_watts", {"device": "a", "level": "outlet", "entity": "7"}, {})
    """
    for metric in METRICS:
        fits = all(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in metric.where)
        if fits and re.fullmatch(metric.name, name):
            device = " ".join(labels[label] for label in metric.device if labels.get(label))
            if not device or not _counts(labels, chips):
                return None
            return metric, _channel(metric, labels, f"{labels.get(HOST, '')} {device}".strip(), chips)
    return None


def _counts(labels: Mapping[str, str], chips: Mapping[str, str]) -> bool:
    return not REPEATS.fullmatch(_driver(labels, chips))


def chip_of(labels: Mapping[str, str]) -> str:
    """What a chip goes by among those of all hosts."""
    return f"{labels.get(HOST, '')} {labels.get('chip', '')}"


def _driver(labels: Mapping[str, str], chips: Mapping[str, str]) -> str:
    return chips.get(chip_of(labels), "")


def _channel(metric: Metric, labels: Mapping[str, str], device: str, chips: Mapping[str, str]) -> Channel:
    scope, part, semantics, assumed = metric.scope, metric.part, metric.semantics, metric.assumed
    if metric.says == "chip":
        scope = scope_of_chip(_driver(labels, chips), labels.get("sensor", ""))
    elif metric.says == "labels":
        scope, part = _scope(labels.get("scope")), labels.get("part", "")
        semantics, assumed = _semantics(metric, labels.get("semantics"))
    elif SUPERCHIP.search(labels.get("modelName", "")):
        scope = None
    return Channel(
        source="prometheus",
        device=device,
        quantity=metric.quantity,
        semantics=semantics,
        scope=scope,
        part=part,
        name=" ".join(labels[label] for label in metric.called if labels.get(label)),
        gain=metric.gain,
        shared=scope is None,
        assumed=assumed,
    )


def _scope(label: str | None) -> Scope | None:
    try:
        return scope_of(label)
    except UnknownName:  # of a version to come
        return None


def _semantics(metric: Metric, label: str | None) -> tuple[Semantics, bool]:
    """As the label says; a power of an unknown kind is taken as instant."""
    if metric.quantity == "energy_j":
        return "counter", False
    known: dict[str | None, Semantics] = {"average": "average", "instant": "instant", "model": "model"}
    return known.get(label, "instant"), label not in known
