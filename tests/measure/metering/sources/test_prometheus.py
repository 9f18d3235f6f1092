"""An exporter's metrics are known by name, in SI, once per device; what is unknown, cut or N/A is no number."""

import logging
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_servers import Served, send

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import prometheus
from inferatlas.measure.metering.sources.prometheus_metrics import METRICS

FIXTURES = Path(__file__).parent / "fixtures"
GPU = 'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-aaa"}'


def recorded(name):
    return (FIXTURES / f"{name}.prom").read_text(encoding="utf-8")


class Scraped(Served):
    """An exporter on this machine that shows ``text``, with a status other than 200, or silent until it is closed."""

    def __init__(self):
        self.text, self.status, self.asked, self.silent = "", 200, [], False
        super().__init__(self.answer)

    def answer(self, handler):
        self.asked.append(handler.path)
        if self.silent:
            self.over.wait(20)
        send(handler, self.status, self.text.encode())


@pytest.fixture
def exporter():
    running = Scraped()
    yield running
    running.close()


def opened(exporter, text):
    exporter.text = text
    return prometheus.open_source(f"{exporter.url}/metrics")


def described(source):
    return [(one.device, one.quantity, one.semantics, one.scope, one.part) for one in source.channels]


def refused(exporter, text):
    with pytest.raises(Unavailable) as caught:
        opened(exporter, text)
    return caught.value


def test_dcgm_gives_average_power_in_watts_and_energy_in_joules(exporter):
    source = opened(exporter, recorded("dcgm"))
    assert described(source) == [
        ("GPU-aaa", "power_w", "average", Scope.GPU, ""),
        ("GPU-bbb", "power_w", "average", Scope.GPU, ""),
        ("GPU-aaa", "energy_j", "counter", Scope.GPU, ""),  # the other has none: DCGM's number for "no value"
    ]
    assert [one.value for one in source.read()] == pytest.approx([320.25, 98.5, 164901192.038])
    assert source.channels[0].name == "NVIDIA H100 80GB HBM3"
    assert source.channels[0].assumed  # instant on A100, where nothing says so
    assert source.notes == ("GPU-bbb: no counter energy (not_available)",)
    assert source.channels[0].u_time_s > 0
    assert source.least_s == 1.0


def test_dcgm_instant_power_is_another_quantity(exporter):
    source = opened(exporter, f"{GPU} 300\n" + GPU.replace("USAGE", "USAGE_INSTANT") + " 310\n")
    assert [one.semantics for one in source.channels] == ["average", "instant"]


def test_newer_names_of_dcgm_mean_the_same(exporter):
    labels = '{gpu="0",UUID="GPU-aaa"}'
    text = f"DCGM_FI_DEV_BOARD_POWER_WATTS{labels} 300\nDCGM_FI_DEV_BOARD_POWER_RAW_WATTS{labels} 310\n"
    source = opened(exporter, text + f"DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{labels} 5000\n")
    assert [one.semantics for one in source.channels] == ["average", "instant", "counter"]
    assert [one.value for one in source.read()] == [300.0, 310.0, 5000.0]


def test_an_energy_in_two_units_is_one_energy(exporter):
    labels = '{gpu="0",UUID="GPU-aaa"}'
    text = f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} 5000123\nDCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{labels} 5000\n"
    source = opened(exporter, text)
    assert [one.value for one in source.read()] == pytest.approx([5000.123])


def test_slices_of_a_gpu_repeat_its_watts_and_count_once(exporter):
    source = opened(exporter, recorded("dcgm_mig"))
    assert [one.device for one in source.channels] == ["GPU-aaa", "GPU-bbb"]
    assert [one.value for one in source.read()] == [210.5, 60.0]


@pytest.mark.parametrize("model", ["NVIDIA GH200 480GB", "NVIDIA GB200", "NVIDIA GB300"])
def test_the_scope_of_a_gpu_on_a_module_with_a_cpu_is_unknown(exporter, model):
    (channel,) = opened(exporter, GPU[:-1] + f',modelName="{model}"}} 600\n').channels
    assert (channel.scope, channel.shared) == (None, True)


