"""The command that starts a recommended deployment, where the engine exists."""

from __future__ import annotations

from inferatlas.catalogue.model import ModelConfig
from inferatlas.predict.performance.platform import Platform
from inferatlas.workload import Workload

_VLLM_QUANTIZATION = {"fp8": "fp8"}  # others are properties of the checkpoint, not flags
ROOM = 1.5  # context granted over the mean request


def command(
    model: ModelConfig, platform: Platform, workload: Workload, tp: int, pp: int, ep: int, dp: int
) -> str | None:
    """A command line for vLLM, SGLang or TensorRT-LLM; None for stacks without one.

    ``tp`` counts accelerators; engines count devices, so dies of a card multiply it. Weights in a format
    that is a property of a checkpoint (INT4, NVFP4, MXFP4) need that checkpoint: the comment says so.
    """
    name = model.hf_id or model.id
    ranks = tp * platform.device.engine_devices
    length = min(model.context_length, int((workload.input_tokens + workload.output_tokens) * ROOM) // 256 * 256 + 256)
    weights, kv = platform.precision.weights, platform.precision.kv_cache
    note = "" if weights in ("bf16", "fp16", "fp8") else f"  # a checkpoint with {weights} weights"
    if platform.engine.name == "vllm":
        parts = [
            f"vllm serve {name}",
            f"--tensor-parallel-size {ranks}",
            f"--pipeline-parallel-size {pp}" if pp > 1 else "",
            f"--data-parallel-size {dp}" if dp > 1 else "",
            "--enable-expert-parallel" if ep > 1 else "",
            f"--quantization {_VLLM_QUANTIZATION[weights]}"
            if weights in _VLLM_QUANTIZATION and model.checkpoint_weights != weights
            else "",
            f"--dtype {'bfloat16' if weights == 'bf16' else 'float16'}" if weights in ("bf16", "fp16") else "",
            "--kv-cache-dtype fp8" if kv == "fp8" else "",
            f"--max-model-len {length}",
            f"--gpu-memory-utilization {platform.coefficients.memory_fraction:g}",
        ]
    elif platform.engine.name == "sglang":
        parts = [
            f"python -m sglang.launch_server --model-path {name}",
            f"--tp {ranks}",
            f"--pp-size {pp}" if pp > 1 else "",
            f"--dp {dp}" if dp > 1 else "",
            f"--ep-size {ep}" if ep > 1 else "",
            "--quantization fp8" if weights == "fp8" and model.checkpoint_weights != "fp8" else "",
            "--kv-cache-dtype fp8_e4m3" if kv == "fp8" else "",
            f"--context-length {length}",
            f"--mem-fraction-static {platform.coefficients.memory_fraction:g}",
        ]
    elif platform.engine.name == "tensorrt-llm":
        parts = [
            f"trtllm-serve {name}",
            f"--tp_size {ranks}",
            f"--pp_size {pp}" if pp > 1 else "",
            f"--ep_size {ep}" if ep > 1 else "",
            f"--max_seq_len {length}",
            f"--kv_cache_free_gpu_memory_fraction {platform.coefficients.memory_fraction:g}",
        ]
        note += f"  # {dp} copies behind a router" if dp > 1 else ""
    else:
        return None
    return " ".join(part for part in parts if part) + note
