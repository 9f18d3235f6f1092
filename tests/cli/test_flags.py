"""Names that the command line repeats, so that help need not load the advisor, are those of the advisor."""

from typing import get_args

from inferatlas.cli import flags
from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.show import deployment, output


def test_objectives_are_those_of_the_advisor():
    assert set(get_args(flags.Objective)) == set(OBJECTIVES) == set(deployment.AIMS)


def test_formats_are_those_that_can_be_written():
    assert get_args(flags.Format) == output.FORMATS
    assert set(output.EXTENSIONS.values()) == set(output.FORMATS)
