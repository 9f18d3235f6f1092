"""What was learned from measured points, as data: effects per level, how wide intervals are, and what was seen.

The file is written by ``inferatlas calibrate`` and shipped beside this one; another folder of the same form can be
named by the environment variable ``INFERATLAS_COEFFICIENTS`` or by ``--coefficients``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput

FOLDER = Path(__file__).parent / "calibration"
FILE = "coefficients.json"
VARIABLE = "INFERATLAS_COEFFICIENTS"
FORMAT = 2
WIDTHS = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w")


@dataclass(frozen=True)
class Calibration:
    """Effects per coefficient and level (on the links of `coefficients`), rows behind each level, interval widths."""

    version: str
    date: str
    effects: Mapping[str, Mapping[str, float]]
    points: Mapping[str, int]
    width: Mapping[str, Any]
    sources: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None

    def rows(self, level: str) -> int:
        """Measured rows of the fit that belong to a level."""
        return self.points.get(level, 0)


NOTHING = Calibration("none", "", {}, {}, {})


def current() -> Calibration:
    """The calibration in use: the folder that the environment names, else the one of the package."""
    named = os.environ.get(VARIABLE)
    return load(Path(named).expanduser() if named else FOLDER)


@lru_cache(maxsize=8)
def load(folder: Path) -> Calibration:
    """Read a folder of coefficients.

    Raises
    ------
    BadInput : no such file, not JSON, of another format version or without the keys that are needed.
    """
    file = folder / FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise BadInput(
            "no coefficients there", field="coefficients", file=file, allowed=f"a folder with {FILE}",
            hint="inferatlas calibrate TABLE --output FOLDER writes one",
        ) from None  # fmt: skip
    except ValueError as problem:
        raise BadInput(f"not JSON: {problem}", field="coefficients", file=file) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadInput(
            "not coefficients of this version", field="format", file=file, allowed=str(FORMAT),
            hint="write them again with inferatlas calibrate",
        )  # fmt: skip
    missing = {"version", "date", "effects", "points", "width", "sources"} - data.keys()
    if missing:
        raise BadInput(f"lacks {', '.join(sorted(missing))}", field="coefficients", file=file)
    return Calibration(
        data["version"], data["date"], data["effects"], data["points"], data["width"], data["sources"], folder
    )