def test_of_a_pdu_only_the_total_is_read(exporter):
    source = opened(exporter, recorded("pdu_sambanova"))
    assert described(source) == [("PDU-1 total0", "power_w", "instant", Scope.RACK, "")]
    assert [one.value for one in source.read()] == [6438.0]
    assert source.channels[0].gain == 0.01


LOST = 'pdu_measurement_unavailable{device="PDU-1",level="total",entity="total0",type="realPower"} 1\n'


def test_a_measurement_that_the_pdu_loses_is_missing(exporter):
    source = opened(exporter, recorded("pdu_sambanova"))
    exporter.text = (
        "\n".join(line for line in recorded("pdu_sambanova").split("\n") if 'level="total"' not in line) + LOST
    )
    (reading,) = source.read()
    assert (reading.fault, math.isnan(reading.value)) == (Fault.NOT_AVAILABLE, True)
    assert "lost its measurement" in str(refused(exporter, exporter.text).hint)


def test_node_exporter_gives_packages_memory_and_cards_by_their_driver(exporter):
    source = opened(exporter, recorded("node_exporter"))
    package, memory = "/sys/class/powercap/intel-rapl:0 0", "/sys/class/powercap/intel-rapl:0:1 0"
    amd, intel = "0000:00:01_0_0000:03:00_0 power1", "0000:00:02_0_0000:05:00_0"
    assert set(described(source)) == {
        (amd, "power_w", "average", Scope.GPU, ""),
        ("7_0058 power1", "power_w", "average", None, ""),
        (f"{intel} energy1", "energy_j", "counter", Scope.BOARD, ""),
        (f"{intel} energy2", "energy_j", "counter", Scope.GPU, ""),
        (memory, "energy_j", "counter", Scope.MODULE, "dram"),
        (package, "energy_j", "counter", Scope.MODULE, ""),
        (package.replace("0 0", "1 1"), "energy_j", "counter", Scope.MODULE, ""),
    }
    assert {one.device for one in source.channels if one.shared} == {"7_0058 power1"}


def test_hosts_behind_one_address_are_told_apart(exporter):
    lines = [
        'node_rapl_package_joules_total{{instance="{0}",index="0",path="/sys/class/powercap/intel-rapl:0"}} {1}',
        'node_hwmon_chip_names{{instance="{0}",chip="0000:03:00_0",chip_name="{2}"}} 1',
        'node_hwmon_power_average_watt{{instance="{0}",chip="0000:03:00_0",sensor="power1"}} {1}',
    ]
    hosts = [("n1:9100", 5.0, "amdgpu"), ("n2:9100", 7.0, "pmbus")]
    source = opened(exporter, "".join(line.format(*host) + "\n" for host in hosts for line in lines))
    assert [(one.device, one.scope) for one in source.channels] == [
        ("n1:9100 /sys/class/powercap/intel-rapl:0 0", Scope.MODULE), ("n1:9100 0000:03:00_0 power1", Scope.GPU),
        ("n2:9100 /sys/class/powercap/intel-rapl:0 0", Scope.MODULE), ("n2:9100 0000:03:00_0 power1", None),
    ]  # fmt: skip
    assert [one.value for one in source.read()] == [5.0, 5.0, 7.0, 7.0]


def test_the_second_die_of_a_card_is_no_meter(exporter):
    lines = 'node_hwmon_chip_names{{chip="{0}",chip_name="amdgpu"}} 1\n'
    lines += 'node_hwmon_power_average_watt{{chip="{0}",sensor="power1"}} {1}\n'
    source = opened(exporter, lines.format("a", 89) + lines.format("b", 0))
    assert [one.device for one in source.channels] == ["a power1"]
    assert source.notes == ("b power1: no average power (0 W)",)


