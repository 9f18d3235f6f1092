"""The command that starts a recommended deployment, where the engine exists."""

from __future__ import annotations

from inferatlas.catalogue.model import ModelConfig
from inferatlas.predict.llm.precision import SIXTEEN_BIT
from inferatlas.predict.performance.platform import Platform
from inferatlas.workload import Workload

_CASTS = {"vllm": ("fp8",), "sglang": ("fp8",), "tensorrt-llm": ()}  # formats made from a 16-bit checkpoint at start
ROOM, DEVIATIONS = 1.5, 3.0  # context granted: this much over the mean request, and for lengths that vary


def command(
    model: ModelConfig, platform: Platform, workload: Workload, tp: int, pp: int, ep: int, dp: int, *,
    longest: int | None = None,
) -> str | None:  # fmt: skip
    """A command line for vLLM, SGLang or TensorRT-LLM; None for stacks without one.

    ``longest``: tokens of the longest request, where it is known. ``tp`` counts accelerators; engines count devices, so
    dies of a card multiply it. What no flag can say (a checkpoint in another format, copies behind a router) stands in
    the comment.
    """
    engine, weights, kv = platform.engine.name, platform.precision.weights, platform.precision.kv_cache
    if engine not in _CASTS:
        return None
    name = model.hf_id or model.id
    ranks = tp * platform.device.engine_devices
    length = (longest or _longest(workload)) // 256 * 256 + 256
    length = min(model.context_length, length) if model.context_length else length
    # experts over more ranks than a replica has join replicas; other replicas know nothing of each other
    joint = max(ep // ranks, 1)
    cast = weights in _CASTS[engine] and model.checkpoint_weights in SIXTEEN_BIT
    notes = [] if cast or _ships(model, weights) else [f"a checkpoint with {weights} weights"]
    if kv not in (*SIXTEEN_BIT, "fp8"):
        notes.append(f"no flag asks for a KV cache in {kv}")
    if engine == "vllm":
        # its data-parallel ranks share the experts of a mixture, so replicas of one are copies of the server
        together = joint if _is_moe(model) else dp
        parts = [
            f"vllm serve {name}",
            f"--tensor-parallel-size {ranks}",
            f"--pipeline-parallel-size {pp}" if pp > 1 else "",
            f"--data-parallel-size {together}" if together > 1 else "",
            "--enable-expert-parallel" if ep > 1 else "",
            "--quantization fp8" if cast else "",
            f"--dtype {'bfloat16' if weights == 'bf16' else 'float16'}" if weights in SIXTEEN_BIT else "",
            "--kv-cache-dtype fp8" if kv == "fp8" else "",
            f"--max-model-len {length}",
            f"--gpu-memory-utilization {platform.coefficients.memory_fraction:g}",
        ]
        if 1 < ep < ranks:
            notes.append(f"experts go over all {ranks} ranks, {ep} cannot be asked for")
    elif engine == "sglang":
        together = joint if joint > 1 else dp
        parts = [
            f"python -m sglang.launch_server --model-path {name}",
            f"--tp {ranks * joint}",
            f"--pp-size {pp}" if pp > 1 else "",
            f"--dp {together}" if together > 1 else "",
            "--enable-dp-attention" if joint > 1 else "",
            f"--ep-size {ep}" if ep > 1 else "",
            "--quantization fp8" if cast else "",
            "--kv-cache-dtype fp8_e4m3" if kv == "fp8" else "",
            f"--context-length {length}",
            f"--mem-fraction-static {platform.coefficients.memory_fraction:g}",
        ]
    else:
        together = joint
        parts = [
            f"trtllm-serve {name}",
            f"--tp_size {ranks * joint}",
            f"--pp_size {pp}" if pp > 1 else "",
            f"--ep_size {ep}" if ep > 1 else "",
            "--kv_cache_dtype fp8" if kv == "fp8" else "",
            f"--max_seq_len {length}",
            f"--kv_cache_free_gpu_memory_fraction {platform.coefficients.memory_fraction:g}",
        ]
        if joint > 1:
            notes.append("enable_attention_dp: true in its --extra_llm_api_options")
    if dp > together:
        notes.append(f"{dp // together} copies behind a router")
    return " ".join(part for part in parts if part) + (f"  # {', '.join(notes)}" if notes else "")


def _longest(workload: Workload) -> int:
    """A length that nearly all requests keep: engines refuse longer ones."""
    long = sum(
        tokens * (1.0 + DEVIATIONS * cv)
        for tokens, cv in ((workload.input_tokens, workload.input_cv), (workload.output_tokens, workload.output_cv))
    )
    return int(max(long, ROOM * workload.total_tokens))


def _ships(model: ModelConfig, weights: str) -> bool:
    """Whether the published checkpoint is in this format; one 16-bit format is read as the other."""
    return weights == model.checkpoint_weights or {weights, model.checkpoint_weights} <= set(SIXTEEN_BIT)


def _is_moe(model: ModelConfig) -> bool:
    return any(group.ffn is not None and group.ffn.is_moe for group in model.layers)
