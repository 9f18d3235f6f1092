"""What is known of a source beside its rows (`sources.yaml`): generation of software, true lengths, assumptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    text = resources.files("inferatlas.evidence").joinpath("sources.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@lru_cache(maxsize=1024)
def harness(source: str | None) -> str | None:
    """The name under which a source is known (releases of one table are one harness); unknown sources: their own.

    Examples
    --------
    >>> harness("mlenergy_v3"), harness("mine"), harness(None)
    ('mlenergy', 'mine', None)
    """
    fitting = [name for name in _known()["sources"] if (source or "").startswith(name)]
    return max(fitting, key=len) if fitting else source or None


def about(source: str | None) -> Mapping[str, Any]:
    """What is known of a source; empty for others."""
    return _known()["sources"].get(harness(source), {})


@lru_cache(maxsize=4096)
def era_of(engine: str, version: str | None, source: str | None) -> str:
    """The generation of serving software, ``2024`` or ``2025``: by the source, by the version, else the present.

    Examples
    --------
    >>> era_of("vllm", "0.5.4", None), era_of("vllm", "0.11.1", None), era_of("sglang", None, None)
    ('2024', '2025', '2025')
    """
    known = _known()
    stated = about(source).get("era")
    if stated:
        return stated
    first = known["eras"].get(engine)
    if first == "none":  # no release of the present generation
        return known["past"]
    found = re.search(r"\d+\.\d.*", version or "")
    if found is None or first is None:
        return known["present"]
    least = [int(x) for x in first.split(".")]
    have = [int(x) for x in re.findall(r"\d+", found[0])[: len(least)]]
    return known["past"] if have < least else known["present"]
