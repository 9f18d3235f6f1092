"""The first three experiments of a study, each as one command that runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from inferatlas.workload import Workload

if TYPE_CHECKING:
    from inferatlas.decide.profiles.profile import Deployment


def experiments(
    model: str, accelerator: str, deployment: Deployment, load: Workload, mixed: dict[str, float], *, has_experts: bool
) -> list[dict[str, str]]:
    """The digest's first three experiments, each as one command; ``model`` and ``accelerator`` as they are found."""
    others = [one for one in sorted(mixed, key=lambda one: (-mixed[one], one)) if one != deployment.accelerator]
    compared = shlex.quote(",".join([accelerator, *others[:3]]))
    model, accelerator = shlex.quote(model), shlex.quote(accelerator)
    experts = "how unevenly would experts be used, and " if has_experts else ""
    lengths = f"--isl {round(load.input_tokens)} --osl {round(load.output_tokens)}"
    layout = " ".join(f"--{name} {n}" for name, n in deployment.layout.items())
    return [
        {
            "question": "does single-stream TTFT follow memory bandwidth across accelerators?",
            "command": f"inferatlas regimes --regime single-stream --model {model}",
        },
        {
            "question": "at which batch does compute bind instead of memory, and who leads where?",
            "command": f"inferatlas crossover --model {model} --accelerators {compared} --over batch {lengths}",
        },
        {
            "question": f"{experts}how much would latency vary, and why, at the mean lengths of the trace?",
            "command": f"inferatlas variance --model {model} --accelerator {accelerator} {layout} "
            f"--engine {deployment.engine} --weights {deployment.weights} {lengths} "
            f"--request-rate {load.request_rate:.6g}",
        },
    ]
