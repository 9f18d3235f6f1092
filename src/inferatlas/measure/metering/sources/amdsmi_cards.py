"""Which cards there are behind AMD SMI's handles, and which handle of a card gives its power and energy.

AMD SMI lists processors, which are not cards:

- MI250 and MI250X hold two dies with an address each. The first gives power and energy of both, the second 0 W and 0 J
  (Linux, drivers/gpu/drm/amd/pm/swsmu/smu13/aldebaran_ppt.c; https://github.com/ml-energy/zeus/pull/203;
  https://github.com/mlco2/codecarbon/issues/1097).
- A partitioned MI300 is several processors at functions of one address, of which the first gives what belongs to the
  whole (https://github.com/ROCm/rocm-systems/pull/6701).

So processors with one board serial or one address without its function are one card, which is read through the first
of them that gives anything. Numbers identify nothing: HIP and AMD SMI count differently on MI350X.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.sources.amdsmi_errors import fault_of
from inferatlas.measure.metering.sources.asking import Value, known, no_value

# Current power is AMD's instant power, average its average over a time that is not given
# (https://rocm.docs.amd.com/projects/rocm_smi_lib/en/docs-6.2.2/doxygen/html/group__PowerQuer.html). MI300 and later
# give the one, earlier cards and Radeon the other, the rest being "N/A"
# (https://rocm.docs.amd.com/projects/amdsmi/en/docs-7.1.1/doxygen/docBin/html/structamdsmi__power__info__t.html).
CURRENT, AVERAGE = "current_socket_power", "average_socket_power"
_NOT_AVAILABLE = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # as some versions pass it on instead of "N/A"
TWO_DIES = ("MI250", "MI200")
MOST_DIES = 2  # with an address of their own on one board


@dataclass(frozen=True, slots=True)
class Processor:
    """One handle of AMD SMI, as it was at opening.

    Parameters
    ----------
    address : on the PCI bus, ``0000:c1:00.0``. serial : of the board, "" where there is none. market : name of the
        product. power : the key that gives its power, None without. power_w : by it. energy_j : by its counter.
    """

    handle: Any
    address: str
    serial: str
    market: str
    power: str | None
    power_w: Value
    energy_j: Value

    @property
    def answers(self) -> bool:
        """Whether it gives power or energy."""
        return any(value > 0 for value, _ in (self.power_w, self.energy_j))

    @property
    def is_second_die(self) -> bool:
        """Whether it is of a card with two dies and gives 0, as the second does."""
        zero = any(value == 0 for value, _ in (self.power_w, self.energy_j))
        return zero and not self.answers and any(name in self.market for name in TWO_DIES)


@dataclass(frozen=True, slots=True)
class Card:
    """A card and the processor through which it is read. ``device`` : board serial, else address on the PCI bus."""

    device: str
    reader: Processor


def number_of(value: Any, factor: float = 1.0) -> Value:
    """A number as AMD SMI gives it, times a factor, unless it stands for "not available".

    Examples
    --------
    >>> number_of(412), number_of("N/A")
    ((412.0, <Fault.NONE: 0>), (nan, <Fault.NOT_AVAILABLE: 1>))
    >>> number_of(0xFFFF)[1].code, number_of("412 W")[1].code
    ('not_available', 'unreadable')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return no_value(Fault.NOT_AVAILABLE if value == "N/A" else Fault.UNREADABLE)
    return no_value(Fault.NOT_AVAILABLE) if value in _NOT_AVAILABLE else known(value * factor)


def power_of(amdsmi: Any, handle: Any, key: str) -> Value:
    """W of one processor by a key of ``amdsmi_get_power_info``, or why not. Never raises.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> power_of(Module(amdsmi_get_power_info=lambda handle: {CURRENT: 412}), None, CURRENT)
    (412.0, <Fault.NONE: 0>)
    """
    try:
        return number_of(amdsmi.amdsmi_get_power_info(handle).get(key, "N/A"))
    except Exception as error:  # of AMD SMI; of another kind from a package that does not fit its library
        return no_value(fault_of(error))


