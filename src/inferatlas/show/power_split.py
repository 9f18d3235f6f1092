"""Energy of prefill and decode by regression, as a page and as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.lengths import LengthFit
from inferatlas.quantities import show
from inferatlas.show.numbers import counted
from inferatlas.show.page import Block, Column, Command, Heading, Page, Paragraph, Table

HOW = (
    "E = N (a ISL + b OSL + c OSL (ISL + OSL/2)), least squares with no coefficient below 0. Uncertainties are "
    "standard ones (k = 1)."
)


@dataclass(frozen=True, slots=True)
class Split:
    """A fit, and the lengths of a request whose phases are asked for; None for none.

    Raises
    ------
    BadInput : one length without the other, or one below a token.
    """

    fit: LengthFit
    isl: int | None = None
    osl: int | None = None

    def __post_init__(self) -> None:
        if (self.isl is None) != (self.osl is None):
            field = "osl" if self.osl is None else "isl"
            raise BadInput(
                "phases are of a request with both lengths", field=field, allowed="--isl and --osl, or neither"
            )
        for field, length in (("isl", self.isl), ("osl", self.osl)):
            if length is not None and length < 1:
                raise BadInput(f"{length} tokens", field=field, allowed="1 or more")

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        if self.isl is None or self.osl is None:
            return self.fit.as_dict() | {"request": None}
        phases = self.fit.split(self.isl, self.osl)
        return self.fit.as_dict() | {
            "request": {
                "input_tokens": self.isl, "output_tokens": self.osl,
                "prefill_j": {"value": phases.prefill_j, "uncertainty": phases.prefill_u_j},
                "decode_j": {"value": phases.decode_j, "uncertainty": phases.decode_u_j},
            }
        }  # fmt: skip


def split_page(found: Split, typed: str) -> Page:
    """Joules per token of each phase, and how well they foretell what they have not seen."""
    fit = found.fit
    words = f"Prefill takes {show(fit.prefill_j, 'J')} per token, decode {show(fit.decode_j, 'J')} per token and "
    words += f"{show(fit.context_j, 'J')} per token of context that it reads [measured]."
    return [
        Heading(words),
        _coefficients(fit),
        *_request(found),
        Paragraph(
            f"Of {counted(len(fit.left_out), 'pair')} of lengths, each left out in turn, the median error is "
            f"{100 * fit.left_out_error:.2g} %; R² {fit.r2:.4f}. Uncertainties rest on the {fit.errors_from}."
        ),
        Paragraph(HOW, quiet=True),
        Command("Reproduce", typed),
    ]


def split_rows(found: Split) -> list[dict[str, Any]]:
    """A row per pair of lengths, with its error when it was left out."""
    return [
        {"input_tokens": isl, "output_tokens": osl, "left_out_error": error}
        for isl, osl, error in found.fit.left_out.tolist()
    ]


def _coefficients(fit: LengthFit) -> Table:
    names = "prefill, per token", "decode, per token", "context read, per token"
    rows = [
        [name, show(value, "J"), show(u, "J")]
        for name, value, u in zip(names, fit.coefficients.tolist(), fit.uncertainties, strict=True)
    ]
    return Table("", [Column("what"), Column("energy", right=True), Column("uncertainty", right=True)], rows)


def _request(found: Split) -> list[Block]:
    if found.isl is None or found.osl is None:
        return []
    phases = found.fit.split(found.isl, found.osl)
    whole = phases.prefill_j + phases.decode_j
    rows = [
        [name, show(value, "J"), show(u, "J"), f"{100 * value / whole:.0f} %" if whole else ""]
        for name, value, u in (
            ("prefill", phases.prefill_j, phases.prefill_u_j), ("decode", phases.decode_j, phases.decode_u_j)
        )
    ]  # fmt: skip
    columns = [Column("phase"), *(Column(name, right=True) for name in ("energy", "uncertainty", "share"))]
    return [Table(f"A request of {found.isl:,} input and {found.osl:,} output tokens", columns, rows)]
