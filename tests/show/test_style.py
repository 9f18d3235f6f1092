"""Colours are told apart by everyone on both pages, and belong to an accelerator whatever else is shown."""

import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.show.charts import style
from inferatlas.show.charts.fitness import HUE, THICKEST, THINNEST
from inferatlas.show.charts.intervals import Estimate, latency, ranked
from inferatlas.show.charts.shares import REST, ink_on
from inferatlas.show.charts.style import PALETTE, Axis, colour, shape, span, to_svg
from inferatlas.show.html import TEMPLATES
from inferatlas.workload import GRADES

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB
SIGHT = {
    "usual": "1 0 0 0 1 0 0 0 1",
    "protanopia": "0.152286 1.052583 -0.204868 0.114503 0.786281 0.099216 -0.003882 -0.048116 1.051998",
    "deuteranopia": "0.367322 0.860646 -0.227968 0.280085 0.672501 0.047413 -0.011820 0.042940 0.968881",
    "tritanopia": "1.255528 -0.076749 -0.178779 -0.078411 0.930809 0.147602 0.004733 0.691367 0.303900",
}
TO_XYZ = "0.4124564 0.3575761 0.1804375 0.2126729 0.7151522 0.0721750 0.0193339 0.1191920 0.9503041"


def matrix(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float).reshape(3, 3)


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = matrix(TO_XYZ) @ np.clip(rgb, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    dark, light = sorted(matrix(TO_XYZ)[1] @ linear(c) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


def papers() -> list[str]:
    """The page's backgrounds, light and dark, as the style sheet sets them."""
    found = re.findall(r"--paper: (#[0-9a-f]{6})", (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    assert len(found) == 2
    return found


@pytest.mark.parametrize("paper", papers())
def test_every_colour_stands_out_from_the_page(paper: str):
    assert min(contrast(one, paper) for one in PALETTE) >= 3.0


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_every_sight(sight: str):
    seen = [lab(matrix(SIGHT[sight]) @ linear(one)) for one in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 20


@pytest.mark.parametrize("name", ["soft", "measured", "published", "predicted", "extrapolated", "accent"])
def test_text_of_the_page_is_readable_in_both_themes(name: str):
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    tones = re.findall(rf"--{name}: (#[0-9a-f]{{6}})", css)
    panels = re.findall(r"--panel: (#[0-9a-f]{6})", css)
    assert len(tones) == len(panels) == 2
    for tone, paper, panel in zip(tones, papers(), panels, strict=True):
        assert min(contrast(tone, paper), contrast(tone, panel)) >= 4.5


def test_no_two_accelerators_of_the_catalogue_share_colour_and_shape():
    looks = {(colour(one), shape(one)) for one in accelerator_ids()}
    assert len(looks) == len(accelerator_ids())


def test_an_accelerator_of_ones_own_keeps_its_look_from_run_to_run():
    assert style.place("my-own-part") == 3401963394  # not Python's hash(), which differs between processes
    assert colour("my-own-part") in PALETTE


def rows(slugs: tuple[str, ...], value: float = 0.3) -> list[Estimate]:
    return [Estimate(f"{i}. {s}", s, value, value * 1.2, value * 1.4, "predicted") for i, s in enumerate(slugs, 1)]


def colours_of(chart: style.AnyChart) -> dict[str, str]:
    """The colour of the dot of each row."""
    dots = chart.to_dict()["layer"][1]["data"]["values"]
    return {row["name"].partition(" ")[2]: row["colour"] for row in dots}


def test_filtering_changes_no_colour():
    every = accelerator_ids()
    axis = Axis("cost", "USD", True)
    whole = colours_of(ranked(rows(every), axis))
    assert set(whole) == set(every)
    for some in (every[5:9], every[::7], every[-1:]):
        few = colours_of(ranked(rows(some), axis))
        assert few == {slug: whole[slug] for slug in some}


def texts_of(svg: str) -> list[str]:
    return [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg) if text]


@given(st.floats(1e-7, 1e12), st.floats(1.0, 1e5))
def test_an_axis_keeps_its_values_inside_and_finds_them_again(least: float, ratio: float):
    drawn = span(Axis("cost", "USD", True), [least, least * ratio])
    assert drawn.log == (ratio > 20)
    for value in (least, least * ratio):
        assert 0 <= drawn.fraction(value) <= 1
        assert drawn.at(drawn.fraction(value)) == pytest.approx(value * drawn.factor)


@pytest.mark.parametrize("value", [2e-5, 0.004, 0.11, 3.0, 950.0, 4.2e4, 7e7])
@pytest.mark.parametrize("unit", ["s", "USD"])
def test_ticks_are_numbers_people_read(value: float, unit: str):
    """No 100m for 0.1, no 0.30000000000000004."""
    svg = to_svg(ranked(rows(("nvidia-l4", "amd-mi250"), value), Axis("time", unit, True)), "x")
    numbers = [
        text for text in texts_of(svg) if re.match(r"[\d.]", text) and "nvidia" not in text and "amd" not in text
    ]
    assert len(numbers) >= 4
    for text in numbers:
        assert re.fullmatch(r"[\d,]+(\.\d{1,9})?[kMG]?|\d(\.\d+)?e-\d+", text.replace("−", "-")), text


def test_a_logarithmic_axis_has_ticks_too():
    two = [*rows(("nvidia-l4",), 0.02), *rows(("x", "amd-mi250"), 40.0)[1:]]
    numbers = set(texts_of(to_svg(ranked(two, Axis("cost", "USD", True)), "x")))
    assert {"0.05", "0.1", "1", "10"} <= numbers


def test_times_below_a_second_are_in_milliseconds_and_axes_say_what_is_better():
    svg = to_svg(latency([(Axis("mean TTFT", "s", True), rows(("nvidia-l4",)), None)]), "x")
    assert "Mean TTFT (ms), lower is better" in svg
    svg = to_svg(ranked(rows(("nvidia-l4",), 5.0), Axis("throughput", "tokens/s", False)), "x")
    assert "Throughput (tokens/s), higher is better" in svg


def test_a_picture_is_named_and_follows_the_theme():
    svg = to_svg(ranked(rows(("nvidia-l4",)), Axis("cost", "USD", True)), 'a "quoted" <name>')
    assert svg.startswith("<svg viewBox=") and 'role="img"' in svg
    assert 'aria-label="a &quot;quoted&quot; &lt;name&gt;"' in svg
    assert "xmlns" not in svg and "currentColor" in svg
    assert not re.search(r'fill="(black|#000|#000000)"', svg)


def test_style_sheet_is_where_the_package_says():
    assert Path(TEMPLATES, "report.css").is_file()


def themes(name: str, sheet: str) -> list[str]:
    """A colour of a style sheet, light and dark."""
    tones = re.findall(rf"--{name}: (#[0-9a-f]{{6}})", (TEMPLATES / sheet).read_text(encoding="utf-8"))
    assert len(tones) == 2
    return tones


def test_words_of_grades_are_readable_and_better_ones_stand_out_more():
    inks, fills = themes("ink", "report.css"), [themes(word.replace(" ", "-"), "page.css") for word in GRADES]
    for paper, ink, tones in zip(papers(), inks, zip(*fills, strict=True), strict=True):
        assert min(contrast(ink, tone) for tone in tones) >= 4.5
        far = [contrast(tone, paper) for tone in tones]
        assert far == sorted(far, reverse=True) and min(a / b for a, b in pairwise(far)) > 1.05


def over(fill: str, opacity: float, paper: str) -> str:
    """What a thin fill looks like over the page."""
    one, other = (np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) for text in (fill, paper))
    return "#" + "".join(f"{round(c):02x}" for c in opacity * one + (1 - opacity) * other)


def test_scores_are_readable_on_every_fill_and_better_ones_stand_out_more():
    for paper, ink in zip(papers(), themes("ink", "report.css"), strict=True):
        tones = [over(HUE, opacity, paper) for opacity in np.linspace(THINNEST, THICKEST, 20)]
        assert min(contrast(ink, tone) for tone in tones) >= 4.5
        light = [lab(linear(tone))[0] for tone in tones]
        steps = np.abs(np.diff(light))
        assert min(steps) > 0.5 and max(steps) < 1.6 * min(steps)  # even to the eye
        assert sorted(light) in (light, light[::-1])


@pytest.mark.parametrize("fill", [*PALETTE, REST])
def test_words_on_parts_of_a_bar_are_readable(fill: str):
    assert contrast(ink_on(fill), fill) >= 4.5
