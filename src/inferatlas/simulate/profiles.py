"""Schedulers by name: how engines, papers and compiled machines fill their steps, with version and source.

In: ``profiles/*.yaml``, or a file of one's own. Out: a `Scheduler`; settings that a profile leaves open are the
engine's on the device (`catalogue/data/engines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.platform import Platform
from inferatlas.simulate.fleet import POLICIES, Scheduler
from inferatlas.simulate.values import amount, choice, count
from inferatlas.workload.yaml_fields import (
    Fields,
    boolean,
    path_of,
    read_mapping,
    refuse_unknown,
    require,
    text,
)

DATA = Path(__file__).parent / "profiles"
UNLIMITED = 1 << 30  # tokens of a step that only its sequences limit
LEAST_CONTEXT = 2048  # tokens of a step of vLLM v0, where the context is shorter
TEXTS = ("name", "version", "source", "address", "note")
COUNTS = ("step_tokens", "max_sequences", "chunk_limit", "kv_blocks")
FLAGS = ("chunked", "reserve_whole", "swap")
SETTINGS = ("policy", *COUNTS, *FLAGS, "prefix_cache", "host_s")
CACHES = ("none", "blocks", "tokens")
WORDS = ("unlimited", "context")  # that step_tokens may be
# the same settings as the engines call them
ALIASES = {
    "max_num_batched_tokens": "step_tokens", "max_num_seqs": "max_sequences", "enable_chunked_prefill": "chunked",
    "long_prefill_token_threshold": "chunk_limit", "num_gpu_blocks_override": "kv_blocks",
    "num_gpu_blocks": "kv_blocks",
    "chunked_prefill_size": "step_tokens", "max_running_requests": "max_sequences",
    "max_num_tokens": "step_tokens", "max_batch_size": "max_sequences",
}  # fmt: skip
# whether a cache is on, as the engines call it
SWITCHES = {"enable_prefix_caching": True, "enable_block_reuse": True, "disable_radix_cache": False}
OF_ENGINE = {"vllm": "vllm-v1", "sglang": "sglang", "tensorrt-llm": "tensorrt-llm", "deepspeed": "fastgen"}


@dataclass(frozen=True, slots=True)
class Profile:
    """A scheduler with where it comes from; ``settings`` by the names of `Scheduler`'s fields.

    ``settings["step_tokens"]`` may be *context*: as many tokens as the model's context, 2,048 at least.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    source: str = ""
    address: str = ""
    note: str = ""

    def scheduler(self, context: int | None = None) -> Scheduler:
        """For a model with so long a context; without one, steps that it would limit have no limit."""
        given = dict(self.settings)
        tokens = given.get("step_tokens")
        if tokens == "context":
            given["step_tokens"] = max(context, LEAST_CONTEXT) if context else UNLIMITED
        elif tokens == "unlimited":
            given["step_tokens"] = UNLIMITED
        return Scheduler(name=self.name, **given)

    def changed(self, settings: Mapping[str, Any]) -> Profile:
        """The same with some settings replaced; its name says so."""
        if not settings:
            return self
        said = ", ".join(f"{key} {_said(value)}" for key, value in settings.items())
        merged = {**self.settings, **settings}
        return Profile(f"{self.name} ({said})", merged, self.version, self.source, self.address, self.note)


def profile_names() -> list[str]:
    """Names of the profiles that come with the package.

    Examples
    --------
    >>> profile_names()
    ['compiled', 'fastgen', 'orca', 'pipeline', 'sarathi', 'sglang', 'static', 'tensorrt-llm', 'vllm-v0', 'vllm-v1']
    """
    return sorted(path.stem for path in DATA.glob("*.yaml"))


def read_profile(name_or_path: str | Path) -> Profile:
    """The profile behind a name, or the one in a YAML file of the user's own.

    Parameters
    ----------
    name_or_path : one of `profile_names`, or a path (anything with a directory or ending in ``.yaml`` or ``.yml``).

    Raises
    ------
    UnknownName : no such name; near ones are offered.
    BadInput : the file cannot be read or breaks the schema; with file and line.

    Examples
    --------
    >>> read_profile("sarathi").settings["step_tokens"], read_profile("vllm-v1").settings["prefix_cache"]
    (512, 'blocks')
    """
    path = path_of(name_or_path)
    if path is not None:
        return _read(path)
    name, known = str(name_or_path).lower(), profile_names()
    if name not in known:
        raise UnknownName("scheduler", str(name_or_path), known)
    return _named(name)


