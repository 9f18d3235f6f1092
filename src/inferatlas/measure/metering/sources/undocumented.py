"""Accelerators whose software gives no power that any document names: they are listed, so that nobody looks in vain.

What was looked at: reference/energy.md, section 2. Absence from the pages read is no proof (section 14).
"""

from __future__ import annotations

from inferatlas.measure.metering.source import Interface

_INSTEAD = (
    "no reading to enable: read the node by its BMC (redfish, ipmi) or the rack by its PDU (snmp) where the machine is "
    "yours, or take an estimate that no sensor made: "
)

INTERFACES: tuple[Interface, ...] = (
    Interface(
        name="tpu",
        title="Google TPU",
        offers=(),
        enable=_INSTEAD + "`--source model:google-tpu-v6e*8`",
        notes="No documented power reading. Looked at: tpu-info 0.14, whose RuntimeMetricService (gRPC on "
        "localhost:8431) lists memory, duty cycle and others, none of them power.",
        local=False,
    ),
    Interface(
        name="neuron",
        title="AWS Trainium and Inferentia (Neuron)",
        offers=(),
        enable=_INSTEAD + "`--source model:aws-trainium-2*16`",
        notes="No documented power reading. Looked at: the JSON of neuron-monitor, and "
        "/sys/devices/virtual/neuron_device: no watts in the pages read. The instances show neither a BMC nor RAPL.",
        local=False,
    ),
    Interface(
        name="groq",
        title="Groq LPU",
        offers=(),
        enable=_INSTEAD + "`--source model:groq-lpu-v1*8`",
        notes="No documented power reading: no public call was found.",
        local=False,
    ),
)
