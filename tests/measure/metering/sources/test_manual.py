"""A typed power as a source."""

from __future__ import annotations

import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.channel import Channel, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.sources.manual import INTERFACE, open_source


@pytest.mark.parametrize(
    ("address", "power_w", "scope"),
    [
        ("400W", 400.0, None),
        ("400 W@rack", 400.0, Scope.RACK),
        ("21.5kW@node_ac", 21_500.0, Scope.NODE_AC),
        ("1,200 W@Board", 1200.0, Scope.BOARD),
        ("400W@", 400.0, None),
    ],
)
def test_gives_what_was_typed_whenever_it_is_read(address, power_w, scope):
    times = iter((7, 9))
    source = open_source(address, clock=times.__next__)
    assert source.channels == (Channel("manual", "manual", "power_w", "instant", scope, gain=0.05, assumed=True),)
    assert [*source.read(), *source.read()] == [Reading(0, 7, power_w), Reading(0, 9, power_w)]
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("", BadInput),
        ("@rack", BadInput),
        ("0 W", BadInput),
        ("-4W", BadInput),
        ("400", BadInput),
        ("400J", BadInput),
        ("much", BadInput),
        ("400W@shelf", UnknownName),
    ],
)
def test_what_is_no_power_or_no_scope_is_refused(address, kind):
    with pytest.raises(kind) as caught:
        open_source(address)
    assert caught.value.field == "source"
    assert caught.value.allowed


def test_is_never_looked_for():
    assert not INTERFACE.local
