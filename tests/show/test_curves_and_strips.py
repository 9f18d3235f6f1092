"""Curves through named points, and strips over time."""

import re
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.show.charts.curves import FAR, WIDTH, Curve, Panel, Spot, curves
from inferatlas.show.charts.front import WIDTH_OF_LETTER
from inferatlas.show.charts.strips import Line, Strip, strips
from inferatlas.show.charts.style import Axis, to_svg

X, TTFT, TIME = Axis("output tokens/s", "1", None), Axis("TTFT", "s", None), Axis("time", "s", None)
values = st.lists(st.floats(0.001, 1e3), min_size=1, max_size=12)


def texts_of(chart) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(chart, "x"))


def curve(ys: list[float], name: str = "p50", **more) -> Curve:
    return Curve(name, 0, [Spot(f"c{n}", 10.0 * (n + 1), y, **more) for n, y in enumerate(ys)])


def test_points_curves_and_limits_are_named():
    chart = curves(X, [Panel(TTFT, [curve([0.1, 0.2]), curve([0.2, 0.4], "p99")], [(0.3, "ttft<300ms")])])
    assert chart is not None
    texts = texts_of(chart)
    assert {"c0", "c1", "p50", "p99", "ttft&lt;300ms"} <= set(texts)
    assert "TTFT (ms)" in texts and "Output tokens/s" in texts


def test_a_limit_far_beyond_all_values_does_not_press_them_together():
    near, far = (curves(X, [Panel(TTFT, [curve([0.1])], [(bound, "limit")])]) for bound in (0.15, 0.1 * FAR * 2))
    assert near is not None and far is not None
    assert "limit" in texts_of(near) and "limit" not in texts_of(far)


def test_what_is_not_sure_is_hollow():
    chart = curves(X, [Panel(TTFT, [curve([0.1], sure=False)])])
    assert chart is not None
    layers = chart.to_dict()["layer"]
    full, hollow = (len(layers[n]["data"]["values"]) for n in (2, 3))
    assert (full, hollow) == (0, 1)


def test_without_points_there_is_no_chart():
    assert curves(X, [Panel(TTFT, [Curve("p50", 0, [])])]) is None
    assert strips(TIME, [0.0, 1.0], [Strip(TTFT, [Line("", [float("nan")] * 2)])]) is None
    assert strips(TIME, [], []) is None


@settings(max_examples=25)
@given(values)
def test_every_point_is_drawn_inside_its_panel(ys: list[float]):
    chart = curves(X, [Panel(TTFT, [curve(ys)])])
    assert chart is not None
    layer = chart.to_dict()["layer"][1]
    low, high = layer["encoding"]["y"]["scale"]["domain"]
    drawn = [row["y"] for row in layer["data"]["values"]]
    assert len(drawn) == len(ys) and low <= min(drawn) <= max(drawn) <= high


@settings(max_examples=25)
@given(st.integers(1, 60))
def test_names_of_points_do_not_touch(count: int):
    chart = curves(X, [Panel(TTFT, [curve([0.1] * count)])])
    assert chart is not None
    layer = chart.to_dict()["layer"][4]
    low, high = layer["encoding"]["x"]["scale"]["domain"]
    f = np.log if layer["encoding"]["x"]["scale"]["type"] == "log" else np.asarray
    rows = [(row["x"], len(row["name"])) for row in layer["data"]["values"]]
    at = sorted((WIDTH * (f(x) - f(low)) / (f(high) - f(low)), letters) for x, letters in rows)
    for (x, letters), (after, more) in pairwise(at):
        assert after - x >= WIDTH_OF_LETTER * (letters + more) / 2


def test_strips_have_gaps_where_nothing_is_known_and_shade_what_is_asked():
    line = Line("a", [1.0, float("nan"), 3.0, 4.0])
    chart = strips(TIME, [0.0, 1.0, 2.0, 3.0], [Strip(TTFT, [line, Line("b", [0.5] * 4)])], [(1.0, 2.0)])
    assert chart is not None
    layers = chart.to_dict()["layer"]
    assert layers[0]["data"]["values"] == [{"x": 1.0, "x2": 2.0}]
    pieces = [row["piece"] for row in layers[1]["data"]["values"]]
    assert pieces == ["0/2"] * 2 + ["1/0"] * 4
    assert [(row["x"], row["y"]) for row in layers[2]["data"]["values"]] == [(0.0, 1.0)]
    assert {"a", "b"} <= set(texts_of(chart))


def test_strips_begin_at_zero_and_a_lone_line_has_no_name():
    chart = strips(TIME, [5.0, 6.0], [Strip(TTFT, [Line("lone", [100.0, 101.0])])])
    assert chart is not None
    first = chart.to_dict()["layer"][1]["encoding"]
    assert first["y"]["scale"]["domain"][0] == 0.0 and first["x"]["scale"]["domain"][0] == 0.0
    assert "lone" not in texts_of(chart)
