"""The command that starts a deployment says what was recommended: devices, layout, formats, lengths."""

import shlex
from math import prod

import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.launch import command
from inferatlas.decide.advisor.recommend import recommend
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.platforms import bind
from inferatlas.workload import make_workload

LOAD = make_workload(None, isl=1024, osl=256, concurrency=8)
LAYOUT = {"tp": 1, "pp": 1, "ep": 1, "dp": 1}


def started(platform: Platform, model: str = "llama-3.1-8b", load=LOAD, **layout: int) -> tuple[dict[str, str], str]:
    """Flags with their values ("" for switches) and the comment behind them."""
    line = command(load_model(model), platform, load, **(LAYOUT | layout))
    assert line is not None
    words, _, comment = line.partition("  # ")
    flags: dict[str, str] = {}
    last = ""
    for word in shlex.split(words):
        if word.startswith("--"):
            last = word
            flags[last] = ""
        elif last:
            flags[last], last = word, ""
        else:
            flags.setdefault("program", "")
            flags["program"] += f" {word}"
    return flags, comment


def test_vllm_by_its_flags():
    flags, comment = started(bind("h100", "vllm"), tp=2, pp=2, dp=3)
    assert flags["program"] == " vllm serve meta-llama/Llama-3.1-8B-Instruct"
    assert flags["--tensor-parallel-size"] == flags["--pipeline-parallel-size"] == "2"
    assert flags["--data-parallel-size"] == "3"
    assert flags["--dtype"] == "bfloat16"
    assert flags["--gpu-memory-utilization"] == "0.9"
    assert not {"--quantization", "--kv-cache-dtype", "--enable-expert-parallel"} & flags.keys()
    assert comment == ""


def test_what_is_one_is_not_said():
    flags, _ = started(bind("h100", "vllm"))
    assert flags["--tensor-parallel-size"] == "1"
    assert not {"--pipeline-parallel-size", "--data-parallel-size"} & flags.keys()


@pytest.mark.parametrize(("part", "dies"), [("mi250", 2), ("max-1550", 2), ("h100", 1)])
def test_engines_count_the_dies_of_a_card(part: str, dies: int):
    flags, _ = started(bind(part, "vllm"), tp=2)
    assert flags["--tensor-parallel-size"] == str(2 * dies)


@pytest.mark.parametrize(
    ("engine", "tp", "pp", "kv"),
    [
        ("sglang", "--tp", "--pp-size", ("--kv-cache-dtype", "fp8_e4m3")),
        ("tensorrt-llm", "--tp_size", "--pp_size", ("--kv_cache_dtype", "fp8")),
        ("vllm", "--tensor-parallel-size", "--pipeline-parallel-size", ("--kv-cache-dtype", "fp8")),
    ],
)
def test_every_engine_is_told_layout_and_kv_format(engine: str, tp: str, pp: str, kv: tuple[str, str]):
    flags, _ = started(bind("h100", engine, "fp8", kv_cache="fp8"), tp=4, pp=2)
    assert (flags[tp], flags[pp], flags[kv[0]]) == ("4", "2", kv[1])
    assert kv[0] not in started(bind("h100", engine))[0]
    # NVIDIA's FP8 checkpoints for TensorRT-LLM carry an FP8 cache, others leave it in 16 bit
    assert (kv[0] in started(bind("h100", engine, "fp8"))[0]) is (engine == "tensorrt-llm")


def test_a_kv_format_without_a_flag_is_not_passed_over():
    flags, comment = started(bind("h100", "vllm", kv_cache="int8"))
    assert "--kv-cache-dtype" not in flags
    assert "no flag asks for a KV cache in int8" in comment


@pytest.mark.parametrize(
    ("engine", "model", "weights", "flag", "checkpoint"),
    [
        ("vllm", "llama-3.1-8b", "fp8", True, False),  # made from the 16-bit checkpoint at start
        ("sglang", "llama-3.1-8b", "fp8", True, False),
        ("tensorrt-llm", "llama-3.1-8b", "fp8", False, True),  # which this engine does not do
        ("vllm", "llama-3.1-8b", "int4", False, True),
        ("vllm", "llama-3.1-8b", "bf16", False, False),
        ("vllm", "deepseek-r1", "fp8", False, False),  # ships in it
        ("vllm", "deepseek-r1", "bf16", False, True),
        ("vllm", "gpt-oss-120b", "mxfp4", False, False),
        ("vllm", "gpt-oss-120b", "fp8", False, True),  # no engine makes 8 bits of 4
    ],
)
def test_weights_come_from_the_checkpoint_a_flag_or_another_checkpoint(engine, model, weights, flag, checkpoint):
    flags, comment = started(bind("h100", engine, weights), model, tp=8)
    assert (flags.get("--quantization") == "fp8") is flag
    assert (f"a checkpoint with {weights} weights" in comment) is checkpoint


