"""Serving runs that others measured, simulated: errors and coverage, for docs/accuracy.md.

Prints the section; with ``--write`` puts it into docs/accuracy.md, in the place of the one that is there. None of the
runs was used in the calibration, and nothing is fitted here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferatlas.simulate.cases import FIGURES, Scored, read_cases, scores

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "accuracy.md"
HEAD, TAIL = "## Serving runs, simulated\n", "\n## Interval coverage by level"
WORDS = {
    "ttft_s": "TTFT, mean", "ttft_p50_s": "TTFT, median", "itl_s": "ITL, mean", "latency_s": "latency, mean",
    "latency_p99_s": "latency, p99",
}  # fmt: skip
# Median errors of other tools over the 38 held-out experiments of the same authors, as they published them
PEERS = (
    ("BLIS trained-physics", 38, "6.8 %", "9.1 %", "18.4 %", "6.5 %"),
    ("BLIS roofline", 38, "33.4 %", "31.6 %", "650 %", "44.4 %"),
    ("LLMServingSim 1.1, matched profiles", 32, "18.8 %", "22.9 %", "72.5 %", "21.8 %"),
    ("AIConfigurator 0.9", 18, "21.5 %", "", "662 %", "13.2 %"), ("LLM-Optimizer", 36, "51.7 %", "", "662 %", "60.6 %"),
    ("Vidur", 4, "619 %", "1199 %", "29,783 %", "259 %"),
)  # fmt: skip


def section(scored: Sequence[Scored]) -> str:
    """The section of the page."""
    good = [one for one in scored if one.case.use == "score"]
    lines = [
        HEAD,
        f"`inferatlas simulate` against {len(scored)} measured stages of open-loop serving (vLLM, requests at constant "
        "intervals, 100 prompts resent in turn, so that the prefix cache holds them; one case with Poisson "
        "arrivals and "
        f"prompts of its own). None of them is in the calibration. {len(good)} count; {len(scored) - len(good)} "
        f"more are "
        "shown apart, since the machine was nearly or fully busy there, where a small error of the step time decides "
        "whether a queue forms.\n",
        "| figure | n | median | mean | bias | within 15 % | within 30 % | in the 80 % interval |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_summary(good, figure) for figure in FIGURES),
        "",
        "Errors are relative; bias is their median. Sources, by case: "
        "[benchmarks/serving_cases.csv](../benchmarks/serving_cases.csv).\n",
        "| case | label | TTFT | ITL | latency | latency p99 | in the interval |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(one) for one in sorted(scored, key=lambda s: (s.case.use != "score", s.case.case))),
        "",
        "What stands out: at 20 requests/s the latency of 70B and 34B models on H100 is too long, most of all "
        "where the "
        "predicted capacity is just below the rate (llama-2-70b, general): there a queue grows that was not "
        "there. Steps "
        "of large batches are overestimated by 10 to 30 % for models of multi-head attention and for mixtures on two "
        "H100, and underestimated by as much on A100. Tails that came from the start of a stage are not in the "
        "model.\n",
        "Other tools on held-out experiments of the same authors (as published, median errors, not measured here):\n",
        "| tool | n | latency, mean | latency, p99 | TTFT, mean | ITL, mean |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(str(cell) for cell in row)} |" for row in PEERS),
        "",
        "Again: `python benchmarks/bench_serving_cases.py --write`.",
    ]
    return "\n".join(lines) + "\n"


def _summary(scored: Sequence[Scored], figure: str) -> str:
    errors = np.array([one.errors[figure] for one in scored if figure in one.errors])
    held = [one.covered[figure] for one in scored if figure in one.covered]
    size = np.abs(errors)
    return (
        f"| {WORDS[figure]} | {errors.size} | {np.median(size):.1%} | {size.mean():.1%} | {np.median(errors):+.1%} | "
        f"{(size <= 0.15).sum()} | {(size <= 0.3).sum()} | {np.mean(held):.0%} |"
    ).replace("%", " %")


def _row(one: Scored) -> str:
    def cell(figure: str) -> str:
        if figure not in one.errors:
            return ""
        return f"{one.values[figure] * 1e3:,.0f} ms ({one.errors[figure]:+.0%})".replace("%", " %")

    held = f"{sum(one.covered.values())} of {len(one.covered)}"
    name = one.case.case + ("" if one.case.use == "score" else " (apart)")
    words = [cell(name) for name in ("ttft_s", "itl_s", "latency_s", "latency_p99_s")]
    return f"| {name} | {one.label}{', saturated' if one.saturated else ''} | {' | '.join(words)} | {held} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/accuracy.md")
    text = section(list(scores(read_cases(HERE / "serving_cases.csv"))))
    print(text)
    if parser.parse_args().write:
        page = PAGE.read_text(encoding="utf-8")
        begin = page.find(HEAD)
        rest = page.find(TAIL, begin if begin >= 0 else 0)
        before = page[: begin if begin >= 0 else rest + 1]
        PAGE.write_text(before.rstrip("\n") + "\n\n" + text + page[rest:], encoding="utf-8")


if __name__ == "__main__":
    main()
