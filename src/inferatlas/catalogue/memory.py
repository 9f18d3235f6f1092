"""Which of a device's memories the weights and the KV cache live in."""

from __future__ import annotations

from inferatlas.catalogue.accelerator import Accelerator

# Off-chip memory of the device itself first, fastest first; then the on-chip memory of devices that have no other.
MAIN_LEVELS = ("hbm", "gddr7", "gddr6x", "gddr6", "lpddr5x", "lpddr5", "lpddr4", "ddr", "sram")


def main_memory(accelerator: Accelerator) -> str | None:
    """The level that holds the weights: the first of `MAIN_LEVELS` with a known capacity.

    Examples
    --------
    >>> from inferatlas.catalogue.accelerators import load_accelerator
    >>> [main_memory(load_accelerator(name)) for name in ("h100", "l4", "groq", "cs-3")]
    ['hbm', 'gddr6', 'sram', 'sram']
    """
    return next((level for level in MAIN_LEVELS if accelerator.facts.number(f"mem.{level}.capacity")), None)


def main_memory_bytes(accelerator: Accelerator) -> float | None:
    """Capacity of `main_memory` in bytes; None if no level's capacity is known."""
    level = main_memory(accelerator)
    return None if level is None else accelerator.facts.number(f"mem.{level}.capacity")
