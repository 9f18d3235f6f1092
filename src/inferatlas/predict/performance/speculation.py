"""Speculative decoding, equation (48): drafts that the model verifies, several tokens at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferatlas.catalogue.model import Layers, ModelConfig
from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.performance.parts import Parts

MOST_DRAFTED = 64  # tokens of one sequence in one verification

OneStep = Callable[..., Parts]


@dataclass(frozen=True, slots=True)
class Speculation:
    """``gamma`` tokens are drafted one after the other and verified in one step.

    Each is accepted with probability ``acceptance`` if those before it were. ``width`` candidates a position make a
    tree: all are verified, one of them may be right. ``draft``: the operators of the model that drafts, None for a head
    of one layer on the model's own hidden state (`own_head`).

    Raises
    ------
    BadInput : a number out of range, with its field.
    """

    gamma: int
    acceptance: float
    width: int = 1
    draft: Operators | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.acceptance <= 1.0:
            raise BadInput(f"{self.acceptance!r} is no probability", field="speculate.acceptance", allowed="0 to 1")
        for name, least in (("gamma", 0), ("width", 1)):
            value = getattr(self, name)
            if value != int(value) or value < least:
                allowed = f"a whole number of at least {least}"
                raise BadInput(f"{value!r} drafted tokens", field=f"speculate.{name}", allowed=allowed)
        if self.gamma * self.width > MOST_DRAFTED:
            allowed = f"gamma x width up to {MOST_DRAFTED}"
            raise BadInput(f"{self.gamma * self.width} drafted tokens", field="speculate.gamma", allowed=allowed)

    @property
    def queries(self) -> int:
        """Tokens of a sequence that one verification computes: all candidates, and the one that follows them."""
        return self.gamma * self.width + 1

    @property
    def tokens(self) -> float:
        """Tokens that one verification yields."""
        return expected_tokens(self.gamma, self.acceptance, self.width)


def expected_tokens(gamma: int, acceptance: float, width: int = 1) -> float:
    """Expected tokens per verification, equation (48): ``(1 - A^(γ+1))/(1 - A)``, of a tree with ``1-(1-A)^w`` for A.

    >>> round(expected_tokens(4, 0.7), 4), round(expected_tokens(8, 0.9), 4), expected_tokens(5, 0.0)
    (2.7731, 6.1258, 1.0)
    """
    a = 1.0 - (1.0 - acceptance) ** width
    return float(sum(a**i for i in range(gamma + 1)))


def own_head(model: ModelConfig) -> Operators:
    """What drafts where no model is named: one layer like the model's last and its head, as EAGLE's and MTP's are.

    An expert layer drafts with a dense block as wide as the experts that a token takes.
    """
    last = model.layers[-1]
    ffn = last.ffn
    if ffn is not None and ffn.is_moe:
        wide = ffn.width * ffn.top_k + ffn.shared_experts * ffn.shared_width
        ffn = replace(ffn, width=wide, experts=0, top_k=0, shared_experts=0, shared_width=0, shared_gate=False,
                      router_bias=False)  # fmt: skip
    layer = Layers(1, last.attention, ffn, last.norms, last.recurrence)
    return operators(replace(model, layers=(layer,), vision=None))


def speculative(verify: OneStep, draft: OneStep, how: Speculation) -> OneStep:
    """A step that drafts and verifies, in the place of one that decodes; prompts pass both models.

    Drafting reads its own weights and cache for each of ``gamma`` tokens of every sequence, one after the other.
    """

    def step(*, prefill, cached, decode, context, prompts=1.0, sink=None) -> Parts:
        load = {"decode": decode, "context": context}
        whole = verify(prefill=prefill, cached=cached, prompts=prompts, queries=float(how.queries), sink=sink, **load)
        drafted = [(None, how.gamma)] if prefill is None else [(prefill, 1), (None, how.gamma - 1)]
        for fresh, times in drafted:
            if times > 0:
                part = draft(
                    prefill=fresh, cached=None if fresh is None else cached, prompts=prompts,
                    queries=float(how.width), **load,
                ).times(float(times))  # fmt: skip
                whole = whole.plus(part)
                if sink is not None:
                    sink("drafting", times, compute=part.compute, memory=part.memory, network=part.network,
                         overhead=part.overhead)  # fmt: skip
        return whole

    return step
