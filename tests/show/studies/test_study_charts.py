"""Every kind of plot draws what it is given, says what is missing, and stays inside the picture."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import altair as alt
import pytest
from madeup_studies import CHIPS, EVIL, grouped, growing, mapped, pair, traded

from inferatlas.predict.answer import Interval
from inferatlas.show.charts.style import PALETTE, AnyChart, to_file, to_svg
from inferatlas.show.studies.bars import SLOT
from inferatlas.show.studies.charts import chart, chart_of, in_words, places
from inferatlas.show.studies.looks import BANDED, MISSING, NO_BANDS, PUBLISHED, looks
from inferatlas.show.studies.maps import EMPTY
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot

NAN = math.nan
PLOTS = {
    "bars": Plot("bars", "accelerator", colour="model"),
    "lines": Plot("lines", "batch", colour="accelerator"),
    "heatmap": Plot("heatmap", "accelerator", "model"),
    "tradeoff": Plot("tradeoff", "latency_s", "output_tokens_per_s", colour="accelerator", mark="batch"),
}
WHAT = {"accelerator": "NVIDIA A100", "model": "Llama 3.1 8B", "batch": "4"}


def point(kind: str, ours: float | None = 3.0, published: str | None = "3.1", **rest) -> list[Pair]:
    """One point of a plot: two pairs where it needs two quantities."""
    pairs = [pair(WHAT | rest, ours, published)]
    if kind == "tradeoff":
        seconds = {"quantity": "latency_s", "unit": "s", "printed_unit": "s"}
        pairs.append(pair(WHAT | rest, ours, published, **seconds))
    return pairs


def drawn(found: AnyChart | None) -> tuple[str, list[str]]:
    """The picture and its texts, after a look that Altair accepts it and that nothing lies outside its frame."""
    assert found is not None
    assert alt.Chart.from_dict(found.to_dict()) is not None
    svg = to_svg(found, "x")
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())

    def walk(node: ElementTree.Element, x: float, y: float) -> None:
        if moved := re.match(r"translate\(([-\d.e]+),([-\d.e]+)\)", node.attrib.get("transform", "")):
            x, y = x + float(moved[1]), y + float(moved[2])
        points = re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", node.attrib.get("d", "")) or [("0", "0")]
        for a, b in points if node.tag in ("path", "text") else []:
            assert -2 <= x + float(a) <= width + 2 and -2 <= y + float(b) <= height + 2, (node.tag, node.text)
        for child in node:
            walk(child, x, y)

    walk(root, 0.0, 0.0)
    assert "NaN" not in svg and "Infinity" not in svg and "undefined" not in svg
    return svg, [" ".join(text.itertext()) for text in root.iter("text")]


def layers(found: AnyChart) -> list[dict]:
    """All layers of all panels."""
    held, out = [found.to_dict()], []
    sheets = held[0]["datasets"]
    while held:
        one = held.pop(0)
        held += one.get("concat", []) + one.get("layer", [])
        if "mark" in one:
            out.append(one | {"rows": sheets[one["data"]["name"]]})
    return out


def rows(found: AnyChart, mark: str) -> list[dict]:
    return [row for one in layers(found) if one["mark"]["type"] == mark for row in one["rows"]]


@pytest.mark.parametrize("made", [grouped(), growing(), growing(6, 4), growing(8, 3), mapped(), traded(), traded(4)])
def test_every_kind_is_drawn_whole(made: Exhibit):
    svg, texts = drawn(chart_of(made))
    assert set(CHIPS[:3]) <= set(texts)
    assert "<svg" in svg


@pytest.mark.parametrize("kind", PLOTS)
def test_one_pair_is_enough(kind: str):
    drawn(chart(point(kind), PLOTS[kind]))


@pytest.mark.parametrize("kind", PLOTS)
def test_no_published_number_is_needed(kind: str):
    _, texts = drawn(chart(point(kind, published=None), PLOTS[kind]))
    assert PUBLISHED not in texts


@pytest.mark.parametrize("kind", ["bars", "lines", "tradeoff"])
def test_published_numbers_alone_are_drawn(kind: str):
    found = chart(point(kind, ours=None), PLOTS[kind])
    assert found is not None
    drawn(found)
    assert [row["kind"] for row in rows(found, "point")] == [PUBLISHED]


@pytest.mark.parametrize("kind", PLOTS)
def test_without_any_number_there_is_no_chart(kind: str):
    assert chart(point(kind, ours=None, published=None), PLOTS[kind]) is None
    assert chart([], PLOTS[kind]) is None


@pytest.mark.parametrize("kind", PLOTS)
def test_values_that_are_not_finite_are_not_drawn(kind: str):
    bad = [replace(one, ours=Interval(NAN, NAN, NAN)) for one in point(kind, accelerator="bad")]
    open_end = [replace(one, ours=Interval(1.0, 2.0, math.inf)) for one in point(kind, accelerator="open")]
    drawn(chart([*point(kind), *bad, *open_end], PLOTS[kind]))


@pytest.mark.parametrize("kind", PLOTS)
def test_zero_is_a_number(kind: str):
    zero = [replace(one, ours=Interval(0.0, 0.0, 0.0)) for one in point(kind, published=None, accelerator="zero")]
    drawn(chart([*point(kind), *zero], PLOTS[kind]))


@pytest.mark.parametrize("kind", PLOTS)
def test_names_are_text(kind: str):
    svg, _ = drawn(chart([*point(kind, accelerator=EVIL, model=EVIL), *point(kind)], PLOTS[kind]))
    assert "<script" not in svg


def test_bars_begin_at_zero_and_a_wide_range_has_dots():
    near = [pair({"accelerator": chip}, 100.0 + i) for i, chip in enumerate(CHIPS)]
    far = [pair({"accelerator": chip}, 10.0**i) for i, chip in enumerate(CHIPS)]
    plot = Plot("bars", "accelerator")
    assert len(rows(chart(near, plot), "rect")) == len(CHIPS)
    assert layers(chart(near, plot))[0]["encoding"]["x"]["scale"]["domain"][0] == 0
    assert rows(chart(far, plot), "rect") == []
    assert {one["encoding"]["x"]["scale"]["type"] for one in layers(chart(far, plot))} == {"log"}


def test_bars_stand_beside_the_print_with_their_interval():
    (one,) = [grouped(1, 1).pairs[0]]
    found = chart([one], PLOTS["bars"])
    ours, theirs = rows(found, "point")
    assert (ours["value"], ours["kind"]) == (900.0, "ours, predicted")
    assert (theirs["value"], theirs["kind"]) == (720.0, PUBLISHED)
    assert rows(found, "rule")[0] | {"low": 720.0, "high": 1125.0} == rows(found, "rule")[0]


def test_bars_mark_what_is_missing_and_the_note_says_so():
    found = chart_of(grouped())
    _, texts = drawn(found)
    assert MISSING in texts and texts.count("×") == 1
    assert MISSING not in drawn(chart_of(grouped(2, 2)))[1]


def test_a_row_has_a_slot_for_each_of_its_series():
    inner = chart_of(grouped()).to_dict()["concat"][0]
    assert inner["height"] >= 6 * 3 * SLOT


def test_series_of_a_lone_panel_are_named_at_their_ends_others_below():
    _, texts = drawn(chart_of(growing()))
    assert [texts.count(chip) for chip in CHIPS[:4]] == [1, 1, 1, 1]
    legends = [
        one["encoding"]["color"].get("legend")
        for one in layers(chart_of(growing(6, 4)))
        if one["mark"]["type"] == "line"
    ]
    assert all(legend["orient"] == "bottom" for legend in legends)


def test_bands_of_many_series_are_left_to_the_table():
    assert rows(chart_of(growing(BANDED)), "area")
    crowded = chart_of(growing(BANDED + 1))
    assert not rows(crowded, "area") and NO_BANDS in drawn(crowded)[1]


def test_panels_share_their_axes():
    domains = {str(one["encoding"]["y"]["scale"]["domain"]) for one in layers(chart_of(growing(3, 4)))}
    assert len(domains) == 1


def test_a_map_says_ours_theirs_and_what_is_empty():
    _, texts = drawn(chart_of(mapped()))
    assert {"8.00 ms", "paper: 4.2 ms", "—"} <= set(texts) and any(EMPTY in text for text in texts)
    assert sum(text == "—" for text in texts) == 1


def test_a_map_of_one_value_is_drawn():
    drawn(chart([pair({"accelerator": chip, "model": "m"}, 5.0) for chip in CHIPS], PLOTS["heatmap"]))


def test_a_tradeoff_joins_the_points_of_a_series_and_marks_them():
    found = chart_of(traded())
    _, texts = drawn(found)
    assert [texts.count(batch) for batch in ("64", "32")] == [3, 3]
    ours = [row for row in rows(found, "line") if row["kind"] != PUBLISHED]
    assert len({row["path"] for row in ours}) == 3 and len(ours) == 12


def test_a_tradeoff_needs_both_quantities():
    assert chart(point("bars"), PLOTS["tradeoff"]) is None


def test_a_name_keeps_its_colour_from_chart_to_chart():
    at = places([*growing(6).pairs])["accelerator"]
    assert looks(["AMD MI300X"], at)["AMD MI300X"].colour == PALETTE[2]
    crowd = {f"chip {i}": i for i in range(12)}
    colours = [look.colour for look in looks([f"chip {i}" for i in range(6, 12)], crowd).values()]
    assert len(set(colours)) == 6


def test_more_series_than_colours_differ_in_dashes():
    held = looks([str(i) for i in range(20)])
    assert len({(look.colour, look.dash) for look in held.values()}) == 20


def test_quantities_have_panels_of_their_own():
    pairs = [pair(WHAT, 3.0), pair(WHAT, 300.0, quantity="power_w", unit="W")]
    _, texts = drawn(chart(pairs, replace(PLOTS["bars"], facet="quantity")))
    assert {"Output tokens/s", "Power (W)"} <= set(texts)


def test_words_have_no_place_on_an_axis_of_numbers():
    plot = Plot("lines", "batch")
    assert chart([pair({"batch": "many"}, 3.0)], plot) is None
    _, texts = drawn(chart([pair({"batch": "many"}, 3.0), pair({"batch": "2"}, 3.0)], plot))
    assert "only in the table: many" in texts


@pytest.mark.parametrize(("text", "value"), [("1,024", 1024), ("2k", 2000)])
def test_places_are_read_as_they_are_printed(text: str, value: float):
    found = chart([pair({"batch": text}, 3.0)], Plot("lines", "batch"))
    assert [row["x"] for row in rows(found, "point")] == [value]


def test_a_picture_is_a_file_of_its_own():
    svg = to_file(to_svg(chart_of(grouped(1, 1)), "x"))
    assert svg.startswith("<svg") and 'xmlns="http://www.w3.org/2000/svg"' in svg and "white" in svg


def test_a_range_that_is_printed_is_drawn_as_one():
    one = replace(pair(WHAT, 7.0), published=read_printed("5-10"))
    found = chart([one], PLOTS["bars"])
    assert [(row["low"], row["high"]) for row in rows(found, "rule")][1] == (5.0, pytest.approx(8.75, abs=1.5))


def test_a_chart_in_words():
    assert in_words(mapped().pairs, mapped().plot).startswith("Heat map of ITL by accelerator and model")
    assert in_words(traded(4).pairs, traded(4).plot).startswith(
        "Trade-off of output tokens/s against latency, a series"
    )


def test_what_is_printed_for_several_series_alike_is_drawn_once():
    pairs = [pair({"chip": chip, "batch": "1"}, 2.0 + i, "5-10") for i, chip in enumerate(CHIPS[:3])]
    found = chart(pairs, Plot("lines", "batch", colour="chip"))
    theirs = [row for row in rows(found, "point") if row["kind"] == PUBLISHED]
    assert [(row["y"], row["low"], row["common"]) for row in theirs] == [(7.5, 5.0, True)]
    drawn(found)


def test_an_axis_of_many_decades_has_few_ticks():
    found = chart([pair({"accelerator": f"chip {i}"}, 10.0**i) for i in range(-4, 9)], Plot("bars", "accelerator"))
    values = layers(found)[0]["encoding"]["x"]["axis"]["values"]
    assert 3 <= len(values) <= 8 and all(math.log10(value) % 1 == 0 for value in values)


def test_many_series_are_named_beside_their_marks_and_others_below():
    many = [pair({"accelerator": "one", "system": f"system {i}"}, 10.0 + i) for i in range(len(PALETTE) + 1)]
    found = chart(many, Plot("bars", "accelerator", colour="system"))
    _, texts = drawn(found)
    assert sorted(row["name"] for row in rows(found, "text")) == sorted(one.what["system"] for one in many)
    assert texts.count("system 3") == 1 and "one" in texts
    few = drawn(chart(many[:3], Plot("bars", "accelerator", colour="system")))[1]
    assert texts.count("system 2") == few.count("system 2") == 1


def test_every_name_of_bars_is_written():
    for count in (3, len(PALETTE) + 2):
        pairs = [pair({"accelerator": f"chip {i}", "system": f"s{i}"}, 10.0 + i) for i in range(count)]
        _, texts = drawn(chart(pairs, Plot("bars", "accelerator", colour="system")))
        assert {f"chip {i}" for i in range(count)} <= set(texts)


def test_a_row_is_as_high_as_its_pairs_need():
    sparse = [pair({"accelerator": chip, "system": chip}, 10.0) for chip in CHIPS]
    one = chart(sparse, Plot("bars", "accelerator")).to_dict()["height"]
    assert chart(sparse, Plot("bars", "accelerator", colour="system")).to_dict()["height"] == one


def test_what_is_printed_alike_for_the_pairs_of_a_name_is_drawn_once():
    pairs = [pair({"accelerator": "A100", "load": load}, 50.0, "75") for load in ("one", "many", "best")]
    found = chart(pairs, Plot("bars", "accelerator", colour="load"))
    assert len([row for row in rows(found, "point") if row["kind"] == PUBLISHED]) == 1


def test_maps_of_two_quantities_have_colours_of_their_own():
    watts = {"quantity": "power_w", "unit": "W"}
    pairs = [pair({"accelerator": chip, "model": "m"}, 5.0 + i) for i, chip in enumerate(CHIPS)]
    pairs += [pair({"accelerator": chip, "model": "m"}, 500.0 + i, **watts) for i, chip in enumerate(CHIPS)]
    found = chart(pairs, PLOTS["heatmap"]).to_dict()
    assert found["resolve"]["scale"]["opacity"] == "independent"


def test_crowded_tradeoffs_mark_the_ends_only():
    pairs = []
    for i in range(BANDED + 1):
        for batch in (1, 2, 4):
            what = {"accelerator": f"chip {i}", "batch": f"b{batch}"}
            pairs += [pair(what, 10.0 * batch + i), pair(what, 1.0 + i, quantity="latency_s", unit="s")]
    marks = [row["text"] for row in rows(chart(pairs, PLOTS["tradeoff"]), "text")]
    assert "b2" not in marks and {"b1", "b4"} <= set(marks)


def test_a_plot_may_ask_for_a_logarithmic_axis():
    near = [pair({"accelerator": chip}, 100.0 + i) for i, chip in enumerate(CHIPS)]
    found = chart(near, Plot("bars", "accelerator", log=True))
    assert layers(found)[0]["encoding"]["x"]["scale"]["type"] == "log" and not rows(found, "rect")
