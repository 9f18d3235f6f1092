"""Heat maps, lines and shares draw what they are given, say what is missing, and stay inside the picture."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.show.charts.endings import Spot, beside_ends, levels, spread
from inferatlas.show.charts.fitness import Mark, fitness
from inferatlas.show.charts.lines import BANDED, Crossing, Series, lines
from inferatlas.show.charts.shares import shares
from inferatlas.show.charts.style import PALETTE, AnyChart, Axis, span, to_svg
from inferatlas.show.charts.traces import DRAWN, thinned, trace

NAN = math.nan
LOAD, ITL = Axis("concurrency", "1", None), Axis("ITL", "s", True)
EVIL = '"><script>alert(1)</script>'


def drawn(chart: AnyChart) -> tuple[str, list[str]]:
    """The picture and its texts, after a look that nothing lies outside its frame."""
    svg = to_svg(chart, "x")
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())

    def walk(node: ElementTree.Element, x: float, y: float) -> None:
        if moved := re.match(r"translate\(([-\d.e]+),([-\d.e]+)\)", node.attrib.get("transform", "")):
            x, y = x + float(moved[1]), y + float(moved[2])
        points = re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", node.attrib.get("d", "")) or [("0", "0")]
        for a, b in points if node.tag in ("path", "text") else []:
            assert -1 <= x + float(a) <= width + 1 and -1 <= y + float(b) <= height + 1, (node.tag, node.text)
        for child in node:
            walk(child, x, y)

    walk(root, 0.0, 0.0)
    assert "NaN" not in svg and "Infinity" not in svg and "undefined" not in svg
    return svg, [" ".join(text.itertext()) for text in root.iter("text")]


def layer_rows(chart: AnyChart, mark: str) -> list[dict]:
    """The rows of all layers of one mark."""
    layers = chart.to_dict()["layer"]
    return [row for one in layers if one["mark"]["type"] == mark for row in one["data"]["values"]]


# heat map


def test_a_map_names_rows_and_columns_in_their_order_and_says_what_each_cell_says():
    cells = [
        Mark(row, column, 0.5, f"good {row[0]}{column[0]}") for row in ("z", "a") for column in ("offline", "chat")
    ]
    texts = drawn(fitness(cells))[1]
    assert {"z", "a", "offline", "chat", "good zo", "good zc", "good ao", "good ac"} <= set(texts)
    assert texts.index("z") < texts.index("a") and texts.index("offline") < texts.index("chat")


def test_the_largest_map_is_whole():
    rows, columns = accelerator_ids()[:60], [f"regime number {i} with words" for i in range(8)]
    chart = fitness([Mark(r, c, 0.3, "very good 0.30", "excellent", True) for r in rows for c in columns])
    texts = drawn(chart)[1]
    assert set(rows) <= set(texts) and texts.count("very good 0.30") == len(rows) * 8
    assert sum("regime" in text for text in texts) == 16  # at the head and at the foot


def test_cells_without_a_score_are_empty_frames_with_a_dash():
    chart = fitness([Mark("a", "x", None, ""), Mark("a", "y", NAN, "no fit"), Mark("b", "x", 0.9, "good")])
    filled, framed = (one["data"]["values"] for one in chart.to_dict()["layer"][:2])
    assert [(row["row"], row["column"]) for row in filled] == [("b", "x")]
    assert len(framed) == 3  # the pair that was not given too
    assert [row["text"] for row in framed] == ["—", "no fit", "—"]
    drawn(chart)


@pytest.mark.parametrize(("score", "filled"), [(0.0, 0.01), (-1.0, 0.01), (0.2, 0.2), (7.0, 1.0), (math.inf, 1.0)])
def test_scores_beyond_the_scale_are_filled_as_its_ends(score: float, filled: float):
    assert layer_rows(fitness([Mark("a", "x", score, "t")]), "rect")[0]["score"] == filled


def test_only_cells_that_differ_carry_the_mark_and_then_it_is_explained():
    cells = [Mark("a", "x", 0.5, "good"), Mark("b", "x", 0.5, "good", differs=True)]
    assert [row["row"] for row in layer_rows(fitness(cells), "point")] == ["b"]
    assert "▲ a published grade differs" in drawn(fitness(cells))[1]
    assert "▲ a published grade differs" not in drawn(fitness(cells[:1]))[1]


def test_a_published_grade_stands_in_every_cell_that_has_one_inside_its_frame():
    cells = [Mark("a", "x", 0.5, "good", "excellent", True), Mark("b", "x", 0.5, "good", "good"),
             Mark("c", "x", None, "", "fair", True), Mark("d", "x", 0.5, "good")]  # fmt: skip
    texts = drawn(fitness(cells))[1]
    assert [text for text in texts if text.startswith("study: ")] == ["study: excellent", "study: good", "study: fair"]
    assert "second lines: the study's grade; ▲ a published grade differs" in texts
    assert not any("study" in text for text in drawn(fitness(cells[3:]))[1])
    assert fitness(cells).to_dict()["height"] / 4 > fitness(cells[3:]).to_dict()["height"]  # room for two lines


# lines


def series(name: str = "H100", accelerator: str = "nvidia-h100-sxm", count: int = 1000, **rest) -> Series:
    x = [float(i) for i in range(1, count + 1)]
    y = [0.01 * (1 + i / 100) for i in x]
    return Series(name, accelerator, x, y, [0.8 * v for v in y], [1.25 * v for v in y], **rest)


def test_lines_are_named_at_their_ends_and_crossings_in_words():
    many = [series(name, name) for name in accelerator_ids()[:8]]
    crossings = [Crossing(x, f"change at {x}") for x in (2.0, 2.1, 40.0, 999.0)]
    texts = drawn(lines(many, LOAD, ITL, crossings))[1]
    assert {one.name for one in many} | {one.text for one in crossings} <= set(texts)
    assert "ITL (ms), lower is better" in texts and "Concurrency" in texts


def test_a_crossing_beyond_the_axis_is_not_drawn():
    texts = drawn(lines([series()], LOAD, ITL, [Crossing(1e9, "far"), Crossing(NAN, "nowhere"), Crossing(5.0, "in")]))[
        1
    ]
    assert "in" in texts and not {"far", "nowhere"} & set(texts)


def test_long_series_are_thinned_and_keep_ends_and_changes():
    chart = lines([series(changes=[(777.0, "compute"), (950.5, "network")])], LOAD, ITL)
    xs = [row["x"] for row in layer_rows(chart, "line")]
    assert len(xs) <= DRAWN and xs == sorted(set(xs))
    assert {1.0, 2.0, 3.0, 777.0, 950.0, 951.0, 1000.0} <= set(xs)
    steps = [math.log(b / a) for a, b in pairwise(xs)]
    assert max(steps) <= math.log(2)  # no stretch of the axis is left without points


def test_marks_stand_on_the_line_and_say_what_binds():
    one = Series("A", "nvidia-l4", [1.0, 100.0], [0.01, 1.0], changes=[(10.0, "compute")])
    chart = lines([one], LOAD, ITL)
    marks = [row for row in layer_rows(chart, "point") if "words" in row]
    assert (marks[0]["x"], marks[0]["y"]) == (10.0, pytest.approx(0.1))  # straight on logarithmic axes
    texts = drawn(chart)[1]
    assert "compute" in texts and "from the mark on, bound by" in texts
    assert not any("words" in row for row in layer_rows(lines([series()], LOAD, ITL), "point"))


def test_gaps_stay_gaps_and_lonely_points_are_dots():
    one = Series(
        "A", "nvidia-l4", [1, 2, 3, 4, 5, 6], [1.0, 2.0, NAN, 4.0, NAN, 6.0], [0.5] * 6, [9.0, 9.0, 9.0, 9.0, 9.0, NAN]
    )
    chart = lines([one], LOAD, Axis("cost", "USD", True))
    assert [row["x"] for row in layer_rows(chart, "line")] == [1, 2]
    assert [row["x"] for row in layer_rows(chart, "area")] == [1, 2]
    assert [row["x"] for row in layer_rows(chart, "point")] == [4, 6]
    assert [row["x"] for row in layer_rows(chart, "rule") if "low" in row] == [4]
    drawn(chart)


def test_a_change_inside_a_gap_stands_at_the_nearest_point():
    one = Series("A", "nvidia-l4", [1, 2, 3, 4], [1.0, 2.0, NAN, 4.0], changes=[(2.4, "compute"), (NAN, "nothing")])
    axis = span(LOAD, [1, 4])
    assert trace(one, axis, axis).marks == [(2, 2.0, "compute")]


@pytest.mark.parametrize("x", [[], [4.0]])
@pytest.mark.parametrize("crossings", [[], [Crossing(4.0, "here")]])
def test_one_point_or_none_is_still_a_picture(x: list[float], crossings: list[Crossing]):
    one = Series("A", "nvidia-l4", x, [0.5] * len(x), changes=[(4.0, "compute")])
    nothing = Series("B", "amd-mi300x", [4.0], [NAN])
    texts = drawn(lines([one, nothing], LOAD, ITL, crossings))[1]
    assert "B (no values)" in texts and ("A" if x else "A (no values)") in texts
    drawn(lines([], LOAD, ITL, crossings))


def test_lines_of_one_colour_differ_in_their_dashes():
    names = [slug for i, slug in enumerate(accelerator_ids()) if i % len(PALETTE) == 0][:3]
    rows = layer_rows(lines([series(name, name, 3) for name in names], LOAD, ITL), "line")
    assert len({row["colour"] for row in rows}) == 1 and len({tuple(row["dash"]) for row in rows}) == 3


def test_shapes_say_what_binds_and_nothing_else():
    series_of = [series(name, name, 50, changes=[(9.0, "compute")]) for name in ("cerebras-wse-3", "nvidia-l4")]
    chart = lines(series_of, LOAD, ITL)
    shaped = [one for one in chart.to_dict()["layer"] if "shape" in one["encoding"]]
    assert [one["encoding"]["shape"]["field"] for one in shaped] == ["words"]
    assert len(layer_rows(chart, "point")) == 2  # the two changes


@pytest.mark.parametrize(("count", "banded"), [(BANDED, True), (14, False)])
def test_many_series_are_named_apart_and_without_bands(count: int, banded: bool):
    chart = lines([series(name, name, 100) for name in accelerator_ids()[:count]], LOAD, ITL, [Crossing(99.0, "flag")])
    assert bool(layer_rows(chart, "area")) == banded
    drawn(chart)
    (height,) = {chart.to_dict()["height"]}
    frame = span(ITL, [row["y"] / 1e3 for row in layer_rows(chart, "line")])
    names = [row for row in layer_rows(chart, "text") if "name" in row]
    assert len(names) == count
    if not banded:  # the same axis as the chart's
        places = sorted((1 - frame.fraction(row["y"] / frame.factor)) * height for row in names)
        assert all(b - a > 14 for a, b in pairwise(places)) and places[0] >= 8  # clear of each other and of the flag


def test_a_series_that_ends_early_is_named_in_the_picture():
    early = Series("early", "nvidia-l4", [1, 2, 3], [5.0, 5.0, 5.0])
    late = Series("late", "amd-mi300x", [1, 5, 10], [1.0, 2.0, 3.0])
    spots = {row["name"]: row["x"] for row in layer_rows(lines([early, late], LOAD, ITL), "text") if "name" in row}
    assert 1 < spots["early"] < 10 < spots["late"]


@settings(max_examples=25)
@given(st.lists(st.lists(st.floats(1e-3, 1e4) | st.just(NAN), min_size=1, max_size=30), min_size=1, max_size=4))
def test_any_values_make_a_picture(values: list[list[float]]):
    many = [
        Series(f"s{i}", accelerator_ids()[i], list(range(1, len(y) + 1)), y, [0.9 * v for v in y], [1.1 * v for v in y])
        for i, y in enumerate(values)
    ]
    drawn(lines(many, LOAD, ITL, [Crossing(1.0, "one")]))


@given(
    st.lists(st.floats(0, 1), max_size=400).map(sorted), st.sets(st.integers(0, 399), max_size=20), st.integers(1, 200)
)
def test_thinning_keeps_what_must_stay_and_no_more_than_asked(places: list[float], must: set[int], most: int):
    must = {i for i in must if i < len(places)}
    kept = thinned(places, must, most)
    assert must <= set(kept) and len(kept) <= max(most, len(must)) and kept == sorted(set(kept))


@given(st.lists(st.floats(-50, 450), max_size=20))
def test_names_beside_the_picture_keep_their_order_and_distance(wanted: list[float]):
    found = spread(wanted, 15.0, 400.0)
    places = sorted(found)
    assert all(b - a >= 15.0 - 1e-6 for a, b in pairwise(places)) and all(-1e-6 <= y <= 400 + 1e-6 for y in places)
    assert all(found[i] <= found[j] for i in range(len(wanted)) for j in range(len(wanted)) if wanted[i] < wanted[j])
    assert not wanted or len(wanted) > 1 or found[0] == min(max(wanted[0], 0.0), 400.0)


@given(st.lists(st.tuples(st.floats(0, 640), st.text("abc", min_size=1, max_size=30)), max_size=8))
def test_flags_cover_neither_each_other_nor_the_pole_of_another(flags: list[tuple[float, str]]):
    places, texts = [x for x, _ in flags], [text for _, text in flags]
    found = levels(places, texts)
    for i, x in enumerate(places):
        for j, other in enumerate(places):
            if x < other < x + 5.3 * len(texts[i]):  # the pole of the other passes under this flag
                assert found[j] < found[i]


def test_a_name_inside_the_picture_has_a_leader_only_where_it_is_not_beside():
    assert beside_ends(["name"], [(100.0, 100.0)], [], (640, 360))[0].leader == ((100.0, 100.0), (100.0, 100.0))
    block = [(float(x), float(y)) for x in range(60, 180, 6) for y in range(70, 130, 6)]
    spot = beside_ends(["name"], [(100.0, 100.0)], block, (640, 360))[0]
    assert isinstance(spot, Spot) and spot.leader[0] == (100.0, 100.0) != spot.leader[1]


# shares


def test_bars_are_stacked_in_one_order_and_colour():
    rows = [("first", [("length", 0.6), ("load", 0.4)]), ("second", [("load", 0.5), ("price", 0.25), ("length", 0.25)])]
    chart = shares(rows, "share of variance")
    pieces = layer_rows(chart, "bar")
    assert [(p["name"], p["part"], p["start"], p["end"]) for p in pieces] == [
        ("first", "length", 0.0, 0.6), ("first", "load", 0.6, 1.0),
        ("second", "length", 0.0, 0.25), ("second", "load", 0.25, 0.75), ("second", "price", 0.75, 1.0),
    ]  # fmt: skip
    texts = drawn(chart)[1]
    assert {"first", "second", "length", "load", "price", "60 %", "40 %", "Share of variance"} <= set(texts)
    scale = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == dict(
        zip(("length", "load", "price"), PALETTE, strict=False)
    )


def test_more_parts_than_colours_are_added_up_and_counted():
    parts = [(f"part {i}", float(i)) for i in range(11)]
    chart = shares([("row", parts), ("other", [("part 10", 5.0)])], "seconds")
    pieces = layer_rows(chart, "bar")
    assert [p["part"] for p in pieces if p["name"] == "row"] == [*(f"part {i}" for i in range(4, 11)), "4 other parts"]
    assert max(p["end"] for p in pieces) == pytest.approx(sum(range(11)))  # nothing is lost
    assert "4 other parts" in drawn(chart)[1]


def test_small_parts_have_no_words_and_empty_rows_a_dash():
    chart = shares([("a", [("x", 1000.0), ("y", 1.0)]), ("b", [("x", None), ("y", NAN), ("z", -1.0)]), ("c", [])], "s")
    assert [p["text"] for p in layer_rows(chart, "bar")] == [">99 %", ""]
    texts = drawn(chart)[1]
    assert {"a", "b", "c"} <= set(texts) and texts.count("—") == 2
    drawn(shares([("only", [("x", NAN)])], "s"))


# all


def test_text_from_outside_is_escaped():
    one = Series(EVIL, EVIL, [1.0, 2.0], [1.0, 2.0], changes=[(1.5, EVIL)])
    evil = Axis("</svg><script>", "</svg>", True)
    for chart in (
        fitness([Mark(EVIL, EVIL, 0.5, EVIL)]), shares([(EVIL, [(EVIL, 1.0)])], EVIL),
        lines([one], evil, evil, [Crossing(1.5, EVIL)]),
    ):  # fmt: skip
        svg, _ = drawn(chart)
        assert "<script" not in svg and svg.count("</svg>") == 1 and "url(" not in svg
