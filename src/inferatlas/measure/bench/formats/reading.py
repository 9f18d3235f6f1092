"""Which tool wrote a file, and what it says: detection by content, or by the tool that the caller names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.formats import (
    aiperf,
    genai_perf,
    guidellm,
    inference_perf,
    inferencex,
    llmd,
    loadgen,
    vllm,
)
from inferatlas.measure.bench.formats.documents import Loaded, load
from inferatlas.measure.bench.formats.foreign import Foreign


@dataclass(frozen=True, slots=True)
class Import:
    """A tool whose results can be read: what the files are, how they are recognised, and the reader."""

    says: str
    read: Callable[[Loaded], tuple[Foreign, ...]]
    document: Callable[[Any], bool] | None = None
    text: Callable[[str], bool] | None = None

    def recognises(self, loaded: Loaded) -> bool:
        """Whether a file is of this tool."""
        if loaded.text is not None:
            return self.text is not None and self.text(loaded.text)
        return bool(loaded.documents) and self.document is not None and self.document(loaded.documents[0][1])


IMPORTS = {
    "vllm": Import("vllm bench serve --save-result [--save-detailed], JSON", vllm.read, vllm.recognises),
    "guidellm": Import("GuideLLM benchmarks.json or .yaml", guidellm.read, guidellm.recognises),
    "aiperf": Import(
        "AIPerf profile_export.jsonl, profile_export_aiperf.json or .csv, or their folder", aiperf.read,
        aiperf.recognises, aiperf.recognises_text,
    ),
    "genai-perf": Import("GenAI-Perf profile_export.json", genai_perf.read, genai_perf.recognises),
    "inference-perf": Import(
        "inference-perf *_lifecycle_metrics.json", inference_perf.read, inference_perf.recognises
    ),
    "llm-d": Import("llm-d benchmark report v0.2, YAML or JSON", llmd.read, llmd.recognises),
    "loadgen": Import(
        "MLPerf LoadGen mlperf_log_summary.txt, mlperf_log_detail.txt, or their folder", loadgen.read,
        text=loadgen.recognises_text,
    ),
    "inferencex": Import("InferenceX agg_*.json", inferencex.read, inferencex.recognises),
}  # fmt: skip
_RECORDS, _SUMMARY = "profile_export.jsonl", "profile_export_aiperf.json"
_CSV, _LOG, _DETAIL = "profile_export_aiperf.csv", "mlperf_log_summary.txt", "mlperf_log_detail.txt"


def read_foreign(path: str | Path, tool: str | None = None) -> tuple[Foreign, ...]:
    """What another tool measured, one `Foreign` per benchmark in the file.

    Parameters
    ----------
    path : a file, or the folder of an AIPerf or LoadGen run, whose files are read together.
    tool : a key of `IMPORTS`; without it, what stands in the file tells.

    Raises
    ------
    BadInput : nothing there, no result of a tool that is known, or a value that is not what it must be (file, line
        and field are told). UnknownName : no such tool.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "run.json")
    ...     _ = file.write_text('{"model_id": "tiny", "duration": 2.0, "completed": 4, "max_concurrency": 2, '
    ...                         '"request_rate": "inf", "backend": "vllm", "mean_ttft_ms": 12.0}')
    ...     done = read_foreign(file)[0]
    >>> done.tool, done.load["kind"], done.metrics["ttft_s"]
    ('vllm', 'closed', {'mean': 0.012})
    """
    path = Path(path).expanduser()
    if tool is not None and tool not in IMPORTS:
        raise UnknownName("tool", tool, IMPORTS)
    if path.is_dir():
        return _folder(path, tool)
    loaded = load(path)
    return _read(loaded, tool or _tool(loaded))


def _read(loaded: Loaded, tool: str) -> tuple[Foreign, ...]:
    if not IMPORTS[tool].recognises(loaded):
        raise BadInput(f"not a result of {tool}", file=loaded.file, allowed=IMPORTS[tool].says)
    try:
        return IMPORTS[tool].read(loaded)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as problem:
        # a value of another kind than the tool ever writes, in a place that is not looked at one by one
        raise BadInput(
            f"not of the form that {tool} writes: {problem}", file=loaded.file, allowed=IMPORTS[tool].says
        ) from problem


def _tool(loaded: Loaded) -> str:
    found = next((name for name, one in IMPORTS.items() if one.recognises(loaded)), None)
    if found is None:
        raise BadInput("no result of a tool that is known", file=loaded.file,
                       allowed="; ".join(one.says for one in IMPORTS.values()))  # fmt: skip
    return found


def _folder(folder: Path, tool: str | None) -> tuple[Foreign, ...]:
    if (folder / "run.json").exists():
        raise BadInput("this is a run record already", file=folder, allowed="a result of another tool")
    held = {name: folder / name for name in (_RECORDS, _SUMMARY, _CSV, _LOG, _DETAIL) if (folder / name).exists()}
    if tool in (None, "aiperf") and (summary := held.get(_SUMMARY) or held.get(_CSV)):
        told = _read(load(summary), "aiperf")[0]
        return (aiperf.joined(_read(load(held[_RECORDS]), "aiperf")[0], told) if _RECORDS in held else told,)
    if tool in (None, "aiperf") and _RECORDS in held:
        return _read(load(held[_RECORDS]), "aiperf")
    if tool in (None, "loadgen") and _LOG in held and _DETAIL in held:
        return loadgen.read_pair(load(held[_LOG]), load(held[_DETAIL]))
    if tool in (None, "loadgen") and (log := held.get(_LOG) or held.get(_DETAIL)):
        return _read(load(log), "loadgen")
    raise BadInput("no files of AIPerf or LoadGen in the folder", file=folder,
                   allowed=", ".join((_RECORDS, _SUMMARY, _CSV, _LOG, _DETAIL)))  # fmt: skip
