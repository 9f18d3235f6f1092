"""Regimes from YAML: the eight that come with the package, and a user's own file.

The keys are the fields of `Regime` without its name, which is that of the file. The schema is strict: an unknown or
repeated key, a value of the wrong form or out of range is refused with the file and the line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.regime import THRESHOLDS, Published, Regime
from inferatlas.workload.targets import ServiceTarget, parse_targets
from inferatlas.workload.yaml_fields import (
    boolean,
    items,
    line_at,
    line_of,
    located,
    mapping,
    number,
    path_of,
    read_mapping,
    refuse_unknown,
    require,
    text,
    whole,
)

DATA = Path(__file__).parent / "data" / "regimes"
REQUIRED = ("title", "description", "metric", "per", "input_tokens", "output_tokens", "concurrency")


def regime_names() -> list[str]:
    """Names of the regimes that come with the package, in alphabetical order (`regimes` has that of the paper).

    Examples
    --------
    >>> regime_names()
    ['embedding', 'high-throughput', 'long-context', 'mixture-of-experts', 'moderate-batch', 'multi-model',
     'quantized', 'single-stream']
    """
    return sorted(path.stem for path in DATA.glob("*.yaml"))


def regimes() -> list[Regime]:
    """The regimes that come with the package, in the order of the matrix of Sharma 2025 (arXiv:2506.00008).

    Examples
    --------
    >>> for regime in regimes()[:3]:
    ...     print(regime.title, regime.metric, regime.better, regime.per)
    Low-latency single stream ttft_s lower deployment
    Moderate batch serving requests_per_s higher accelerator
    High-throughput batch output_tokens_per_s higher accelerator
    """
    return sorted((load_regime(name) for name in regime_names()), key=lambda regime: regime.order)


def load_regime(name_or_path: str | Path) -> Regime:
    """The regime behind a name, or the one in a YAML file of the user's own.

    Parameters
    ----------
    name_or_path : one of `regime_names`, or a path (anything with a directory or ending in ``.yaml`` or ``.yml``).

    Raises
    ------
    UnknownName : no such name; near ones are offered.
    BadInput : the file cannot be read or breaks the schema; with file, line, field and what is allowed.

    Examples
    --------
    >>> regime = load_regime("moderate-batch")
    >>> [target.text() for target in regime.slo], max(regime.concurrency)
    (['ttft:p99<2s', 'itl:p99<200ms'], 4096)
    """
    return read_regime(_file_of(name_or_path))


def in_regime(wrong: BadInput, name_or_path: str | Path) -> BadInput:
    """What a floor above finds wrong with a regime, with the file and the line where the field stands."""
    path = _file_of(name_or_path)
    return located(wrong, path, line_of(read_mapping(path, "regime"), wrong.field))


def _file_of(name_or_path: str | Path) -> Path:
    path = path_of(name_or_path)
    if path is not None:
        return path
    name, known = str(name_or_path), regime_names()
    if name.lower() not in known:
        raise UnknownName("regime", name, known)
    return DATA / f"{name.lower()}.yaml"


def read_regime(path: Path) -> Regime:
    """Read one regime file (schema: the fields of `Regime`; its name is that of the file)."""
    fields = read_mapping(path, "regime")
    refuse_unknown(fields, _READERS, path)
    values = {key: _READERS[key](key, node, path) for key, (node, _) in fields.items()}
    require(fields, REQUIRED, path)
    try:
        return Regime(name=path.stem, **values)  # pyright: ignore[reportArgumentType] - each key has its reader
    except BadInput as wrong:
        line = line_of(fields, wrong.field)
        if line is None and wrong.field == "model":  # what asks for it stands there
            line = line_of(fields, "always" if values.get("always") else "kind")
        raise located(wrong, path, line) from None


def _levels(field: str, node: yaml.Node, path: Path) -> tuple[int, ...]:
    return tuple(whole(field, item, path) for item in items(node))


def _formats(field: str, node: yaml.Node, path: Path) -> tuple[str, ...]:
    return tuple(text(field, item, path).lower() for item in items(node))


def _targets(field: str, node: yaml.Node, path: Path) -> tuple[ServiceTarget, ...]:
    targets: tuple[ServiceTarget, ...] = ()
    for item in items(node):
        try:  # with those before it, so that two bounds on one thing are refused where the second stands
            targets = parse_targets([*(target.text() for target in targets), text(field, item, path)])
        except BadInput as wrong:
            raise located(wrong, path, line_at(item), field) from None
    return targets


def _thresholds(field: str, node: yaml.Node, path: Path) -> dict[str, float]:
    """All grades, those not in the file with their default."""
    given = {key: number(key, value, path) for key, (value, _) in mapping(field, node, path).items()}
    return THRESHOLDS | {key.removeprefix(f"{field}."): least for key, least in given.items()}


def _published(field: str, node: yaml.Node, path: Path) -> Published:
    fields = mapping(field, node, path)
    required = [f"{field}.{key}" for key in ("source", "address", "grades")]
    refuse_unknown(fields, [*required, f"{field}.note"], path)
    require(fields, required, path, line_at(node))
    entries = mapping(f"{field}.grades", fields[f"{field}.grades"][0], path)
    grades = {key.removeprefix(f"{field}.grades."): text(key, value, path) for key, (value, _) in entries.items()}
    texts = {
        key.removeprefix(f"{field}."): text(key, value, path)
        for key, (value, _) in fields.items()
        if key != f"{field}.grades"
    }
    try:
        return Published(grades=grades, **texts)
    except BadInput as wrong:
        raise located(wrong, path, line_of(fields | entries, wrong.field)) from None


_READERS: dict[str, Callable[[str, yaml.Node, Path], object]] = {
    **dict.fromkeys(("title", "description", "metric", "per", "kind", "model", "source", "address", "note"), text),
    **dict.fromkeys(("input_tokens", "output_tokens", "input_cv", "output_cv"), number),
    **dict.fromkeys(("hosted", "within", "order"), whole),
    "always": boolean,
    "concurrency": _levels,
    "weights": _formats,
    "slo": _targets,
    "thresholds": _thresholds,
    "published": _published,
}
