"""Reader and writer of InferenceX (formerly InferenceMAX) results, ``agg_*.json``.

Format: https://github.com/SemiAnalysisAI/InferenceX, ``utils/process_result.py`` (commit 77f3e680) and
``utils/aggregate_power.py`` (02fff9ee). Durations are in seconds, figures without the ``_ms`` of vLLM's result, of
which its client is a fork; ``intvty`` is 1/TPOT. ``tput_per_gpu`` counts input **and** output tokens; how rates and
power follow from what stands per GPU is `inferatlas.evidence.importers.inferencex`'s, which is called here. The client
asks the completions or the chat route and the file does not say which: on the latter the event of the role counts as
the first token, so TTFT and TPOT stay foreign unless we wrote the file. ``avg_power_w`` is per GPU and holds only where
``power_valid`` is 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, statistics
from inferatlas.measure.bench.formats.foreign import NAME, OWN, REMARK, ROLE, Foreign, defined
from inferatlas.measure.bench.formats.records import Record, event_times, span_s, tpot_s
from inferatlas.measure.bench.formats.vllm_out import milliseconds

_STATISTICS = {"mean": "mean_{}", "std": "std_{}", "p50": "median_{}"} | {
    f"p{rank}": f"p{rank}_{{}}" for rank in ("90", "95", "99", "99.9")
}
_NEEDED = ("hw", "model", "framework", "conc")
_DEFINITIONS = {
    "ttft": f"first event - sent, s; {ROLE}", "tpot": f"(last event - first event) / (output tokens - 1), s; {ROLE}",
    "itl": "gaps between events, undivided, s", "intvty": f"1 / TPOT, tokens/s per user; {ROLE}",
    "tput_per_gpu": "input and output tokens/s / GPUs", "output_tput_per_gpu": "output tokens/s / (decode) GPUs",
    "joules_per_total_token": "energy of all GPUs over the whole run / input and output tokens, J",
    "joules_per_output_token": "energy of all GPUs over the whole run / output tokens, J",
}  # fmt: skip


def recognises(document: Any) -> bool:
    """Whether a document is a result of InferenceX, a row of its API, or a list of them."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return False
    figures = first["metrics"] if isinstance(first.get("metrics"), dict) else first
    return ("hw" in first or "hardware" in first) and "tput_per_gpu" in figures


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """A benchmark per result: an object, a list of objects, or one object per line."""
    from inferatlas.evidence.importers.inferencex import flat

    found = []
    for line, document in loaded.documents:
        listed = document if isinstance(document, list) else [document]
        for index, one in enumerate(listed):
            where = Where(loaded.file, line, f"[{index}]" if isinstance(document, list) else "")
            if not isinstance(one, dict):
                raise where.bad("", "not a result", "a table")
            found.append(_one(where, flat(one), _rates(where, flat(one))))
    return tuple(found)


def _rates(where: Where, one: dict[str, Any]) -> dict[str, Any]:
    """Rates, power and number of GPUs of the whole deployment, by the reader of evidence."""
    from inferatlas.evidence.importers.inferencex import row
    from inferatlas.evidence.importers.rows import Unreadable

    missing = [key for key in _NEEDED if one.get(key) in (None, "")]
    if missing:
        raise where.bad(missing[0], "missing", ", ".join(_NEEDED))
    try:
        return row(one).values
    except Unreadable as why:
        raise where.bad("", why.detail, hint=why.hint) from None


def _one(where: Where, run: dict[str, Any], rates: dict[str, Any]) -> Foreign:
    own = where.text(run, OWN) == NAME

    def figure(name: str) -> dict[str, float] | None:
        return statistics(where, run, {ours: key.format(name) for ours, key in _STATISTICS.items()})

    metrics: dict[str, Any] = {
        "latency_s": figure("e2el"), "output_tokens_per_s": rates.get("output_tokens_per_s"),
        "total_tokens_per_s": rates.get("total_tokens_per_s"), "power_w": rates.get("power_w"),
    }  # fmt: skip
    names = ("tput_per_gpu", "output_tput_per_gpu", "joules_per_total_token", "joules_per_output_token")
    foreign: dict[str, Any] = {name: where.number(run, name) for name in names}
    if own:
        metrics |= {"ttft_s": figure("ttft"), "itl_s": figure("tpot"), "chunk_gap_s": figure("itl")}
    else:
        foreign |= {name: figure(name) for name in ("ttft", "tpot", "itl", "intvty")}
    metrics, foreign = known(metrics), known(foreign)
    users = where.whole(run, "conc")
    told = {name: text for name, text in _DEFINITIONS.items() if name in foreign}
    notes = [f"{key}={value}" for key in ("hw", "framework", "precision", "image", "spec_decoding")
             if (value := where.text(run, key))]  # fmt: skip
    if "power_valid" in run and not run["power_valid"]:
        notes.append("power withheld: the source marks it as not valid")
    return Foreign(
        tool="inferencex", version=None, requests=None, metrics=metrics, foreign=foreign,
        load=known({"kind": "closed", "concurrency": users, "input_tokens": where.number(run, "isl"),
                    "output_tokens": where.number(run, "osl"), "model": where.text(run, "model"),
                    "accelerator": where.text(run, "hw"), "accelerators": rates.get("accelerators")}),
        definitions=defined(metrics, told), notes=tuple(notes), remarks=() if own else (REMARK,),
    )  # fmt: skip


