"""Which engine answers, in which version and with which flags, as far as it says so itself.

How they tell: ``owned_by`` of their models (vLLM vllm/entrypoints/openai/protocol.py, SGLang
python/sglang/srt/entrypoints/openai/protocol.py, TensorRT-LLM tensorrt_llm/serve/openai_protocol.py: the defaults of
`ModelCard`; llama.cpp: seen), the Server header (llama.cpp), the names of their metrics (`series.py`), and a page of
their own:

- vLLM and TensorRT-LLM: /version, {"version": ...} (vllm/entrypoints/openai/api_server.py);
- SGLang: /server_info, earlier /get_server_info: every argument of the server, and "version"
  (python/sglang/srt/entrypoints/http_server.py);
- llama.cpp: /props, "build_info", "total_slots", "model_ftype" (tools/server/README.md);
- TGI: /info, "version", "max_total_tokens" (https://huggingface.co/docs/text-generation-inference).

`transformers serve` says nothing of itself: name and version stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferatlas.measure.bench.server.series import PREFIXES

OWNERS = {
    "vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "tensorrt_llm": "TensorRT-LLM", "mock": "mock",
}  # fmt: skip
SERVERS = {"llama.cpp": "llama.cpp"}
# Pages that say more, by engine; of one that is unknown, all are asked for.
PAGES = {
    "SGLang": ("/server_info", "/get_server_info"), "llama.cpp": ("/props",), "TGI": ("/info",), "vLLM": ("/version",),
    "TensorRT-LLM": ("/version",),
}  # fmt: skip
# Names of settings whose values are kept out of records.
SECRET = re.compile(r"(?i)key|token$|_token_|password|secret|credential|auth")
NO_FLAGS = ("internal_states", "chat_template", "version", "build_info")  # large, or kept elsewhere
MOST_TEXT = 500  # characters of a setting: longer ones are templates

Json = Callable[[str], Any]  # the JSON at a path of the server; None where there is none


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine says of itself. ``context_tokens``: the longest prompt and output together."""

    name: str | None
    version: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    context_tokens: int | None = None


def engine_of(owners: Sequence[str], server: str | None, metrics: str) -> str | None:
    """The engine's name from the owners of its models, the Server header and its page of metrics.

    Examples
    --------
    >>> engine_of(["mock"], None, "vllm:num_requests_running 0"), engine_of(["library"], None, "tgi_queue_size 0")
    ('mock', 'TGI')
    """
    for one in owners:
        if one in OWNERS:
            return OWNERS[one]
    if server in SERVERS:
        return SERVERS[server]
    return next((name for prefix, name in PREFIXES.items() if re.search(rf"^{prefix}", metrics, re.MULTILINE)), None)


def told(name: str | None, metrics: str, json_at: Json) -> Told:
    """What an engine says on pages of its own.

    Parameters
    ----------
    name : where it is known. metrics : its page of metrics, which holds settings of some engines as labels.
    json_at : asks for a page.
    """
    flags = _flags_in(metrics)
    for engine, paths in PAGES.items():
        if name not in (None, engine):
            continue
        for path in paths:
            page = json_at(path)
            if isinstance(page, dict) and (found := _READERS[engine](page)):
                # who answers at /version alone may be anybody
                known = name or (engine if engine in ("SGLang", "llama.cpp", "TGI") else None)
                return Told(known, found.version, flags | dict(found.flags), found.context_tokens)
    return Told(name, None, flags)


def _version(page: Mapping[str, Any]) -> Told | None:
    version = page.get("version")
    return Told(None, version) if isinstance(version, str) else None


def _sglang(page: Mapping[str, Any]) -> Told | None:
    if "model_path" not in page:
        return None
    return Told(None, _text(page.get("version")), _flags(page), _count(page.get("context_length")))


def _llamacpp(page: Mapping[str, Any]) -> Told | None:
    if "build_info" not in page and "total_slots" not in page:
        return None
    settings = page.get("default_generation_settings")
    context = settings.get("n_ctx") if isinstance(settings, dict) else None
    kept = {name: page[name] for name in ("total_slots", "model_ftype") if name in page}
    return Told(None, _text(page.get("build_info")), kept, _count(context))


def _tgi(page: Mapping[str, Any]) -> Told | None:
    if "model_id" not in page or "max_total_tokens" not in page:
        return None
    return Told(None, _text(page.get("version")), _flags(page), _count(page.get("max_total_tokens")))


_READERS = {
    "SGLang": _sglang, "llama.cpp": _llamacpp, "TGI": _tgi, "vLLM": _version, "TensorRT-LLM": _version,
}  # fmt: skip


def _flags(page: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are one value, without those that may be secret."""
    return {
        name: value
        for name, value in page.items()
        if isinstance(value, str | int | float | bool)
        and name not in NO_FLAGS and not SECRET.search(name) and len(str(value)) <= MOST_TEXT
    }  # fmt: skip


def _flags_in(metrics: str) -> dict[str, Any]:
    """Settings that an engine publishes as the labels of a series, as vLLM does with `vllm:cache_config_info`."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, Any] = {}
    for line in re.findall(r"^(?:vllm:|trtllm_)\w*config_info\{.*$", metrics, re.MULTILINE):
        try:
            samples = [sample for family in text_string_to_metric_families(line + "\n") for sample in family.samples]
        except (ValueError, IndexError, KeyError, TypeError):  # the parser's ways to refuse a line
            continue
        for sample in samples:
            found |= {name: value for name, value in _flags(sample.labels).items() if value != "None"}
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
