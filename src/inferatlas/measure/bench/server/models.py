"""The models that a server lists, and the one that requests are to name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.web import Reply

ANY_NAME = ("llama.cpp",)  # engines that serve their one model whatever it is called
LISTED = 12  # names in a message


def listed_in(reply: Reply) -> list[dict[str, Any]]:
    """The models of an answer; none where the server has no such page."""
    if reply.status != 200:
        return []
    page = json_of(reply)
    data = page.get("data") if isinstance(page, dict) else None
    if not isinstance(data, list):
        raise BadInput(
            "the answer of /v1/models is no list of models", field="base_url", hint="is it an OpenAI-compatible server?"
        )
    return [one for one in data if isinstance(one, dict) and isinstance(one.get("id"), str)]


def names_of(one: Mapping[str, Any]) -> list[str]:
    aliases = one.get("aliases")
    return [one["id"], *(aliases if isinstance(aliases, list) else [])]


def chosen_model(model: str | None, listed: Sequence[Mapping[str, Any]], engine: str | None) -> tuple[str, str | None]:
    """What requests call the model, and what is to be said about it."""
    names = [str(name) for one in listed for name in names_of(one)]
    first = [str(one["id"]) for one in listed]
    if model is None:
        if len(first) == 1:
            return first[0], None
        if first:
            raise BadInput(f"the server lists {len(first)} models: name one", field="model", allowed=_few(first))
        raise BadInput("the server does not say what it serves: name the model", field="model")
    if model in names:
        return model, None
    if not names:
        return model, "the server lists no models: the name given was taken as it is"
    # `transformers serve` lists models of a cache, and serves any directory that is named
    if engine in ANY_NAME or model.startswith("/"):
        return model, f"the server does not list '{model}': it lists {_few(first)}"
    near = _near(model, names)
    raise BadInput(
        f"the server does not serve '{model}'", field="model", allowed=_few(first),
        hint=f"did you mean {' or '.join(near)}?" if near else None,
    )  # fmt: skip


def _near(model: str, names: Sequence[str]) -> list[str]:
    """Names that differ in capitals, in the organisation before the slash, or little."""
    lower = {name.lower(): name for name in names}
    tail = [name for name in names if name.lower().rpartition("/")[2] == model.lower().rpartition("/")[2]]
    close = [lower[one] for one in difflib.get_close_matches(model.lower(), lower, n=3, cutoff=0.5)]
    return list(dict.fromkeys((*tail, *close)))[:3]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def context_tokens(one: Mapping[str, Any]) -> int | None:
    """The longest prompt and output together, as vLLM and SGLang, llama.cpp, and hosted services call it."""
    meta = one.get("meta")
    inner = meta.get("n_ctx") if isinstance(meta, dict) else None
    found = (one.get("max_model_len"), inner, one.get("context_length"), one.get("context_window"))
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def json_of(reply: Reply | None) -> Any:
    """The JSON of an answer; None where it is none."""
    try:
        return None if reply is None else json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
