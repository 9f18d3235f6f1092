"""Power and energy that an exporter publishes for Prometheus: what it knows is in `prometheus_metrics.py`.

The text format: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from inferatlas.measure.metering.channel import Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, bad_address, key_of, shown
from inferatlas.measure.metering.sources.asking import Value, known, no_value, readings, timed
from inferatlas.measure.metering.sources.prometheus_metrics import CHIP_NAMES, METRICS, WANTED, Metric, chip_of, meaning
from inferatlas.measure.metering.sources.web import fetch

TIMEOUT_S = 5.0

INTERFACE = Interface(
    name="prometheus",
    title="An exporter for Prometheus: DCGM, SambaNova's PDUs, node_exporter, Kepler, inferatlas",
    offers=(
        Offer("energy_j", "counter", Scope.GPU, update_s=30.0),
        Offer("power_w", "average", Scope.GPU, update_s=30.0),
        Offer("power_w", "instant", Scope.GPU, update_s=30.0),
        Offer("energy_j", "counter", Scope.MODULE),
        Offer("energy_j", "counter", Scope.BOARD),
        Offer("power_w", "instant", Scope.RACK, update_s=30.0),
    ),
    enable="the exporter's address; for SambaNova's, http://host:9820/probe?target=the PDU's address",
    notes=(
        "An exporter shows the last value that it took: dcgm-exporter takes one in 30 s unless its --collect-interval "
        "says otherwise, and a PDU's is as old; readings carry the time of asking. Units are known, never guessed."
    ),
    address="http://host:port/metrics",
    local=False,
)


@dataclass(slots=True)
class Exporter:
    """An exporter; see `Source`. ``keys`` are the channels as a scrape names them."""

    name: str
    channels: tuple[Channel, ...]
    keys: tuple[Channel, ...]
    url: str = field(repr=False)  # there may be a token in it
    timeout_s: float
    least_s: float
    notes: tuple[str, ...] = ()

    def read(self) -> Sequence[Reading]:
        (text, fault), t_ns, _ = timed(lambda: _scrape(self.url, self.timeout_s))
        held, whole = ({}, True) if fault else values_in(text)
        absent = no_value(fault or (Fault.NOT_AVAILABLE if whole else Fault.UNREADABLE))
        return readings(t_ns, [held.get(key, absent) for key in self.keys])

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _scrape(url: str, timeout_s: float) -> tuple[str, Fault]:
    return fetch(url, timeout_s, headers={"Accept": "text/plain; version=0.0.4"})


def values_in(text: str) -> tuple[dict[Channel, Value], bool]:
    """Every known value of a scrape, in W and J, and whether all of it could be read.

    A last line without its end may be cut within a number, and is not read. Where samples repeat one device, as those
    of MIG slices repeat their GPU's (https://github.com/NVIDIA/dcgm-exporter/issues/257), the first value stands.

    Examples
    --------
    >>> held, whole = values_in('DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{UUID="GPU-1"} 5000\\n')
    >>> [(one.device, value) for one, (value, _) in held.items()], whole
    ([('GPU-1', 5.0)], True)
    """
    *lines, rest = text.split("\n")
    samples, whole = [], not rest.strip()
    for line in lines:
        if WANTED.match(line):
            sample = _sample(line)
            samples += [sample] if sample else []
            whole &= sample is not None
    chips = {chip_of(labels): labels.get("chip_name", "") for name, labels, _ in samples if name == CHIP_NAMES}
    held: dict[Channel, Value] = {}
    for name, labels, value in samples:
        if found := meaning(name, labels, chips):
            metric, channel = found
            if channel not in held or held[channel][1] is not Fault.NONE:
                held[channel] = _si(metric, value)
    return held, whole


def _sample(line: str) -> tuple[str, Mapping[str, str], float] | None:
    """One line of the text format; None of one that is not in it. Each is read alone: a bad one spoils no other."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        (family,) = text_string_to_metric_families(line)
        (sample,) = family.samples
        return sample.name, sample.labels, float(sample.value)
    except (ValueError, IndexError, KeyError, TypeError):  # the parser's ways to refuse a line
        return None


def _si(metric: Metric, value: float) -> Value:
    absent = math.isnan(value) or metric.blank <= value < math.inf
    return no_value(Fault.NOT_AVAILABLE) if absent else known(value * metric.factor)


def open_source(address: str = "", *, timeout_s: float = TIMEOUT_S) -> Source:
    """Every known power and energy that an exporter gives a value for.

    Parameters
    ----------
    address : of the metrics; without a path, ``/metrics``. timeout_s : of each scrape.

    Raises
    ------
    Unavailable : no answer, or none of the known metrics. BadInput : no address or another one.

    Examples
    --------
    >>> open_source("node-7:9400")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'node-7:9400' is no address for 'prometheus'
    (allowed: prometheus:http://host:port/metrics)
    """
    url = _url(address)
    (text, fault), _, u_time_s = timed(lambda: _scrape(url, timeout_s))
    if fault is not Fault.NONE:
        raise Unavailable(f"{shown(url)} {text} ({fault.code})", hint="is the exporter running, and its address right?")
    held, _ = values_in(text)
    keys: dict[tuple[object, ...], Channel] = {}
    notes: list[str] = []
    for key, (value, fault) in held.items():
        # a card that draws nothing is the second die of another (as in `hwmon`)
        if fault is not Fault.NONE or (value == 0 and key.quantity == "power_w" and key.scope is Scope.GPU):
            kind = "power" if key.quantity == "power_w" else "energy"
            notes.append(f"{key.device}: no {key.semantics} {kind} ({fault.code if fault else '0 W'})")
        else:  # one energy per device, where an exporter has it in two units
            keys.setdefault(key_of(key), key)
    if not keys:
        raise Unavailable(f"{shown(url)} gives none of the known metrics", allowed=_known(), hint=_hint(text))
    channels = tuple(replace(key, u_time_s=u_time_s) for key in keys.values())
    return Exporter("prometheus", channels, tuple(keys.values()), url, timeout_s, 1.0, tuple(notes))


def _known() -> str:
    return ", ".join(dict.fromkeys(one.name for one in METRICS))


def _hint(text: str) -> str:
    if "pdu_measurement_unavailable{" in text:
        return "the PDU says that it has lost its measurement (pdu_measurement_unavailable)"
    there = WANTED.search(text)
    return f"{there[0]} is there, but not with a value that counts" if there else "is it the right port?"


def _url(address: str) -> str:
    if "@" not in address:
        try:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return address if parts.path.strip("/") or parts.query else f"{parts.scheme}://{parts.netloc}/metrics"
        except ValueError:  # brackets without an IPv6 address, a port that is none
            pass
    raise bad_address(INTERFACE, address)
