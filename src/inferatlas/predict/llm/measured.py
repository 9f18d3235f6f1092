"""Which models the measured points behind calibrated coefficients speak for."""

from __future__ import annotations

from collections.abc import Iterator

from inferatlas.catalogue.model import ModelConfig


def unmeasured(model: ModelConfig) -> Iterator[str]:
    """What a model has that no measured point of the calibration had, in words; nothing of a transformer decoder.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> [list(unmeasured(load_model(name))) for name in ("llama-3.1-8b", "bge-m3")]
    [[], ['one pass that yields a vector']]
    """
    if model.recurs:
        yield "recurrent layers"
    if model.encoder:
        yield "an encoder before the decoder"
    if model.embeds:
        yield "one pass that yields a vector"
    if any(group.attention is not None and group.attention.selected for group in model.layers):
        yield "sparse attention"
