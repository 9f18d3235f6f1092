"""Schedulers by name say where they come from; a file that breaks the schema is refused by field and line."""

import pytest

from inferatlas.catalogue.accelerators import accelerators
from inferatlas.errors import BadInput, NotModelled, UnknownName
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import sixteen_bit
from inferatlas.predict.platforms import bind, supported_engines
from inferatlas.simulate.fleet import Scheduler
from inferatlas.simulate.profiles import (
    LEAST_CONTEXT,
    UNLIMITED,
    load_profile,
    profile_for,
    profile_names,
    read_profile,
)


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_states_its_version_and_source(name):
    profile = read_profile(name)
    assert profile.name == name
    assert profile.version
    assert profile.source
    assert profile.address.startswith("https://")
    assert isinstance(profile.scheduler(), Scheduler)


def test_what_the_sources_say():
    v1, v0 = load_profile("vllm-v1"), load_profile("vllm-v0", context=131_072)
    assert (v1.policy, v1.chunked, v1.prefix_cache, v1.reserve_whole) == ("budget", True, "blocks", False)
    assert (v1.step_tokens, v1.max_sequences) == (None, None)  # the engine's on the device
    assert (v0.policy, v0.chunked, v0.step_tokens, v0.max_sequences) == ("prefill-first", False, 131_072, 256)
    sarathi = load_profile("sarathi")
    assert (sarathi.policy, sarathi.step_tokens, sarathi.max_sequences) == ("budget", 512, 128)
    assert (load_profile("sglang").policy, load_profile("sglang").prefix_cache) == ("prefill-first", "tokens")
    tensorrt = load_profile("tensorrt-llm")
    assert (tensorrt.chunked, tensorrt.reserve_whole, tensorrt.prefix_cache) == (False, True, "blocks")
    for name in ("orca", "static"):
        whole = load_profile(name)
        assert (whole.step_tokens, whole.chunked, whole.reserve_whole) == (UNLIMITED, False, True)
        assert whole.prefix_cache == "none"


def test_steps_of_a_short_context_hold_what_the_engine_allows():
    assert load_profile("vllm-v0", context=512).step_tokens == LEAST_CONTEXT
    assert load_profile("vllm-v0").step_tokens == UNLIMITED


def test_every_engine_of_every_device_has_a_profile():
    for known in accelerators():
        try:
            wide = sixteen_bit(device(known).peaks)
        except NotModelled:
            continue
        for engine in supported_engines(known):
            assert wide is None or profile_for(bind(known, engine)) in profile_names()


@pytest.mark.parametrize(
    ("accelerator", "profile"),
    [("cerebras-wse-3", "compiled"), ("sambanova-sn40l", "compiled"), ("groq-lpu-v1", "pipeline")],
)
def test_machines_of_compiled_programs(accelerator, profile):
    assert profile_for(bind(accelerator, "native")) == profile


def test_names_are_not_case_sensitive_and_near_ones_are_offered():
    assert load_profile("Sarathi") == load_profile("sarathi")
    with pytest.raises(UnknownName, match="did you mean vllm-v1"):
        load_profile("vllm-v2")


def own(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own_with_the_names_of_engines(tmp_path):
    path = own(
        tmp_path,
        "name: mine\npolicy: budget\nmax_num_batched_tokens: 4096\nmax_num_seqs: 64\nenable_chunked_prefill: false\n"
        "long-prefill-token-threshold: 1024\nnum_gpu_blocks_override: 7463\nenable_prefix_caching: false\n",
    )
    assert load_profile(path) == Scheduler(
        "mine", "budget", 4096, 64, chunked=False, chunk_limit=1024, prefix_cache="none", kv_blocks=7463
    )


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("name: mine\npolicy: budget\nstep_token: 9\n", 3, "step_token"),
        ("name: mine\npolicy: budget\npolicy: static\n", 3, "policy"),
        ("name: mine\npolicy: orca\n", 2, "policy"),
        ("name: mine\npolicy: budget\nstep_tokens: many\n", 3, "step_tokens"),
        ("name: mine\npolicy: budget\nmax_sequences: 0\n", 3, "max_sequences"),
        ("name: mine\npolicy: budget\nmax_sequences: 1.5\n", 3, "max_sequences"),
        ("name: mine\npolicy: budget\nchunked: yes\n", 3, "chunked"),
        ("name: mine\npolicy: budget\nhost_s: -1\n", 3, "host_s"),
        ("name: mine\npolicy: budget\nprefix_cache: radix\n", 3, "prefix_cache"),
        ("name: mine\npolicy: budget\nmax_sequences: 8\nmax_num_seqs: 9\n", 4, "max_num_seqs"),
        ("policy: budget\n", None, "name"),
        ("", 1, "scheduler"),
        ("- budget\n", 1, "scheduler"),
    ],
)
def test_a_wrong_file_is_refused_by_field_and_line(tmp_path, text, line, field):
    path = own(tmp_path, text)
    with pytest.raises(BadInput) as wrong:
        load_profile(path)
    assert (wrong.value.line, wrong.value.field, wrong.value.file) == (line, field, str(path))


def test_changed_settings_show_in_the_name():
    profile = read_profile("vllm-v1").changed({"max_sequences": 128, "chunked": False})
    assert profile.name == "vllm-v1 (max_sequences 128, chunked off)"
    assert (profile.scheduler().max_sequences, profile.scheduler().chunked) == (128, False)
    assert profile.version == read_profile("vllm-v1").version
