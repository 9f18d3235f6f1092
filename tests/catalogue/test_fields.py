"""Each field takes its own kind of unit, and the units of counted things agree with what they say."""

import pytest

from inferatlas.catalogue.accelerators import accelerators
from inferatlas.catalogue.fields import COUNT_UNITS, TEXT, si_factor, units_of


@pytest.mark.parametrize(
    ("field", "units"),
    [
        ("peak_fp8", ("FLOP/s",)),
        ("mem.hbm.capacity", ("B",)),
        ("mem.l1_smem.capacity.per_sm", ("B",)),
        ("mem.sram.bandwidth", ("B/s",)),
        ("interconnect.scale_up.per_direction", ("B/s",)),
        ("interconnect.scale_up.max_domain", ("1",)),
        ("power.tdp", ("W",)),
        ("clock_boost", ("Hz",)),
        ("die_area", ("m2",)),
        ("software.vllm", (TEXT,)),
        ("mem.hbm.speed", None),
        ("watts", None),
    ],
)
def test_units_of_a_field(field: str, units: tuple[str, ...] | None):
    assert units_of(field) == units


def test_every_number_of_the_catalogue_is_in_the_unit_of_its_field():
    for one in accelerators():
        for fact in one.facts:
            if isinstance(fact.value, float):
                assert fact.unit in (units_of(fact.field) or ()), (one.id, fact)


def test_counted_things_are_pure_numbers():
    assert {si_factor(unit) for unit in COUNT_UNITS} == {(1.0, "1"), (1e6, "1"), (1e9, "1"), (1e12, "1")}
