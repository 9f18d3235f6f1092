"""Measuring real machines (floor 4): `metering`, the power and energy of devices.

In: devices, files, commands. Out: samples on one monotonic clock, energies with their uncertainty. Nothing is imported
until it is used: ``inferatlas.measure.Meter()`` is the door from Python.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferatlas.measure.metering.meter import Meter

__all__ = ["Meter"]


def __getattr__(name: str) -> object:
    if name == "Meter":
        return _import_module("inferatlas.measure.metering.meter").Meter
    raise AttributeError(f"module 'inferatlas.measure' has no attribute '{name}'")
