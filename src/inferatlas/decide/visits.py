"""Measured visits per expert: what a routing log says of how popular the experts of a layer are."""

from __future__ import annotations

from pathlib import Path

from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.popularity import popularity_from_counts


def measured_popularity(path: str | Path, ops: Operators) -> tuple[float, ...]:
    """Popularity of each expert of a layer, in the order of the file, from a number of visits per expert.

    A number a line, or a CSV whose last column holds them; a heading may stand above.

    Raises
    ------
    BadInput : a file that cannot be read, a line that is no count (with the line), or as many as no layer has experts.
    """
    path = Path(path)
    if not ops.experts:
        raise BadInput(f"{ops.model.id} has no experts", field="counts", allowed="a mixture of experts", file=path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="counts", file=path) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", field="counts", file=path) from None
    counts: list[float] = []
    for number, line in enumerate(lines, 1):
        text = line.rsplit(",", 1)[-1].strip()
        try:
            counts.append(float(text))
        except ValueError:
            if text and counts:  # a heading may stand above the numbers, nothing among them
                raise BadInput(f"'{text}' is not a count", field="counts", file=path, line=number) from None
    sizes = {op.experts: op for op in ops.experts}
    if len(counts) not in sizes:
        allowed = " or ".join(str(size) for size in sizes) + ", one per expert and line"
        raise BadInput(f"{len(counts)} counts", field="counts", allowed=allowed, file=path)
    try:
        return tuple(popularity_from_counts(counts, sizes[len(counts)].top_k).tolist())
    except BadInput as wrong:
        raise BadInput(wrong.message, field="counts", allowed=wrong.allowed, file=path) from None
