"""What ``--from`` and ``--to`` mean on a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Reading
from inferatlas.measure.metering.logs.log import Log, log_of
from inferatlas.measure.metering.logs.moments import moment

SECOND = 10**9
CARD = Channel("file", "0", "power_w", "instant", None)
NOON = 1_715_342_400 * SECOND  # 2024-05-10T12:00:00Z


def a_log(first_s: float, last_s: float, unix_ns: int | None = None) -> Log:
    return log_of([CARD], [Reading(0, int(at * SECOND), 400.0) for at in (first_s, last_s)], unix_ns)


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("10s", 15.0),
        ("0s", 5.0),
        ("+2min", 125.0),
        ("1.5 h", 5405.0),
        ("250ms", 5.25),
        ("-10s", 55.0),
        ("-0s", 65.0),
        ("7", 7.0),
        ("7.25", 7.25),
        (" 1e1 ", 10.0),
        ("2024-05-10T12:00:30Z", 30.0),
        ("2024-05-10 12:00:30", 30.0),
        ("2024-05-10T14:00:30.5+02:00", 30.5),
        ("2024-05-10T12:01Z", 60.0),
        ("2024/05/10 12:00:30.250", 30.25),
        ("Fri May 10 12:00:30 UTC 2024", 30.0),
        ("1715342430", 30.0),
        ("1715342430.5", 30.5),
        ("2024-05-10T11:59:30Z", -30.0),
        ("10h", 36005.0),
    ],
)
def test_a_moment(text, at_s):
    assert moment(text, a_log(5, 65, NOON), field="from") == at_s * SECOND


def test_a_bare_number_is_on_the_clock_of_the_log_where_no_date_is_known():
    assert moment("1715342430", a_log(5, 65), field="to") == 1_715_342_430 * SECOND


@given(st.integers(0, 10**17))
def test_a_bare_number_finds_the_reading_whose_time_it_is(t_ns):
    log = log_of([CARD], [Reading(0, t_ns, 1.0)])
    assert abs(moment(repr(t_ns / 1e9), log, field="from") - t_ns) <= max(1, t_ns * 2**-52)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a number with a unit"),
        ("soon", "is not a number with a unit"),
        ("10 W", "'W' is not a unit of s"),
        ("-10", "write -10s to count from the end"),
        ("2024-05-10T12:00:61Z", "not in the calendar"),
        ("1969-12-31T00:00:00Z", "out of range"),
        ("--10s", "has two signs"),
        ("2024-05-10", "is not a time"),
        ("12:00:30", "has no date"),
        ("10/05/2024 12:00", "the day or the month"),
        ("1e400", "out of range"),
        ("-1e30s", "out of range"),
        ("1789100381000", "out of range"),
        ("nan", "is not a number with a unit"),
    ],
)
def test_what_is_none_is_refused_with_the_extent_of_the_log(text, said):
    log = a_log(5, 65, NOON)
    with pytest.raises(BadInput) as caught:
        moment(text, log, field="to")
    assert caught.value.field == "to"
    assert said in caught.value.message
    assert "the log runs from 2024-05-10T12:00:05.000Z to 2024-05-10T12:01:05.000Z" in caught.value.message
    assert "10s" in (caught.value.allowed or "")


def test_a_date_needs_a_log_that_knows_its_own():
    with pytest.raises(BadInput) as caught:
        moment("2024-05-10T12:00:30Z", a_log(5, 65), field="from")
    assert "does not say at which date" in caught.value.message
    assert "the log runs from 5 to 65" in caught.value.message


def test_an_empty_log_has_no_moments():
    with pytest.raises(BadInput, match="holds no reading"):
        moment("1s", log_of([CARD], []), field="from")