def energy_of(amdsmi: Any, handle: Any) -> Value:
    """J of one processor by its counter, or why not: a count of steps of ``counter_resolution`` µJ. Never raises.

    The count is called ``power`` before ROCm 6.2.1 (https://github.com/ml-energy/zeus/pull/132). It has 64 bits and
    does not come to its end: 2^64 steps of 15.259 µJ are 281 TJ.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> energy_of(Module(amdsmi_get_energy_count=lambda h: {"power": 10**6, "counter_resolution": 15.5}), None)
    (15.5, <Fault.NONE: 0>)
    """
    try:
        given = amdsmi.amdsmi_get_energy_count(handle)
        resolution, fault = number_of(given.get("counter_resolution"))
        if fault is not Fault.NONE or not resolution > 0:
            return no_value(Fault.UNREADABLE)
        return number_of(given.get("energy_accumulator", given.get("power", "N/A")), resolution * 1e-6)
    except Exception as error:  # as in `power_of`
        return no_value(fault_of(error))


def processor(amdsmi: Any, handle: Any) -> Processor:
    """Ask one handle who it is and what it gives.

    Raises
    ------
    AmdSmiException : without an address, nothing identifies it.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> card = Module(AmdSmiException=OSError, amdsmi_get_gpu_device_bdf=lambda handle: "0000:C1:00.0")
    >>> card.amdsmi_get_power_info = lambda handle: {CURRENT: "N/A", AVERAGE: 89}
    >>> card.amdsmi_get_energy_count = lambda handle: {"energy_accumulator": 2 * 10**6, "counter_resolution": 15.5}
    >>> one = processor(card, None)
    >>> one.address, one.power, one.power_w[0], one.energy_j[0]
    ('0000:c1:00.0', 'average_socket_power', 89.0, 31.0)
    """
    powers = {key: power_of(amdsmi, handle, key) for key in (CURRENT, AVERAGE)}
    key = next((key for key, (_, fault) in powers.items() if fault is Fault.NONE), None)
    return Processor(
        handle,
        amdsmi.amdsmi_get_gpu_device_bdf(handle).lower(),
        _said(amdsmi, handle, "amdsmi_get_gpu_board_info", "product_serial"),
        _said(amdsmi, handle, "amdsmi_get_gpu_asic_info", "market_name") or "AMD GPU",
        key,
        powers[CURRENT if key is None else key],
        energy_of(amdsmi, handle),
    )


def _said(amdsmi: Any, handle: Any, function: str, key: str) -> str:
    """A text that a processor gives of itself, "" for none and for what stands for none."""
    call = getattr(amdsmi, function, None)
    if call is None:
        return ""
    try:
        text = str(call(handle).get(key, "")).strip()
    except amdsmi.AmdSmiException:
        return ""
    return "" if text.strip("0").lower() in ("", "n/a", "unknown", "none") else text


def cards_of(processors: Sequence[Processor]) -> tuple[list[Card], list[str]]:
    """Cards, in the order of their first processor, and what is to be said of processors that are none.

    Examples
    --------
    >>> first = Processor(None, "0000:c1:00.0", "S1", "AMD Instinct MI250X", AVERAGE, known(89.0), known(5e6))
    >>> second = Processor(None, "0000:c6:00.0", "S1", "AMD Instinct MI250X", AVERAGE, known(0.0), known(0.0))
    >>> [(card.device, card.reader.address) for card in cards_of([second, first])[0]]
    [('S1', '0000:c1:00.0')]
    """
    slots = _grouped(processors, _slot)
    serials = {slot: next((one.serial for one in group if one.serial), "") for slot, group in slots.items()}
    # a serial on more boards than one can have dies is a placeholder
    boards = {
        slot: serial if serial and _times(serial, serials) <= MOST_DIES else "" for slot, serial in serials.items()
    }
    cards, notes = [], []
    for group in _grouped(processors, lambda one: boards[_slot(one)] or _slot(one)).values():
        reader = next((one for one in group if one.answers), group[0])
        if reader.is_second_die:
            notes.append(f"{reader.address} is the second die of an {reader.market}, whose first counts for both")
            continue
        others = [one.address for one in group if one.answers and _slot(one) != _slot(reader)]
        said = f"{reader.market}: {', '.join(others)} on the board of {reader.address} answers as well and is not read"
        cards.append(Card(boards[_slot(reader)] or reader.address, reader))
        notes += [said] if others else []
    return cards, notes


def _times(serial: str, serials: dict[str, str]) -> int:
    return list(serials.values()).count(serial)


def _slot(one: Processor) -> str:
    """The address without its function."""
    return one.address.rpartition(".")[0] or one.address


def _grouped(processors: Sequence[Processor], key: Callable[[Processor], str]) -> dict[str, list[Processor]]:
    groups: dict[str, list[Processor]] = {}
    for one in processors:
        groups.setdefault(key(one), []).append(one)
    return groups
