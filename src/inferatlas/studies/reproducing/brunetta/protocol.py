"""What Brunetta et al. ran: conversations, batches, accelerators and models; what they do not say is assumed and named.

Lengths. The last answer of a conversation is removed and asked for again, so a prompt holds every earlier turn. With
turns geometric (mean ``TURNS``) and prompts and answers as `measure.bench.prompts.imitation` has them, the means and
spreads of input and output follow in closed form. The bound of 64 to 20,000 characters is left out: at four characters
per token it cuts less than one conversation in a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from inferatlas.measure.bench.prompts.imitation import PROMPT_CV, PROMPT_TOKENS, REPLY_CV, REPLY_TOKENS, TURNS

# as the paper calls them -> catalogue
GPUS = {
    "NVIDIA A100": "nvidia-a100-80gb-sxm",
    "NVIDIA H100": "nvidia-h100-sxm",
    "NVIDIA GH200": "nvidia-gh200",
    "AMD MI250": "amd-mi250",
    "AMD MI300X": "amd-mi300x",
    "Intel Max 1550": "intel-max-1550",
}
CS3, SN40L = "Cerebras CS-3", "SambaNova SN40L"
DATAFLOW = {CS3: "cerebras-wse-3", SN40L: "sambanova-sn40l"}
ACCELERATORS = GPUS | DATAFLOW
A100, H100, GH200, MI250, MI300X, MAX1550 = GPUS
NODES = {A100: 8, H100: 4, MI300X: 8}  # accelerators of the three nodes of Sec. III-C2 (Table I)
RDUS = 16  # of the SN40L node, over which a model is spread

DENSE = (
    "llama-3.1-8b", "ministral-8b", "qwen3-8b", "qwen3-14b", "mistral-small-3.1-24b", "qwen3-32b",
    "nemotron-super-49b", "llama-3.3-70b", "qwen2.5-72b",
)  # fmt: skip
EXPERTS = ("mixtral-8x7b", "llama-4-scout", "mixtral-8x22b", "qwen3-235b-a22b", "deepseek-r1")
MODELS = (*DENSE, *EXPERTS)
BY_SIZE = ("llama-3.1-8b", "qwen3-14b", "mistral-small-3.1-24b", "qwen3-32b", "nemotron-super-49b")  # Fig. 1
FOUR = BY_SIZE[:4]  # Figs. 2 and 3
# Fig. 4 has ten models, of which the text names four: assumed are the ten smallest of Table II, which include those.
TEN = (*DENSE[:6], "mixtral-8x7b", *DENSE[6:])
LARGE_EXPERTS = EXPERTS[1:]  # Fig. 6

BATCHES = (16, 32, 64, 128)
PER_GPU = 128  # sequences per accelerator of the multi-GPU runs
TENSOR = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens per request and their coefficients of variation."""

    input_tokens: float
    output_tokens: float
    input_cv: float
    output_cv: float

    @property
    def tokens(self) -> float:
        return self.input_tokens + self.output_tokens


def conversation_lengths(turns: float = TURNS) -> Lengths:
    """Input and output tokens of conversations whose last answer is asked for again.

    With N turns geometric of mean m, prompts P and answers R: input = P_1 + .. + P_N + R_1 + .. + R_(N-1), so its mean
    is m E[P] + (m-1) E[R], its variance m Var[P] + (m-1) Var[R] + m(m-1) (E[P] + E[R])².

    Examples
    --------
    >>> lengths = conversation_lengths()
    >>> lengths.input_tokens, lengths.output_tokens, round(lengths.input_cv, 2)
    (353.5, 214.5, 1.41)
    """
    mean = turns * PROMPT_TOKENS + (turns - 1) * REPLY_TOKENS
    variance = (
        turns * (PROMPT_CV * PROMPT_TOKENS) ** 2
        + (turns - 1) * (REPLY_CV * REPLY_TOKENS) ** 2
        + turns * (turns - 1) * (PROMPT_TOKENS + REPLY_TOKENS) ** 2
    )
    return Lengths(mean, REPLY_TOKENS, sqrt(variance) / mean, REPLY_CV)


LENGTHS = conversation_lengths()


def lengths_note() -> str:
    """What is assumed of the workload, in one sentence."""
    return (
        f"Requests: {LENGTHS.input_tokens:g} input and {LENGTHS.output_tokens:g} output tokens on average, with "
        f"coefficients of variation of {LENGTHS.input_cv:.2g} and {LENGTHS.output_cv:g}. The paper prints no lengths: "
        f"these follow from the published means of LMSYS-Chat-1M ({TURNS:g} turns, {PROMPT_TOKENS:g} tokens per "
        f"prompt, {REPLY_TOKENS:g} per answer); geometric turns and the spreads are assumed."
    )


def load_note() -> str:
    """How a batch is understood, in one sentence."""
    return (
        "A batch of B is taken as B requests always in flight, without a queue before them: the paper submits all at "
        "once, and the drain at the end of its 1,000 conversations is not part of our prediction."
    )
