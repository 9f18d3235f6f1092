"""Which model a regime asks, what it cannot ask of it, and what it asks beyond that model's training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, models
from inferatlas.errors import BadInput
from inferatlas.predict.llm.parameters import count
from inferatlas.workload import Regime

WORDS = {"moe": "mixture of experts", "embedding": "model that embeds"}


def of_kind(model: ModelConfig, kind: str) -> bool:
    """Whether a model is of the kind that a regime is about; a hybrid with experts is a mixture of experts too."""
    return {"any": True, "moe": model.has_experts, "embedding": model.embeds}[kind]


def check_kind(regime: Regime) -> None:
    """Refuse a regime whose own model is not of the kind that it is about.

    Raises
    ------
    BadInput : field ``model``.
    """
    other = load_model(regime.model) if regime.model is not None else None
    if other is not None and not of_kind(other, regime.kind):
        what = WORDS[regime.kind]
        raise BadInput(f"{other.id} is no {what}, and kind is {regime.kind}", field="model", allowed=f"a {what}")


def model_for(regime: Regime, asked: ModelConfig) -> ModelConfig:
    """The model asked about, unless the regime is about another kind.

    Examples
    --------
    >>> from inferatlas.workload import load_regime
    >>> names = ("llama-3.1-8b", "jamba-1.5-mini", "e5-mistral-7b")
    >>> [[model_for(load_regime(r), load_model(n)).id for n in names] for r in ("mixture-of-experts", "embedding")]
    [['qwen3-235b-a22b', 'jamba-1.5-mini', 'qwen3-235b-a22b'], ['bge-m3', 'bge-m3', 'e5-mistral-7b']]
    """
    other = regime.always or not of_kind(asked, regime.kind)
    return load_model(regime.model) if other and regime.model else asked


def refusal(regime: Regime, model: ModelConfig) -> tuple[str, str] | None:
    """Code and words where a model cannot answer a regime on any machine; None where it can.

    Examples
    --------
    >>> from inferatlas.workload import load_regime
    >>> refusal(load_regime("single-stream"), load_model("bge-m3"))
    ('no_tokens', 'bge-m3 yields a vector, and the regime asks for 256 output tokens')
    >>> refusal(load_regime("embedding"), load_model("bge-large-en-v1.5"))
    """
    if model.embeds and regime.output_tokens != 1:
        asks = f"the regime asks for {regime.output_tokens:,.0f} output tokens"
        return "no_tokens", f"{model.id} yields a vector, and {asks}"
    longest = length(regime, model)
    if not model.holds(longest):
        return "context_length", (
            f"requests of {longest:,.0f} tokens exceed the context of {model.id} ({model.context_length:,})"
        )
    return None


def length(regime: Regime, model: ModelConfig) -> float:
    """Tokens of a request that must lie within the model's context."""
    return float(model.span(regime.input_tokens, regime.output_tokens))


def beyond_training(asked: Sequence[tuple[Regime, ModelConfig]]) -> Iterator[str]:
    """A line per model without a limit of its own that regimes ask for more tokens than it was trained on.

    Examples
    --------
    >>> from inferatlas.workload import load_regime
    >>> list(beyond_training([(load_regime("long-context"), load_model("mamba2-2.7b"))]))[0][:64]
    'mamba2-2.7b was trained on 2,048 tokens: in long-context (33,280'
    """
    longer: dict[str, tuple[float, list[str]]] = {}
    for regime, model in asked:
        native = model.facts.number("context.native") if model.facts is not None else None
        if not model.context_length and native is not None and length(regime, model) > native:
            longer.setdefault(model.id, (native, []))[1].append(f"{regime.name} ({length(regime, model):,.0f})")
    for name, (native, regimes) in longer.items():
        yield (
            f"{name} was trained on {native:,.0f} tokens: in {', '.join(regimes)} its speed is predicted, and nothing "
            "is said of the quality of its answers"
        )


def counterpart(model: ModelConfig, regimes: Sequence[Regime]) -> ModelConfig | None:
    """The transformer of the catalogue nearest in size that holds the longest request; None for no recurrent model.

    A hybrid with experts has a mixture of experts beside it, any other recurrent model a dense one.

    Examples
    --------
    >>> from inferatlas.workload import regimes
    >>> [counterpart(load_model(name), regimes()).id for name in ("mamba2-2.7b", "jamba-1.5-mini")]
    ['llama-3.2-3b', 'qwen3-30b-a3b']
    """
    if not model.recurs:
        return None
    kind = "moe" if model.has_experts else "dense"
    longest = max((length(regime, model) for regime in regimes if model_for(regime, model) is model), default=0.0)
    fit = [one for one in models().values() if one.kind == kind and one.holds(longest) and one.not_modelled is None]
    size = count(model).total
    return min(fit, key=lambda one: abs(math.log(count(one).total / size)), default=None)