def test_experts_inside_a_replica_and_across_replicas():
    vllm, sglang = bind("h100", "vllm", "fp8"), bind("h100", "sglang", "fp8")
    flags, comment = started(vllm, "deepseek-r1", tp=8, ep=8, dp=2)
    # ranks that are data-parallel in vLLM share experts, so two replicas are two servers
    assert "--enable-expert-parallel" in flags and "--data-parallel-size" not in flags
    assert comment == "2 copies behind a router"
    flags, comment = started(vllm, "deepseek-r1", tp=4, ep=16, dp=8)
    assert (flags["--tensor-parallel-size"], flags["--data-parallel-size"]) == ("4", "4")
    assert "--enable-expert-parallel" in flags
    assert comment == "2 copies behind a router"
    flags, comment = started(vllm, "deepseek-r1", tp=8, ep=1, dp=3)
    assert not {"--enable-expert-parallel", "--data-parallel-size"} & flags.keys()
    assert comment == "3 copies behind a router"
    assert "experts go over all 8 ranks" in started(vllm, "deepseek-r1", tp=8, ep=4)[1]

    flags, comment = started(sglang, "deepseek-r1", tp=8, ep=8, dp=2)
    assert (flags["--tp"], flags["--dp"], flags["--ep-size"]) == ("8", "2", "8")
    flags, comment = started(sglang, "deepseek-r1", tp=4, ep=16, dp=4)
    assert (flags["--tp"], flags["--dp"], flags["--ep-size"]) == ("16", "4", "16")
    assert "--enable-dp-attention" in flags and comment == ""

    flags, comment = started(bind("h100", "tensorrt-llm", "fp8"), "deepseek-r1", tp=8, ep=8, dp=2)
    assert (flags["--tp_size"], flags["--ep_size"]) == ("8", "8")
    assert comment == "2 copies behind a router"


def test_stacks_of_vendors_have_no_command():
    layout = LAYOUT | {"pp": 200}
    assert command(load_model("llama-3.1-8b"), bind("groq"), LOAD, **layout) is None
    assert command(load_model("llama-3.1-8b"), bind("h100", "native"), LOAD, **LAYOUT) is None
    assert command(load_model("llama-3.1-8b"), bind("h100", "deepspeed"), LOAD, **LAYOUT) is None


@pytest.mark.parametrize(
    ("engine", "flag"), [("vllm", "--max-model-len"), ("sglang", "--context-length"), ("tensorrt-llm", "--max_seq_len")]
)
def test_the_context_holds_the_requests_and_never_exceeds_the_models(engine: str, flag: str):
    platform = bind("h100", engine)
    for isl, osl in ((1, 1), (1024, 256), (100_000, 31_072)):
        length = int(started(platform, load=make_workload(None, isl=isl, osl=osl, concurrency=1))[0][flag])
        assert isl + osl <= length <= 131_072
    # requests of a trace vary: a server that takes the mean only would refuse many
    chat = make_workload("chat", request_rate=1)
    assert int(started(platform, load=chat)[0][flag]) > 4142 + 601  # 99th percentiles of both


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "gpt-oss-20b"])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm"])
def test_the_command_of_every_candidate_starts_all_its_devices(model: str, engine: str):
    found = recommend(
        model, isl=1024, osl=256, concurrency=64, engine=engine, objective="throughput", max_count=8, top=0
    )
    assert found.candidates
    for one in found.candidates:
        line = one.command
        assert line is not None
        words, _, comment = line.partition("  # ")
        value = dict(zip(w := shlex.split(words), w[1:], strict=False))
        names = {
            "vllm": ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"),
            "sglang": ("--tp", "--pp-size", "--dp"),
            "tensorrt-llm": ("--tp_size", "--pp_size"),
        }[engine]
        if "--enable-dp-attention" in words:  # --dp is then a part of --tp
            names = names[:2]
        copies = [int(part.split()[0]) for part in comment.split(", ") if "copies" in part]
        devices = prod(int(value.get(name, 1)) for name in names) * prod(copies)
        assert devices == one.count * bind(one.accelerator, engine).device.engine_devices, line