def test_kepler_gives_zones_of_a_node(exporter):
    line = 'kepler_node_cpu_joules_total{{node_name="n1",zone="{}",path="/sys/class/powercap/{}"}} {}\n'
    zones = [("package", "intel-rapl:0", 9.5), ("dram", "intel-rapl:0:1", 2.5), ("core", "intel-rapl:0:0", 4.5)]
    text = "".join(
        line.format(*zone) for zone in [*zones, ("psys", "intel-rapl:1", 20.5), ("package", "intel-rapl-mmio:0", 9.5)]
    )
    source = opened(exporter, text)
    assert [(one.scope, one.part) for one in source.channels] == [
        (Scope.MODULE, ""), (Scope.MODULE, "dram"), (Scope.BOARD, "platform"),
    ]  # fmt: skip
    assert [one.value for one in source.read()] == [9.5, 2.5, 20.5]


def test_our_own_exporter_says_everything_by_labels(exporter):
    text = (
        'inferatlas_power_watts{source="nvml",device="GPU-1",scope="gpu",semantics="average",part=""} 500\n'
        'inferatlas_power_watts{source="nvml",device="GPU-1",scope="gpu",semantics="instant",part=""} 510\n'
        'inferatlas_energy_joules_total{source="rapl",device="p0",scope="module",semantics="counter",part="dram"} 7\n'
        'inferatlas_power_watts{source="x",device="d",scope="of tomorrow",semantics="of tomorrow"} 1\n'
    )
    source = opened(exporter, text)
    assert described(source) == [
        ("nvml GPU-1", "power_w", "average", Scope.GPU, ""),
        ("nvml GPU-1", "power_w", "instant", Scope.GPU, ""),
        ("rapl p0", "energy_j", "counter", Scope.MODULE, "dram"),
        ("x d", "power_w", "instant", None, ""),
    ]
    assert [one.assumed for one in source.channels] == [False, False, False, True]


def test_every_row_says_where_its_meaning_is_documented():
    assert all(row.source.startswith("https://") or row.name.startswith("inferatlas") for row in METRICS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node_time_seconds 1.7e+09\n",
        GPU.replace("USAGE", "USAGE_MW") + " 320000\n",
        GPU.replace("POWER_USAGE", "POWER_MGMT_LIMIT") + " 700\n",
        'pdu_power_watts{device="PDU-1",entity="total0"} 6438\n',  # another exporter of the same name, without levels
        'DCGM_FI_DEV_POWER_USAGE{gpu="0"} 320\n',  # nothing that identifies the device
        "# HELP DCGM_FI_DEV_POWER_USAGE 320\n",
        f"{GPU} NaN\n",
        "<html>DCGM_FI_DEV_POWER_USAGE</html>",
    ],
)
def test_an_exporter_without_a_known_value_is_told_what_was_looked_for(exporter, text):
    error = refused(exporter, text)
    assert "none of the known metrics" in error.message
    assert "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION" in str(error.allowed)
    assert "pdu_power_watts" in str(error.allowed)


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (f"{GPU} NaN\n", Fault.NOT_AVAILABLE),
        (f"{GPU} 140737488355328\n", Fault.NOT_AVAILABLE),
        (f"{GPU} +Inf\n", Fault.UNREADABLE),
        ("node_time_seconds 1.7e+09\n", Fault.NOT_AVAILABLE),
        ("", Fault.NOT_AVAILABLE),
        (f"{GPU} 32", Fault.UNREADABLE),  # cut: of 320
        (f"{GPU} 320 W\n", Fault.UNREADABLE),
        (f"{GPU}\n", Fault.UNREADABLE),
        (GPU[:-6], Fault.UNREADABLE),
        (GPU[:-6] + "\n", Fault.UNREADABLE),
    ],
)
def test_what_an_exporter_shows_later_becomes_a_reason_and_never_0(exporter, later, fault):
    source = opened(exporter, f"{GPU} 320\n")
    exporter.text = later
    (reading,) = source.read()
    assert (reading.fault, math.isnan(reading.value)) == (fault, True)
    exporter.text = f"{GPU} 321 1700000000000\n"  # with a time of the exporter's clock, which is not ours
    before = time.monotonic_ns()
    (reading,) = source.read()
    assert reading.value == 321.0
    assert before < reading.t_ns < time.monotonic_ns()


