"""Readers of public benchmark formats into the evidence table.

In: files of LLM-Inference-Bench, AIConfigurator, InferenceX, MLPerf, ML.ENERGY, ``vllm bench``, GuideLLM and AIPerf,
and run records of ``inferatlas bench``. Out: `Imported`, a frame in the columns of `evidence.table` and everything
wrong with the files as data. Nothing of a file is executed, and no name in it is opened as a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.evidence.importers.problems import KINDS, Imported, Problem

__all__ = ["FORMATS", "KINDS", "Imported", "Problem", "import_evidence"]

FORMATS = {
    "argonne": "LLM-Inference-Bench CSV files (static batches)",
    "aiconfigurator": "AIConfigurator's silicon_sample.csv",
    "inferencex": "InferenceX (InferenceMAX) agg_*.json, a file or a folder",
    "mlperf": "MLPerf Inference results: summary.csv or *_results.json",
    "mlenergy": "ML.ENERGY benchmark JSON, versions 2 and 3",
    "vllm-bench": "vllm bench serve, latency and throughput JSON",
    "guidellm": "GuideLLM benchmarks.json",
    "aiperf": "AIPerf and GenAI-Perf profile exports",
    "run-records": "run records of `inferatlas bench`, one or a folder of them",
}


def import_evidence(
    format: str, path: str | Path, *, given: Mapping[str, Any] | None = None, invalid: bool = False
) -> Imported:
    """Read a file, or all files of a folder, of a public format.

    Parameters
    ----------
    format : a key of `FORMATS`.
    path : a file or a folder; in a folder the files of the format's usual names are read, in the order of their names.
    given : values for columns that are empty, for example ``{"accelerator": "h100", "accelerators": 8, "tp": 8,
        "weights": "fp8"}``; what a file says itself is never overwritten, figures cannot be given.
    invalid : keep runs whose own verdict is that they are invalid, with a caution.

    Returns
    -------
    Imported : durations in seconds, power in W of all accelerators together, rates in tokens/s of the whole
        deployment; row ids are ``<format>:<file>:<row>``. A row to which a caution applies has weight 0.3 and says
        why in ``notes``.

    Raises
    ------
    BadInput : unknown format, no such path, no file of the format in the folder, or a ``given`` that is no column.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "run.json")
    ...     run = {"model_id": "meta-llama/Llama-3.1-8B-Instruct", "duration": 10.0, "completed": 10,
    ...            "max_concurrency": 4, "request_rate": "inf", "output_throughput": 500.0, "mean_tpot_ms": 7.5}
    ...     _ = file.write_text(json.dumps(run))
    ...     given = {"accelerator": "NVIDIA H100 80GB HBM3", "accelerators": 1, "weights": "bf16"}
    ...     done = import_evidence("vllm-bench", file, given=given)
    >>> done.frame.select("model", "accelerator", "load", "itl_s").row(0)
    ('llama-3.1-8b', 'nvidia-h100-sxm', 'closed_loop', 0.0075)
    >>> done.counts["kept"], done.problems
    (1, ())
    """
    if format not in FORMATS:
        raise BadInput(f"unknown format '{format}'", field="format", allowed=", ".join(FORMATS))
    from inferatlas.evidence.importers.collect import collect

    reader = import_module(f"inferatlas.evidence.importers.{format.replace('-', '_')}")
    return collect(format, reader.FORMAT, Path(path).expanduser(), given or {}, invalid=invalid)