def load_profile(name_or_path: str | Path, *, context: int | None = None) -> Scheduler:
    """A scheduler by name or from a file, errors as `read_profile`.

    Parameters
    ----------
    context : tokens of the model's context, which limits the steps of some schedulers.

    Examples
    --------
    >>> load_profile("vllm-v0", context=4096).step_tokens, load_profile("orca").reserve_whole
    (4096, True)
    """
    return read_profile(name_or_path).scheduler(context)


def profile_for(platform: Platform) -> str:
    """The profile of a platform's engine on its device, by name.

    Of the vendors' own stacks (engine *native*): compiled images where batches are compiled or the model is resident on
    a wafer, a pipeline where it is on a row of chips; elsewhere vLLM's, for want of anything published.

    Examples
    --------
    >>> from inferatlas.predict.platforms import bind
    >>> [profile_for(bind(name)) for name in ("h100", "cerebras-wse-3", "groq-lpu-v1")]
    ['vllm-v1', 'compiled', 'pipeline']
    """
    engine, device = platform.engine.name, platform.device
    if engine in OF_ENGINE:
        return OF_ENGINE[engine]
    if device.compiled_batches or device.style == "wafer":
        return "compiled"
    return "pipeline" if is_resident(device) else "vllm-v1"


def settings_of(fields: Fields, path: Path, prefix: str = "") -> dict[str, Any]:
    """Settings of a scheduler from a file, under our names or the engines'; ``prefix`` of the keys, as *scheduler.*.

    Raises
    ------
    BadInput : a setting given twice (under two names), a value of the wrong form or out of range; with the line.
    """
    found: dict[str, Any] = {}
    for key, (node, line) in fields.items():
        given = key.removeprefix(prefix).removeprefix("--").replace("-", "_")
        if given in SWITCHES:
            name, on = "prefix_cache", boolean(key, node, path) == SWITCHES[given]
            value: Any = ("tokens" if given == "disable_radix_cache" else "blocks") if on else "none"
        else:
            name = ALIASES.get(given, given)
            value = _value(name, key, node, path)
        if name in found:
            raise BadInput(f"sets {name} again", field=key, allowed="each setting once", file=path, line=line)
        found[name] = value
    return found


def setting_keys() -> tuple[str, ...]:
    """Every key that a scheduler's settings may have, ours first."""
    return (*SETTINGS, *ALIASES, *SWITCHES)


def refuse_unknown_settings(fields: Fields, path: Path, prefix: str = "", more: tuple[str, ...] = ()) -> None:
    """As `refuse_unknown`, with dashes and leading ones as on a command line."""
    known = (*more, *setting_keys())
    bare = {key.removeprefix(prefix).removeprefix("--").replace("-", "_"): entry for key, entry in fields.items()}
    refuse_unknown({key: entry for key, entry in bare.items() if key not in known}, known, path)


def _value(name: str, key: str, node: Any, path: Path) -> Any:
    if name == "policy":
        return choice(key, node, path, POLICIES)
    if name == "prefix_cache":
        return choice(key, node, path, CACHES)
    if name in FLAGS:
        return boolean(key, node, path)
    if name == "host_s":
        return amount(key, node, path)
    if name == "step_tokens" and getattr(node, "value", None) in WORDS:
        return node.value
    return count(key, node, path)


def _read(path: Path) -> Profile:
    fields = read_mapping(path, "scheduler")
    refuse_unknown_settings(fields, path, more=TEXTS)
    texts = {key: text(key, node, path) for key, (node, _) in fields.items() if key in TEXTS}
    require(fields, ("name", "policy"), path)
    settings = settings_of({key: entry for key, entry in fields.items() if key not in TEXTS}, path)
    return Profile(settings=settings, **texts)


@cache
def _named(name: str) -> Profile:
    return _read(DATA / f"{name}.yaml")


def _said(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"
