"""Logs of other tools: what each column means, and what is refused, left out or repaired.

Fixtures are in the forms of the tools, as the documents named in `formats_tools.py` show them; numbers are made up but
for those of PTDaemon, which are from https://github.com/mlcommons/power-dev .
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.logs.formats_tools import of_generation
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables import read_log
from inferatlas.measure.metering.scope import Scope

FIXTURES = Path(__file__).parent / "fixtures"


def shown(log: Log) -> list[tuple[object, ...]]:
    """What the channels of a log mean, in short."""
    return [
        (one.source, one.device, one.semantics, one.scope, one.window_s, one.assumed, one.shared)
        for one in log.channels
    ]


def values(log: Log) -> list[list[float]]:
    return [one.value.tolist() for one in log.series]


def seconds(log: Log, number: int = 0) -> list[float]:
    return (log.series[number].t_ns / 1e9).round(6).tolist()


def refusal(path: Path, **given: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_log(path, **given)  # pyright: ignore[reportArgumentType]
    assert caught.value.file == str(path)
    return caught.value


@pytest.fixture
def written(tmp_path):
    """A file of a text."""

    def write(text: str, name: str = "power.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


class TestNvidiaSmi:
    def test_power_draw_is_what_the_generation_gives(self):
        log = read_log(FIXTURES / "nvidia_smi.csv")
        assert shown(log) == [
            ("nvidia-smi", "GPU-a0", "average", Scope.GPU, 1.0, False, False),
            ("nvidia-smi", "GPU-a1", "instant", Scope.GPU, None, False, False),
        ]
        assert [one.limit_w for one in log.channels] == [700.0, 400.0]
        assert [one.update_s for one in log.channels] == [0.1, 0.1]
        assert log.channels[0].name == "NVIDIA H100 80GB HBM3"

    def test_times_are_utc_and_say_so_and_repeated_headers_are_left_out(self):
        log = read_log(FIXTURES / "nvidia_smi.csv")
        assert log.unix_ns == 1_789_100_381_982_000_000
        assert seconds(log) == [0.0, 0.1, 2.008]
        assert "'timestamp' names no time zone: taken as UTC" in log.notes
        assert "headers that came again: 1, the first in line 6" in log.notes

    def test_what_is_not_available_is_a_fault_and_never_0(self):
        series = read_log(FIXTURES / "nvidia_smi.csv").series[1]
        assert series.fault.tolist() == [0, Fault.NOT_AVAILABLE, Fault.PERMISSION_DENIED]
        assert np.isnan(series.value[1:]).all()

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("NVIDIA A100-PCIE-40GB", ("instant", None, False)),
            ("NVIDIA A30", ("instant", None, False)),
            ("Tesla V100-SXM2-16GB", ("instant", None, False)),
            ("Tesla T4", ("instant", None, False)),
            ("NVIDIA GeForce RTX 2080 Ti", ("instant", None, False)),
            ("NVIDIA A40", ("average", 1.0, False)),
            ("NVIDIA A10G", ("average", 1.0, False)),
            ("NVIDIA RTX A6000", ("average", 1.0, False)),
            ("NVIDIA GeForce RTX 3090", ("average", 1.0, False)),
            ("NVIDIA RTX 6000 Ada Generation", ("average", 1.0, False)),
            ("NVIDIA L4", ("average", 1.0, False)),
            ("NVIDIA L40S", ("average", 1.0, False)),
            ("NVIDIA H200", ("average", 1.0, False)),
            ("NVIDIA GB200", ("average", 1.0, False)),
            ("NVIDIA B200", ("average", 1.0, False)),
            ("NVIDIA of tomorrow", ("instant", None, True)),
            ("", ("instant", None, True)),
        ],
    )
    def test_generations(self, name, kind):
        assert of_generation(name) == kind

    def test_several_columns_are_several_channels_and_modules_may_overlap(self):
        log = read_log(FIXTURES / "nvidia_smi_ways.csv")
        assert shown(log)[:4] == [
            ("nvidia-smi", "GPU-b0", "average", Scope.GPU, 1.0, False, False),
            ("nvidia-smi", "GPU-b0", "instant", Scope.GPU, None, False, False),
            ("nvidia-smi", "GPU-b0", "average", Scope.MODULE, 1.0, False, True),
            ("nvidia-smi", "GPU-b0", "instant", Scope.MODULE, None, False, True),
        ]
        assert values(log)[:4] == [[187.8, 287.8], [190.1, 290.1], [310.5, 410.5], [312.0, 412.0]]
        assert log.channels[2].limit_w == 1000.0

    def test_power_draw_is_read_where_the_columns_that_say_more_are_empty(self):
        log = read_log(FIXTURES / "nvidia_smi_old.csv")
        assert shown(log) == [("nvidia-smi", "0", "instant", Scope.GPU, None, True, False)]
        assert values(log) == [[120.0, 121.0]]
        assert "'module.power.draw.average [W]' of 0 has no value: left out" in log.notes

    def test_a_device_without_any_value_keeps_its_faults(self, written):
        log = read_log(
            written(
                "timestamp, index, power.draw [W]\n"
                "2026/09/11 04:19:41.9, 0, [GPU is lost]\n2026/09/11 04:19:42.9, 0, [Not Supported]\n"
            )
        )
        assert log.series[0].fault.tolist() == [Fault.DEVICE_LOST, Fault.NOT_SUPPORTED]
        assert np.isnan(log.series[0].value).all()

    def test_rows_of_several_devices_without_names_are_refused(self):
        error = refusal(FIXTURES / "nvidia_smi_anyone.csv")
        assert "several devices" in error.message
        assert "uuid" in (error.hint or "")

    def test_a_line_that_was_cut_off_is_left_out_with_a_note(self):
        log = read_log(FIXTURES / "nvidia_smi_cut.csv")
        assert values(log) == [[187.8, 412.1]]
        assert any(note.startswith("line 4 has no end and seems cut off") for note in log.notes)

    def test_a_whole_last_line_without_a_line_break_is_kept(self, written):
        text = (FIXTURES / "nvidia_smi.csv").read_text().rstrip("\n")
        assert sum(one.t_ns.size for one in read_log(written(text)).series) == 6

    def test_a_log_without_header_is_refused_with_what_to_do(self, written):
        error = refusal(written("2026/09/11 04:19:41.982, 0, 187.80 W\n2026/09/11 04:19:42.982, 0, 187.80 W\n"))
        assert "noheader" in (error.hint or "")
        assert error.line == 1

    def test_dmon_counts_whole_seconds_from_their_start(self):
        log = read_log(FIXTURES / "nvidia_dmon.txt")
        assert shown(log) == [("nvidia-smi", n, "instant", Scope.GPU, None, True, False) for n in ("0", "1")]
        assert seconds(log) == [0.5, 1.5, 2.5]
        assert log.unix_ns == 1_789_100_352_000_000_000
        assert log.channels[0].u_time_s == pytest.approx(1 / 12**0.5)
        assert log.series[1].fault.tolist() == [0, Fault.NOT_AVAILABLE, 0]
        assert "stamps are the seconds that had begun: their middles are taken" in log.notes

    def test_dmon_without_times_is_refused_with_what_to_do(self):
        error = refusal(FIXTURES / "nvidia_dmon_untimed.txt")
        assert error.message == "no column of times"
        assert "-o DT" in (error.hint or "")


def test_dcgmi_gives_power_and_energy_of_whole_gpus_and_needs_times_before_its_lines(written):
    log = read_log(FIXTURES / "dcgmi_dmon.txt")
    assert shown(log) == [
        ("dcgm", "GPU 0", "average", Scope.GPU, None, True, False),
        ("dcgm", "GPU 0", "counter", Scope.GPU, None, False, False),
        ("dcgm", "GPU 1", "counter", Scope.GPU, None, False, False),
    ]
    assert values(log)[:2] == [[120.512, 130.512, 140.512], [1234567.0, 1234580.0, 1234594.0]]
    assert seconds(log) == [0.0, 0.1, 0.2]
    assert log.unix_ns == 1_789_100_352_235_000_000
    assert "rows of other things than whole GPUs that are left out: 1" in log.notes
    assert "'POWER' of GPU 1 has no value: left out" in log.notes
    bare = written("#Entity   POWER\nID         W\nGPU 0     120.5\nGPU 0     121.5\n")
    assert "ts '%.s'" in (refusal(bare).hint or "")


class TestAmd:
    def test_rows_of_one_second_are_spread_over_it(self):
        log = read_log(FIXTURES / "amd_smi_metric.csv")
        assert shown(log)[:2] == [
            ("amd-smi", "0", "instant", Scope.GPU, None, True, False),
            ("amd-smi", "0", "counter", Scope.GPU, None, False, False),
        ]
        assert seconds(log) == [0.25, 0.75, 1.5]
        assert values(log)[:2] == [[288.0, 300.0, 1180.0], [1000.0, 1147.0, 1870.0]]
        assert {round(one.u_time_s, 4) for one in log.channels} == {0.2887}
        assert "readings of one second are spread evenly over it" in log.notes
        assert "lines before the header that are not read: 1" in log.notes
        assert log.series[2].fault.tolist() == [0, Fault.NOT_AVAILABLE, 0]

    def test_partitions_of_a_device_are_not_devices(self):
        log = read_log(FIXTURES / "amd_smi_monitor.csv")
        assert values(log) == [[288.0, 290.0]]
        assert log.channels[0].limit_w == 1400.0
        assert "rows of partitions of a GPU that are left out: 2" in log.notes

    def test_rocm_smi_names_averages(self):
        log = read_log(FIXTURES / "rocm_smi.csv")
        assert shown(log) == [
            ("rocm-smi", card, "average", Scope.GPU, None, False, False) for card in ("card0", "card1")
        ]
        assert log.unix_ns == 1_789_093_181_500_000_000  # 02:19:41.5 UTC
        assert "no time" in (refusal(FIXTURES / "rocm_smi_untimed.csv").hint or "")


def test_xpu_smi_goes_on_after_midnight_and_keeps_what_no_device_draws(written):
    log = read_log(FIXTURES / "xpu_smi.csv")
    assert shown(log)[:2] == [
        ("xpu-smi", "0", "average", Scope.GPU, None, False, False),
        ("xpu-smi", "0", "counter", Scope.GPU, None, False, False),
    ]
    assert log.unix_ns is None
    assert seconds(log) == [86398.736, 86399.736, 86400.736]
    assert not log.reasons
    assert values(log)[2][2] == 3.7e12
    tiles = read_log(written("Timestamp, DeviceId, TileId, GPU Power (W)\n06:14:46.000,    0,    1, 14.61\n"))
    assert shown(tiles) == [("xpu-smi", "0/1", "average", Scope.DIE, None, False, False)]


def test_hl_smi_is_known_by_its_columns_or_its_stamps(written):
    log = read_log(FIXTURES / "hl_smi.csv")
    assert shown(log) == [("hl-smi", "01P0-HL2080A0-15-TNPS35-06-05-00", "instant", Scope.BOARD, None, True, False)]
    assert log.unix_ns == 1_694_525_797_000_000_000
    assert seconds(log) == [0.5, 1.5]
    plain = written("timestamp, index, power.draw [W]\nTue Sep 12 13:36:37 IDT 2023, 0, 102 W\n")
    assert read_log(plain).channels[0].source == "hl-smi"
    assert "the zone IDT of 'timestamp' is not known for sure: taken as UTC" in read_log(plain).notes


def test_an_analyser_gives_averages_of_a_second():
    log = read_log(FIXTURES / "ptdaemon.txt", scope="node_ac")
    assert shown(log) == [("ptdaemon", "0", "average", Scope.NODE_AC, 1.0, False, False)]
    assert log.channels[0].gain == 0.01
    assert values(log) == [[23.43, 33.52, 41.33]]
    assert seconds(log) == [0.0, 1.009, 2.018]


class TestMeters:
    def test_units_of_the_header_are_converted(self):
        log = read_log(FIXTURES / "pdu.csv")
        assert shown(log)[:2] == [
            ("pdu", "A1", "instant", None, None, True, False),
            ("pdu", "A1", "counter", None, None, False, False),
        ]
        assert values(log)[0] == [1250.0, 1260.0]
        assert values(log)[1] == pytest.approx([100.1 * 3.6e6, 100.2 * 3.6e6])
        assert log.channels[0].gain == 0.01
        assert log.channels[0].u_time_s == pytest.approx(60 / 12**0.5)
        assert log.series[2].fault.tolist() == [0, Fault.NOT_AVAILABLE]

    def test_columns_that_may_hold_each_other_are_not_to_be_added(self, written):
        log = read_log(FIXTURES / "pdu_wide.csv")
        assert [(one.device, one.shared) for one in log.channels] == [("inlet power", True), ("outlet power", True)]
        total = written("time_s,outlet,power_w\n0,A1,100\n0,Total,200\n1,A1,100\n1,Total,200\n")
        assert all(one.shared for one in read_log(total).channels)

    def test_milliwatts_and_milliseconds(self):
        log = read_log(FIXTURES / "ipu.csv")
        assert [one.device for one in log.channels] == ["0", "1"]
        assert values(log)[0] == [61.0, 63.0]
        assert seconds(log) == [0.0, 0.5]

    def test_devices_of_several_hosts_stay_apart(self):
        log = read_log(FIXTURES / "nodes.csv")
        assert [one.device for one in log.channels] == ["host-a/0", "host-b/0"]
        assert log.unix_ns == 1_789_948_800_500_000_000

    def test_hosts_beside_our_own_columns(self, written):
        log = read_log(written("time_s,hostname,device,power_w\n0,a,0,400\n0,b,0,410\n1,a,0,420\n"))
        assert [(one.channel.device, one.value.tolist()) for one in log.series] == [
            ("a/0", [400.0, 420.0]),
            ("b/0", [410.0]),
        ]
        error = refusal(written("time_s,hostname,device,power_w,scope\n0,a,0,400,gpu\n"))
        assert (error.field, error.line) == ("scope", 1)

    @pytest.mark.parametrize(
        ("header", "column", "said"),
        [
            ("time_s,Power (hp)", "power", "'hp' is no unit"),
            ("time_s,Apparent Power (VA),Total Power (BTU/h)", "total power", "'BTU/h' is no unit"),
            ("time_s,power", "power", "has no unit"),
            ("timestamp, index, power.draw [J]", "power.draw [J]", "'J' is no unit of power"),
            ("timestamp, index, power.draw [hp]", "power.draw [hp]", "'hp' is no unit of power"),
            ("timestamp, index, power.draw [W], power.limit [hp]", "power.limit [hp]", "'hp' is no unit of power"),
        ],
    )
    def test_an_unknown_unit_is_refused_by_its_column(self, written, header, column, said):
        row = ",".join("1" for _ in header.split(","))
        error = refusal(written(f"{header}\n{row}\n"))
        assert error.field == column
        assert said in error.message
        assert "kWh" in (error.allowed or "")
        assert error.line == 1

    def test_limits_and_apparent_power_are_not_power(self, written):
        log = read_log(written("time_s,power_limit_w,Apparent Power (VA),Power (W)\n0,700,900,400\n"))
        assert values(log) == [[400.0]]

    def test_an_average_says_so_in_its_name(self, written):
        log = read_log(written("time_s,Average Power (W)\n0,400\n"))
        assert shown(log)[0][2] == "average"

    def test_watts_are_watts(self, written):
        assert values(read_log(written("time_s,Watts\n0,400\n"))) == [[400.0]]


class TestWrongValues:
    @pytest.mark.parametrize(
        ("cell", "said"),
        [
            ("much", "'much' is not a number"),
            ("0.19 kW", "is in kW, and its column in W"),
            ("187,8", "decimal comma"),
            ("inf", "is not finite"),
        ],
    )
    def test_text_where_a_number_is_names_its_line(self, written, cell, said):
        text = f'timestamp, index, power.draw [W]\n2026/09/11 04:19:41, 0, 100 W\n2026/09/11 04:19:42, 0, "{cell}"\n'
        error = refusal(written(text))
        assert (error.line, error.field) == (3, "power.draw [W]")
        assert said in error.message

    @pytest.mark.parametrize(
        ("stamp", "said"),
        [
            ("yesterday", "is not a time like the first"),
            ("", "is empty"),
            ("2026-09-11 04:19:42", "is not a time like the first"),
            ("2026/13/11 04:19:42", "is not a time like the first"),
            ("1926/09/11 04:19:42", "out of range"),
        ],
    )
    def test_a_wrong_time_names_its_line(self, written, stamp, said):
        rows = f"2026/09/11 04:19:41, 0, 100 W\n{stamp}, 0, 100 W\n2026/09/11 04:19:43, 0, 100 W\n"
        error = refusal(written("timestamp, index, power.draw [W]\n" + rows))
        assert (error.line, error.field) == (3, "timestamp")
        assert said in error.message

    def test_a_date_that_may_begin_with_the_day_or_the_month_is_refused(self, written):
        error = refusal(written("datetime,Power (W)\n01/02/2024 10:00:00,400\n"))
        assert "the day or the month" in error.message

    def test_a_row_with_a_value_too_few_is_refused_but_for_the_last(self, written):
        head = "timestamp, index, power.draw [W]\n2026/09/11 04:19:41, 0, 100 W\n"
        error = refusal(written(f"{head}2026/09/11 04:19:42, 0\n2026/09/11 04:19:43, 0, 100 W\n"))
        assert (error.line, error.message, error.allowed) == (3, "2 values in a row", "3, as in the header")

    def test_a_column_given_twice_is_refused(self, written):
        error = refusal(written("timestamp, index, power.draw [W], power.draw [W]\n2026/09/11 04:19:41, 0, 1 W, 2 W\n"))
        assert error.message == "is given twice"

    def test_a_device_without_a_name_is_refused(self, written):
        text = "timestamp, uuid, power.draw [W]\n2026/09/11 04:19:41, GPU-1, 100 W\n2026/09/11 04:19:42, , 100 W\n"
        assert refusal(written(text)).line == 3

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "is empty"),
            (b"\n \n", "is empty"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"\xff\xfet\x00", "UTF-16"),
            (b"time_s,power_w\n0,400\n1,\xff\xfe\n", "is not UTF-8"),
            (b"a,b\n1,2\n", "no column of power or energy"),
            (b"a\0b", "is not text"),
            (b'{"gpu": 0}', "is JSON"),
            (b"time_s,power_w\r0,400\r", "carriage returns alone"),
            (b"time_s;power_w\n0,5;400\n", "'0,5' has a decimal comma"),
            (b"timestamp, index, power.draw [W]\n", "holds no reading"),
        ],
    )
    def test_what_is_no_log_is_refused(self, tmp_path, data, said):
        path = tmp_path / "power.csv"
        path.write_bytes(data)
        assert said in refusal(path).message

    def test_a_file_that_does_not_exist_is_refused(self, tmp_path):
        assert "cannot be read" in refusal(tmp_path / "none.csv").message


class TestClocks:
    def test_time_that_goes_backwards_is_kept_and_makes_the_log_invalid(self, written):
        rows = "2026/09/11 04:19:42.5, 0, 1 W\n2026/09/11 04:19:41.5, 0, 2 W\n2026/09/11 04:19:43.5, 0, 3 W\n"
        log = read_log(written("timestamp, index, power.draw [W]\n" + rows))
        assert log.reasons == ("clock_jump",)
        assert values(log) == [[1.0, 2.0, 3.0]]
        assert seconds(log) == [1.0, 0.0, 2.0]
        assert "times of 0 go backwards in line 3" in log.notes

    def test_rows_sorted_by_device_are_no_jump(self, written):
        rows = "".join(f"2026/09/11 04:19:4{s}.5, {gpu}, 1 W\n" for gpu in (0, 1) for s in (1, 2, 3))
        log = read_log(written("timestamp, index, power.draw [W]\n" + rows))
        assert not log.reasons
        assert seconds(log, 1) == [0.0, 1.0, 2.0]

    def test_equal_stamps_with_fractions_are_kept(self, written):
        rows = "2026/09/11 04:19:41.5, 0, 1 W\n" * 2
        assert seconds(read_log(written("timestamp, index, power.draw [W]\n" + rows))) == [0.0, 0.0]

    @pytest.mark.parametrize(
        ("stamps", "unix_ns", "said"),
        [
            (("1789948800", "1789948801"), 1_789_948_800 * 10**9, "seconds since 1970"),
            (("1789948800000", "1789948801000"), 1_789_948_800 * 10**9, "milliseconds since 1970"),
            (("1789948800000001", "1789948801000001"), 1_789_948_800_000_001_000, "microseconds since 1970"),
            (("1789948800000000001", "1789948801000000001"), 1_789_948_800_000_000_001, "nanoseconds since 1970"),
            (("1789948800.123456789", "1789948801.123456789"), 1_789_948_800_123_456_789, "seconds since 1970"),
        ],
    )
    def test_numbers_since_1970_are_known_by_their_size(self, written, stamps, unix_ns, said):
        text = "ts,gpu,Power (W)\n" + "".join(f"{one},0,400\n" for one in stamps)
        log = read_log(written(text))
        assert log.unix_ns == unix_ns
        assert seconds(log) == [0.0, 1.0]
        assert f"numbers in 'ts' are taken as {said}" in log.notes

    @pytest.mark.parametrize(
        ("stamps", "at_s"),
        [
            (
                ("2024/05/10 04:19:41", "2024/05/10 04:19:41.25", "2024/05/10 04:19:42.123456789"),
                [0, 0.25, 1.123456789],
            ),
            (("2024-05-10T04:19:41,5Z", "2024-05-10T04:19:42Z"), [0, 0.5]),
            (("2024-05-10 04:19 UTC", "2024-05-10 04:21 UTC"), [0, 120]),
            (("20240510 23:59:59.9+02", "20240511 00:00:00.1+02"), [0, 0.2]),
        ],
    )
    def test_fractions_of_any_length(self, written, stamps, at_s):
        log = read_log(written("datetime;Power (W)\n" + "".join(f"{one};400\n" for one in stamps)))
        assert (log.series[0].t_ns / 1e9).tolist() == pytest.approx(at_s, abs=1e-9)

    @pytest.mark.parametrize(
        "odd", ["04:19:42.", "04:19:42.+5", "04:19:42.1234567890", "04:19", "04:19:42 5", "04:19:61"]
    )
    def test_a_stamp_that_is_not_quite_like_the_first_is_refused(self, written, odd):
        error = refusal(written(f"datetime,Power (W)\n2024-05-10 04:19:41.5,1\n2024-05-10 {odd},2\n"))
        assert error.line == 3

    def test_an_impossible_first_stamp_is_not_in_the_calendar(self, written):
        assert "not in the calendar" in refusal(written("datetime,Power (W)\n2024-02-30 04:19:41,1\n")).message

    def test_times_of_day_are_of_the_day_in_utc(self, written):
        log = read_log(written("Timestamp,Power (W)\n00:30:00.5+01:00,1\n00:30:01.5+01:00,2\n"))
        assert seconds(log) == [23.5 * 3600 + 0.5, 23.5 * 3600 + 1.5]

    def test_zones_that_change_are_followed(self, written):
        text = "datetime,Power (W)\n2024-03-31T01:59:59.5+01:00,1\n2024-03-31T03:00:00.5+02:00,2\n"
        log = read_log(written(text))
        assert seconds(log) == [0.0, 1.0]
        assert not log.notes

    def test_a_number_of_another_size_is_refused(self, written):
        error = refusal(written("ts,Power (W)\n1789948800,1\n1789948801000,1\n"))
        assert error.line == 3
        assert "another unit" in error.message


class TestWhatIsTold:
    def test_fills_in_what_the_log_leaves_open(self):
        log = read_log(FIXTURES / "pdu.csv", scope=Scope.RACK, window_s=1.0)
        assert shown(log)[0] == ("pdu", "A1", "average", Scope.RACK, 1.0, False, False)
        assert log.channels[1].semantics == "counter"

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"scope": "node_ac"}, "scope"),
            ({"semantics": "instant"}, "semantics"),
            ({"window_s": 0.1}, "window_s"),
        ],
    )
    def test_never_contradicts_the_log(self, given, field):
        with pytest.raises(BadInput) as caught:
            read_log(FIXTURES / "nvidia_smi.csv", **given)
        assert caught.value.field == field

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"scope": "shelf"}, "scope"),
            ({"semantics": "counter"}, "semantics"),
            ({"window_s": 0.0}, "window_s"),
            ({"semantics": "instant", "window_s": 1.0}, "window_s"),
            ({"window_s": 1e300}, "window_s"),
        ],
    )
    def test_is_checked(self, given, field):
        with pytest.raises(BadInput) as caught:
            read_log(FIXTURES / "pdu.csv", **given)
        assert caught.value.field == field


DAMAGE = [
    b"",
    b",",
    b"\n",
    b'"',
    b"N/A",
    b"-",
    b"1e400",
    b";",
    b"#",
    b"Z",
    b"9" * 20,
    b"\xff",
    b"\r",
    b" W",
    b"(W)",
    b"\0",
]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(path.name for path in FIXTURES.iterdir())),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(DAMAGE)), min_size=1, max_size=4),
)
def test_a_damaged_log_is_read_or_refused(tmp_path_factory, name, places):
    data = (FIXTURES / name).read_bytes()
    for share, length, put in places:
        at = int(share * len(data))
        data = data[:at] + put + data[at + length :]
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(data)
    try:
        log = read_log(path)
    except BadInput as error:
        assert error.file == str(path)
    else:
        assert all(np.isnan(one.value[one.fault != 0]).all() for one in log.series)
        assert all(np.isfinite(one.value[one.fault == 0]).all() for one in log.series)
