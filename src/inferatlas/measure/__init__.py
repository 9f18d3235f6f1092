"""Measuring real machines (floor 4): `metering`, the power and energy of devices.

In: devices, files, commands. Out: samples on one monotonic clock, energies with their uncertainty.
"""
