"""Serving engines: the defaults that decide how much memory, how many tokens and how many sequences a step gets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.factfile import bad, check_keys, read_facts
from inferatlas.catalogue.facts import FactSheet
from inferatlas.catalogue.memory import main_memory_bytes
from inferatlas.documents import read_document

FOLDER = "engines"
_KEYS = ("id", "name", "support_field", "facts")


@dataclass(frozen=True, slots=True)
class Engine:
    """One serving engine. ``support_field`` is the fact of an accelerator that says whether it runs there.

    Facts: ``memory_fraction`` (of ``memory_basis``: *total* memory of a device, or what is *free* once the weights
    are loaded; *reserve* where the engine keeps ``memory_reserve`` bytes instead), ``kv_block_tokens``,
    ``max_batched_tokens`` and ``max_sequences`` of one step; ``strategy.*``, the flag that turns on a way to scale;
    ``no_kernel.*``, parts for which it has no products in a format that they multiply.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    support_field: str
    facts: FactSheet
    file: str

    def default(self, field: str, accelerator: Accelerator) -> float | None:
        """The engine's default of ``field`` on ``accelerator``, in SI; None if it has none.

        Engines choose some defaults by the memory of the device (``<field>.small_device``, ``<field>.large_device``).

        Examples
        --------
        >>> from inferatlas.catalogue.accelerators import load_accelerator
        >>> vllm = load_engine("vllm")
        >>> [vllm.default("max_batched_tokens", load_accelerator(name)) for name in ("h100", "a100", "l4")]
        [8192.0, 2048.0, 2048.0]
        """
        card = main_memory_bytes(accelerator)
        memory = card and card / accelerator.devices_per_card  # an engine sees the devices of a card one by one
        below, above = self.facts.number("small_device.memory_below"), self.facts.number("large_device.memory_from")
        if self._names("small_device.names", accelerator) or (memory and below and memory < below):
            return self._sized(field, "small_device")
        if memory and above and memory >= above:
            return self._sized(field, "large_device")
        return self.facts.number(field)

    def lacks_kernel(self, form: str, accelerator: Accelerator) -> str | None:
        """Why the engine cannot multiply in a format on ``accelerator``, though the part can; None where it can.

        Examples
        --------
        >>> from inferatlas.catalogue.accelerators import load_accelerator
        >>> vllm = load_engine("vllm")
        >>> [vllm.lacks_kernel("int8", load_accelerator(name)) is None for name in ("h100", "b200")]
        [True, False]
        """
        field = f"no_kernel.{form}"
        fact = self.facts.chosen(field) if self._names(field, accelerator) else None
        return fact and fact.condition

    def _names(self, field: str, accelerator: Accelerator) -> bool:
        """Whether a fact that lists parts of names names this accelerator."""
        return any(name in accelerator.id for name in (self.facts.text(field) or "").split())

    def _sized(self, field: str, size: str) -> float | None:
        sized = self.facts.number(f"{field}.{size}")
        return self.facts.number(field) if sized is None else sized

    def strategy(self, name: str) -> str | None:
        """The flag that turns on a scaling strategy, *no* where it is not offered, None where nothing is known.

        ``name`` is tensor, pipeline, expert, data, context (shards of the context, in decode where the engine tells
        the two phases apart) or offload (weights in host memory). Limits of models and hardware stand in the
        condition of the fact ``strategy.<name>``.

        Examples
        --------
        >>> vllm, deepspeed = load_engine("vllm"), load_engine("deepspeed")
        >>> vllm.strategy("tensor"), deepspeed.strategy("pipeline"), deepspeed.strategy("context")
        ('--tensor-parallel-size', 'no', None)
        """
        return self.facts.text(f"strategy.{name}")

    def support(self, accelerator: Accelerator) -> str | None:
        """*official*, *experimental* or *none* on ``accelerator``; None if nothing is known.

        The vendor's own stack (engine ``native``) is supported wherever the accelerator names one.
        """
        stated = accelerator.facts.text(self.support_field)
        if self.support_field == "software.proprietary_sdk":
            return "official" if stated else None
        return stated


def engine_ids() -> tuple[str, ...]:
    """The slugs of the catalogue's engines, sorted."""
    return names.ids(FOLDER)


def engines() -> tuple[Engine, ...]:
    """Every engine of the catalogue, in the order of their slugs."""
    return tuple(load_engine(one) for one in engine_ids())


def load_engine(name_or_path: str | Path) -> Engine:
    """One engine by slug, alias, full name or the path of a YAML file (errors as `load_accelerator`)."""
    file = names.find(FOLDER, "engine", str(name_or_path))
    return read_engine(file) if names.is_path(str(name_or_path)) else _own(file)


@lru_cache(maxsize=32)
def _own(file: Path) -> Engine:
    return read_engine(file)


def read_engine(file: str | Path) -> Engine:
    """Read and check one engine file, uncached."""
    document = read_document(file)
    data = document.data
    check_keys(document, (), data, _KEYS, ("aliases",))
    for key in ("id", "name", "support_field"):
        if not isinstance(data[key], str) or not data[key]:
            raise bad(document, "a text is needed here", key)
    if not data["support_field"].startswith("software."):
        raise bad(document, f"'{data['support_field']}' is not a fact on software", "support_field")
    facts = read_facts(document, "engine")
    for fact in facts:
        said = fact.value if isinstance(fact.value, str) else "no"
        if fact.used and fact.field.startswith("strategy.") and said != "no" and not said.startswith("--"):
            raise bad(document, f"'{said}' is not a flag", "facts", fact.field, allowed="--flag, no")
    return Engine(
        data["id"], data["name"], tuple(data.get("aliases", ())), data["support_field"], facts, str(file)
    )  # fmt: skip
