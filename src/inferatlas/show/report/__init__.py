"""The report: one self-contained HTML page of a recommendation, with no script and nothing to load.

In: a `Recommendation` and the command that gave it. Out: a page that opens offline for ever. ``words`` holds its
sentences, ``pictures`` chooses its charts and their tables, ``sources`` cites the dated rows behind the figures,
``metrics`` names the quantities; the page itself is a template of ``show/templates``. Implements no equation.
"""

from __future__ import annotations

from pathlib import Path

from inferatlas.decide.advisor.recommend import Candidate, Recommendation
from inferatlas.predict.answer import DEFINITIONS
from inferatlas.quantities import percent
from inferatlas.show.deployment import layout_words, workload_words
from inferatlas.show.html import fill, inline
from inferatlas.show.numbers import listed
from inferatlas.show.output import write_file
from inferatlas.show.report import words
from inferatlas.show.report.metrics import METRICS, middle, spread
from inferatlas.show.report.sources import price_rows, site_rows


def write_report(recommendation: Recommendation, path: Path, *, command: str) -> Path:
    """Write the page and return where it is.

    Parameters
    ----------
    recommendation : what `decide.advisor.recommend.recommend` returned; without candidates the page says why there
        are none.
    path : the file to write; its directory must exist. An existing file is replaced.
    command : the command line that gives this page again.

    Raises
    ------
    BadInput : the file cannot be written.
    """
    write_file(render(recommendation, command=command), path, "report")
    return path


def render(recommendation: Recommendation, command: str) -> str:
    """The page as text."""
    from inferatlas.show.report.pictures import pictures

    found = recommendation
    metric = words.objective_metric(found)
    return fill(
        "report.html.j2",
        question=words.question(found),
        answer=words.answer(found),
        load=workload_words(found.inputs["workload"]),
        found=found,
        best=found.candidates[0] if found.candidates else None,
        ranking=[_ranked_row(c, metric) for c in found.candidates],
        objective=METRICS[metric],
        order=words.order(found),
        lower=found.ranked_lower,
        pictures=[(picture, inline(picture.chart, picture.description)) for picture in pictures(found)],
        percent=percent,
        reasons=words.REASONS,
        prices=price_rows(found),
        site=site_rows(found),
        limits=_limits(found),
        launches=_launches(found.candidates),
        fallbacks=_fallbacks(found.candidates),
        definitions=[(METRICS[key], text) for key, text in DEFINITIONS.items()],
        labels=words.LABELS,
        command=command,
    )


def _ranked_row(candidate: Candidate, metric: str) -> dict[str, object]:
    columns = list(
        dict.fromkeys([metric, "usd_per_million_tokens", "ttft_s", "itl_s", "output_tokens_per_s", "power_w"])
    )
    return {
        "candidate": candidate,
        "name": words.short_name(candidate),
        "layout": layout_words(candidate.layout),
        "chance": percent(candidate.p_meets_target),
        "cells": [
            (METRICS[key], middle(key, candidate.metrics.get(key)), spread(key, candidate.metrics.get(key)))
            for key in columns
        ],
    }


def _limits(found: Recommendation) -> list[str]:
    """The limits that were set, in words."""
    asked = found.inputs["limits"]
    sayings = {
        "accelerators": "only {}",
        "vendors": "only from {}",
        "engine": "engine {}",
        "weights": "weights {}",
        "kv_cache": "KV cache {}",
        "usd_per_hour": "at most {} USD per hour",
        "power_w": "at most {} W",
    }
    out = [f"up to {asked['max_count']} accelerators"]
    for key, saying in sayings.items():
        if (value := asked.get(key)) is not None:
            text = listed([str(v) for v in value]) if isinstance(value, tuple | list) else value
            out.append(saying.format(f"{text:g}" if isinstance(text, float) else text))
    if found.inputs["slo"]:
        out.append(f"a probability of at least {percent(asked['min_probability'])} of meeting the targets")
    return out


def _launches(candidates: list[Candidate]) -> list[tuple[list[str], str]]:
    """Every command once, with the candidates that it starts."""
    held: dict[str, list[str]] = {}
    for candidate in candidates:
        words_instead = f"{candidate.engine} has no command line known to us."
        held.setdefault(candidate.command or words_instead, []).append(words.row_name(candidate))
    return [(names, text) for text, names in held.items()]


def _fallbacks(candidates: list[Candidate]) -> list[tuple[str, list[str]]]:
    """What each accelerator's answer had to assume, one entry per text, with the ranks it holds for."""
    held: dict[str, list[str]] = {}
    for candidate in candidates:
        for text in candidate.fallbacks:
            held.setdefault(text, []).append(str(candidate.rank))
    return list(held.items())
