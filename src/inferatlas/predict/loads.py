"""Loads that a model can serve: within its context, one token of a model that yields a vector."""

from __future__ import annotations

from pathlib import Path

from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import BadInput
from inferatlas.workload import Workload, make_workload


def load_of(
    config: ModelConfig, workload: str | Path | None = None, *, isl: int | None = None, osl: int | None = None,
    concurrency: int | None = None, request_rate: float | None = None, prefix_tokens: int | None = None,
) -> Workload:  # fmt: skip
    """A load for a model, as `workload.make_workload` makes it; the output of an embedding model need not be given.

    Raises
    ------
    BadInput, UnknownName : as `make_workload`.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> load_of(load_model("bge-m3"), isl=512, concurrency=8).output_tokens
    1.0
    """
    if config.embeds and osl is None and workload is None and isl is not None:
        osl = 1
    return make_workload(
        workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate, prefix_tokens=prefix_tokens
    )


ISL, OSL, CONCURRENCY = 1024, 256, 16  # where a question about a device names no load


def usual_load(
    config: ModelConfig, workload: str | Path | None = None, *, isl: int | None = None, osl: int | None = None,
    concurrency: int | None = None, request_rate: float | None = None,
) -> tuple[Workload, list[str]]:  # fmt: skip
    """A load for a question about a device: what is not given is usual, and one note says what the load is.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> usual_load(load_model("llama-3.1-8b"), osl=128)[1]
    ['load: 1,024 input and 128 output tokens, 16 requests in flight']
    """
    nothing_flies = concurrency is None and request_rate is None
    if workload is not None or not (isl is None or osl is None or nothing_flies):
        return load_of(config, workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate), []
    isl, concurrency = ISL if isl is None else isl, CONCURRENCY if nothing_flies else concurrency
    osl = (1 if config.embeds else OSL) if osl is None else osl
    load = load_of(config, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate)
    flying = f"{request_rate:g} requests/s" if concurrency is None else f"{concurrency} requests in flight"
    return load, [f"load: {isl:,} input and {osl:,} output tokens, {flying}"]


def check_load(config: ModelConfig, load: Workload) -> None:
    """Refuse requests that a model cannot serve: longer than its context, tokens of a vector, a start that is no start.

    Raises
    ------
    BadInput : with the field and what is allowed.
    """
    if not config.holds(config.span(load.input_tokens, load.output_tokens)):
        raise BadInput(
            f"{load.input_tokens:g} input and {load.output_tokens:g} output tokens exceed the context of {config.id}",
            field="isl",
            allowed=f"{'isl and osl' if config.encoder else 'isl + osl'} up to {config.context_length}",
        )
    check_kind(config, load)


def check_kind(config: ModelConfig, load: Workload) -> None:
    """The same of what has nothing to do with length."""
    if config.embeds and load.output_tokens != 1:
        raise BadInput(f"{config.id} yields a vector, no tokens", field="osl", allowed="1, or leave it out")
    whole = config.encoder or any(g.attention and not g.attention.causal for g in config.layers)
    if load.prefix_tokens and whole:
        raise BadInput(f"{config.id} reads prompts both ways: no start of one can be shared", field="prefix_tokens")
