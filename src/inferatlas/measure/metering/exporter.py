"""What is read, as metrics that a Prometheus server scrapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inferatlas.errors import BadInput
from inferatlas.measure.metering.live import Live

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry

LABELS = ("source", "device", "name", "scope", "part", "semantics")


def metrics(lives: Sequence[Live], cpu_s: Callable[[], float]) -> CollectorRegistry:
    """A registry whose collection shows what figures stand at then.

    ``inferatlas_power_watts`` (gauge; left out while a reading is missing, never 0), ``inferatlas_energy_joules_total``
    (counter, since the start), ``inferatlas_sampler_cpu_seconds_total``.

    Parameters
    ----------
    lives : figures of every channel. cpu_s : CPU seconds that sampling took.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Figures(Collector):
        def collect(self):
            power = GaugeMetricFamily("inferatlas_power_watts", "Power at the last reading.", labels=LABELS)
            energy = CounterMetricFamily("inferatlas_energy_joules", "Energy since the start.", labels=LABELS)
            for live in lives:
                one = live.channel
                scope = "unknown" if one.scope is None else one.scope.label
                labels = (one.source, one.device, one.name, scope, one.part, one.semantics)
                if live.watts is not None:
                    power.add_metric(labels, live.watts)
                energy.add_metric(labels, live.joules)
            yield power
            yield energy
            yield CounterMetricFamily("inferatlas_sampler_cpu_seconds", "CPU time of sampling.", value=cpu_s())

    registry = CollectorRegistry()
    figures: Collector = Figures()
    registry.register(figures)
    return registry


@contextmanager
def served(registry: CollectorRegistry, address: str) -> Iterator[str]:
    """Serve metrics over HTTP while the block runs; gives the address of the page.

    Parameters
    ----------
    address : ``127.0.0.1:9400``; port 0 takes a free one.

    Raises
    ------
    BadInput : not a host and a port, or one that is in use.
    """
    from prometheus_client import start_http_server

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise BadInput(f"'{address}' is not an address", field="prometheus", allowed="HOST:PORT, as in 127.0.0.1:9400")
    try:
        server, thread = start_http_server(int(port), host, registry)
    except OSError as error:
        raise BadInput(f"{address} cannot be listened on: {error.strerror or error}", field="prometheus") from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