def write(record: Record) -> str:
    """The text of ``agg_*.json`` for a run in closed loop on one node.

    Raises
    ------
    BadInput : not a closed loop, or the record does not tell the accelerator and how many there are.
    """
    import msgspec

    load, hardware = record.load, record.where.table(record.run, "hardware")
    part = hardware.get("accelerator") or load.get("accelerator")
    count = hardware.get("accelerators") or load.get("accelerators")
    if load.get("concurrency") is None:
        raise BadInput("InferenceX holds runs at a concurrency", field="load.concurrency", file=record.where.file,
                       allowed="a run in closed loop")  # fmt: skip
    if not part or not count:
        raise BadInput("rates per GPU need the accelerator and how many there are", file=record.where.file,
                       field="hardware.accelerator, hardware.accelerators", allowed="a name, and a number")  # fmt: skip
    software = record.where.table(record.run, "software")
    run: dict[str, Any] = {
        "hw": str(part), "conc": load["concurrency"], "image": None, "model": record.model,
        "framework": software.get("engine") or "unknown", "precision": software.get("precision") or "unknown",
        "spec_decoding": "none", "disagg": False, "is_multinode": False, "tp": int(count), "ep": 1,
        "dp_attention": "false", OWN: NAME,
    }  # fmt: skip
    run |= _from_requests(record, int(count)) if record.columns is not None else _from_metrics(record, int(count))
    if (power := record.power_w()) is not None:
        run |= {"avg_power_w": power / int(count), "power_valid": 1}
    return msgspec.json.encode(run).decode()


def _from_requests(record: Record, count: int) -> dict[str, Any]:
    rows = [row for row in record.requests() if row["sent_s"] is not None]
    done = [row for row in rows if row["status"] == "done"]
    read, written = (sum(row[f"{name}_tokens"] or 0 for row in done) for name in ("input", "output"))
    seconds = span_s(rows)
    gaps = [b - a for row in done if (one := event_times(row)) for a, b in pairwise(one[0])]
    found: dict[str, Any] = {
        "isl": _each(read, len(done)), "osl": _each(written, len(done)),
    } | _per_gpu(_each(read, seconds), _each(written, seconds), count)  # fmt: skip
    for name, values in (
        ("ttft", [row["ttft_service_s"] for row in done]), ("tpot", [tpot_s(row) for row in done]), ("itl", gaps),
        ("e2el", [row["latency_service_s"] for row in done]),
    ):  # fmt: skip
        for key, value in milliseconds(name, [one for one in values if one is not None], (90, 95, 99)).items():
            found |= _seconds(key.removesuffix("_ms"), value / 1e3)
    return found


def _from_metrics(record: Record, count: int) -> dict[str, Any]:
    metrics, load = record.where.table(record.run, "metrics"), record.load
    written, total = metrics.get("output_tokens_per_s"), metrics.get("total_tokens_per_s")
    found = {"isl": load.get("input_tokens"), "osl": load.get("output_tokens")}
    found |= _per_gpu(None if total is None or written is None else total - written, written, count)
    for name, ours in (("ttft", "ttft_s"), ("tpot", "itl_s"), ("itl", "chunk_gap_s"), ("e2el", "latency_s")):
        for statistic, value in record.where.table(metrics, ours).items():
            if statistic in _STATISTICS:
                found |= _seconds(_STATISTICS[statistic].format(name), value)
    return found


def _seconds(key: str, value: float) -> dict[str, float]:
    """A duration under InferenceX's key, and the interactivity that goes with TPOT."""
    found = {key: value}
    if "tpot" in key and value > 0:
        found[key.replace("tpot", "intvty")] = 1.0 / value
    return found


def _per_gpu(read: float | None, written: float | None, count: int) -> dict[str, float | None]:
    total = None if read is None or written is None else read + written
    return {name: None if rate is None else rate / count for name, rate in (
        ("tput_per_gpu", total), ("output_tput_per_gpu", written), ("input_tput_per_gpu", read))}  # fmt: skip


def _each(total: float, many: float) -> float | None:
    return total / many if many else None