def test_a_line_that_cannot_be_read_spoils_no_other(exporter):
    other = GPU.replace("aaa", "bbb")
    source = opened(exporter, f"{GPU} 320\n{other} 330\n")
    exporter.text = f'broken{{ 1\n{GPU} x\nalso="broken\n{other} 331\n'
    assert [one.fault for one in source.read()] == [Fault.UNREADABLE, Fault.NONE]


@pytest.mark.parametrize(
    ("status", "fault"), [(404, Fault.NOT_SUPPORTED), (500, Fault.FAILED), (403, Fault.PERMISSION_DENIED)]
)
def test_a_status_is_a_reason(exporter, status, fault):
    source = opened(exporter, f"{GPU} 320\n")
    exporter.status = status
    assert source.read()[0].fault is fault
    with pytest.raises(Unavailable, match=f"HTTP {status}"):
        opened(exporter, "")


def test_an_exporter_that_says_nothing_or_goes_away_is_not_waited_for():
    exporter = Scraped()
    source = opened(exporter, f"{GPU} 320\n")
    exporter.silent, source.timeout_s = True, 0.05
    assert source.read()[0].fault is Fault.TIMEOUT
    exporter.close()
    assert source.read()[0].fault is Fault.DEVICE_LOST
    source.close()
    source.close()


def test_an_address_without_a_path_is_that_of_the_metrics(exporter):
    exporter.text = recorded("pdu_sambanova")
    for path, asked in (("", "/metrics"), ("/", "/metrics"), ("/probe?target=pdu-7", "/probe?target=pdu-7")):
        prometheus.open_source(exporter.url + path)
        assert exporter.asked[-1] == asked


@pytest.mark.parametrize("address", ["", "node-7:9400", "file:///etc/passwd", "http://", "http://[", "http://a:x/"])
def test_another_address_is_refused(address):
    with pytest.raises(BadInput) as caught:
        prometheus.open_source(address)
    assert "http://host:port/metrics" in str(caught.value.allowed)
    assert caught.value.field == "source"


def test_an_address_with_a_password_is_refused_and_not_repeated():
    with pytest.raises(BadInput) as caught:
        prometheus.open_source("http://me:t0p-secret@node-7:9400/metrics")
    assert "t0p-secret" not in str(caught.value) + repr(caught.value) + str(caught.value.as_dict())


def test_a_token_in_an_address_shows_nowhere(exporter, caplog, capfd):
    exporter.text = f"{GPU} 320\n"
    with caplog.at_level(logging.DEBUG):
        source = prometheus.open_source(f"{exporter.url}/metrics?token=t0p-secret")
        source.read()
        said = []
        for status, text in ((200, ""), (403, "")):
            exporter.status, exporter.text = status, text
            with pytest.raises(Unavailable) as caught:
                prometheus.open_source(f"{exporter.url}/metrics?token=t0p-secret")
            said.append(str(caught.value) + str(caught.value.as_dict()))
    assert exporter.asked[0] == "/metrics?token=t0p-secret"
    assert "t0p-secret" not in "".join([repr(source), repr(source.channels), caplog.text, *said, *capfd.readouterr()])


known = st.sampled_from([row.name.split("(")[0] for row in METRICS] + ["node_hwmon_chip_names"])
lines = st.builds("{}{}".format, known, st.text(alphabet='{}="\\, \t#UD10.eNa+-_'))


@given(st.lists(lines | st.text()).map("\n".join))
def test_any_text_is_read_without_an_error(text):
    held, _ = prometheus.values_in(text)
    assert all((fault is Fault.NONE) == math.isfinite(value) for value, fault in held.values())
