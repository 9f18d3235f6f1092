"""A run record as another tool would have written it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inferatlas.errors import UnknownName
from inferatlas.measure.bench.formats import guidellm_out, inferencex, llmd_out, vllm_out
from inferatlas.measure.bench.formats.records import Record, open_record


@dataclass(frozen=True, slots=True)
class Export:
    """A format that can be written: what it is, the usual name of the file, and the writer."""

    says: str
    file: str
    write: Callable[[Record], str]


EXPORTS = {
    "vllm": Export("vllm bench serve --save-detailed, JSON", "vllm.json", vllm_out.write),
    "guidellm": Export("GuideLLM report version 2, JSON", "benchmarks.json", guidellm_out.write),
    "guidellm-yaml": Export(
        "GuideLLM report version 2, YAML", "benchmarks.yaml", partial(guidellm_out.write, yaml=True)
    ),
    "guidellm-v1": Export("GuideLLM report version 1, JSON", "benchmarks.json", partial(guidellm_out.write, version=1)),
    "llm-d": Export("llm-d benchmark report v0.2, YAML", "benchmark_report.yaml", llmd_out.write),
    "inferencex": Export("InferenceX result of one node, JSON", "agg_run.json", inferencex.write),
}


def export(folder: str | Path, tool: str) -> str:
    """The text of a file in another tool's format and convention.

    Parameters
    ----------
    folder : of a run record. tool : a key of `EXPORTS`.

    Raises
    ------
    UnknownName : no such format. BadInput : no run record, or it lacks what the format asks for.

    Examples
    --------
    >>> import json, tempfile
    >>> run = {"load": {"concurrency": 4}, "models": ["tiny"], "hardware": {"accelerator": "h100", "accelerators": 2},
    ...        "metrics": {"output_tokens_per_s": 100.0, "total_tokens_per_s": 300.0}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "run.json").write_text(json.dumps(run))
    ...     text = export(folder, "inferencex")
    >>> json.loads(text)["tput_per_gpu"]
    150.0
    """
    if tool not in EXPORTS:
        raise UnknownName("tool", tool, EXPORTS)
    return EXPORTS[tool].write(open_record(folder))
