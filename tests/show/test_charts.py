"""Each chart draws what it is given: every row, every bound, and nothing that was not attained."""

import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferatlas.show.charts.front import Box, along, set_names, staircase
from inferatlas.show.charts.intervals import Estimate, Target, latency, ranked
from inferatlas.show.charts.memory import MemoryBar, memory
from inferatlas.show.charts.probability import Chance, probabilities
from inferatlas.show.charts.style import NAMED, Axis, to_svg
from inferatlas.show.charts.tradeoff import Attained, tradeoff

ROWS = [
    Estimate("1. H100 × 2, fp8", "nvidia-h100-sxm", 0.10, 0.15, 0.22, "predicted"),
    Estimate("2. MI300X × 1, bf16", "amd-mi300x", 0.12, 0.19, 0.28, "extrapolated"),
]
TTFT = Axis("mean TTFT", "s", True)
points = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=25)


def texts_of(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_ranked_dots_name_every_row_and_only_the_evidence_at_hand():
    texts = texts_of(to_svg(ranked(ROWS, TTFT), "x"))
    assert {row.name for row in ROWS} <= set(texts)
    assert {"predicted", "extrapolated"} <= set(texts) and "measured" not in texts
    assert {"150", "190"} <= set(texts)  # the values, in ms


def test_kinds_of_evidence_differ_in_shape():
    drawn = ranked(ROWS, TTFT).to_dict()["layer"][1]["encoding"]["shape"]["scale"]
    assert len(set(drawn["range"])) == len(drawn["domain"]) == 4


def test_a_quantity_without_interval_is_still_drawn():
    given = [Estimate("1. H100", "nvidia-h100-sxm", 0.5, 0.5, 0.5, "predicted")]
    assert "0.500" in texts_of(to_svg(ranked(given, Axis("cost", "USD", True)), "x"))


def test_probability_bars_say_how_likely_and_what_was_asked():
    rows = [Chance("1. a", "nvidia-l4", 0.9999), Chance("2. b", "amd-mi250", 0.42)]
    chart = probabilities(rows, 0.8)
    texts = texts_of(to_svg(chart, "x"))
    assert "&gt;99 %" in texts and "42 %" in texts
    assert chart.to_dict()["layer"][2]["data"]["values"] == [{"percent": 80.0}]


def test_latency_panels_share_rows_and_draw_the_target():
    chart = latency([(TTFT, ROWS, Target(0.5, "target: p95 < 500 ms")), (Axis("mean ITL", "s", True), ROWS, None)])
    svg = to_svg(chart, "x")
    assert texts_of(svg).count(ROWS[0].name) == 1  # names stand once, at the left
    assert "target: p95 &lt; 500 ms" in svg
    assert max(drawn["scale"]["domain"][1] for drawn in _find(chart.to_dict(), "x")) > 500


def _find(node: object, key: str) -> list[dict]:
    """Every mapping with a domain under ``key``."""
    if isinstance(node, list):
        return [hit for one in node for hit in _find(one, key)]
    if not isinstance(node, dict):
        return []
    own = [node[key]] if isinstance(node.get(key), dict) and "scale" in node[key] else []
    return own + [hit for one in node.values() for hit in _find(one, key)]


def test_memory_parts_fill_the_capacity_in_order():
    bar = MemoryBar("1. H100", 36e9, 5e9, 0.2e9, 2e9, 77e9, 85e9)
    assert sum(bar.parts().values()) == pytest.approx(85e9)
    pieces = memory([bar]).to_dict()["layer"][0]["data"]["values"]
    assert [piece["start"] for piece in pieces[1:]] == pytest.approx([piece["end"] for piece in pieces[:-1]])
    assert pieces[-1]["end"] == pytest.approx(85.0)  # GB
    assert "85.0 GB" in texts_of(to_svg(memory([bar]), "x"))


def test_memory_in_use_beyond_what_the_engine_may_use_shows_no_free_room():
    parts = MemoryBar("x", 80e9, 1e9, 0.0, 2e9, 77e9, 85e9).parts()
    assert parts["free"] == 0.0 and parts["left alone by the engine"] == pytest.approx(2e9)


@given(points, st.booleans(), st.booleans())
def test_staircase_is_attained_and_unbeaten(found, x_smaller, y_smaller):
    sx, sy = (1 if x_smaller else -1), (1 if y_smaller else -1)
    steps = staircase(found, x_smaller=x_smaller, y_smaller=y_smaller)
    for x, y in steps:
        assert any(sx * a <= sx * x and sy * b <= sy * y for a, b in found), "no point reaches this vertex"
        assert not any(sx * a < sx * x and sy * b < sy * y for a, b in found), "a point beats the line"
    assert [x for x, _ in steps] == sorted(x for x, _ in steps)
    for (x0, y0), (x1, y1) in pairwise(steps):
        assert x0 == x1 or y0 == y1
        middle = (x0 + x1) / 2, (y0 + y1) / 2
        assert any(sx * a <= sx * middle[0] and sy * b <= sy * middle[1] for a, b in found), (
            "a step above what is attained"
        )


def test_the_staircase_in_the_picture_has_only_flat_and_upright_pieces():
    values = [(1.0, 5.0), (2.0, 3.0), (4.0, 2.5), (6.0, 1.0), (5.0, 4.0)]
    found = [Attained("nvidia-l4", {"x": x, "y": y}) for x, y in values]
    svg = to_svg(tradeoff(found, [(("x", Axis("cost", "USD", True)), ("y", Axis("latency", "s", True)))]), "x")
    paths = re.findall(r'<path d="(M[^"]*)" stroke="currentColor" stroke-width="1.5"', svg)
    assert len(paths) == 1
    corners = [tuple(map(float, pair)) for pair in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", paths[0])]
    assert len(corners) == 7
    turns = [(x0 == x1, y0 == y1) for (x0, y0), (x1, y1) in pairwise(corners)]
    assert turns == [(False, True), (True, False)] * 3  # flat first, then down: never below what was attained


@given(
    st.lists(st.tuples(st.floats(0, 700), st.floats(0, 300)), min_size=1, max_size=8, unique=True), st.integers(3, 25)
)
def test_names_cover_neither_each_other_nor_points(at, length):
    names = ["n" * length] * len(at)
    placed = set_names(names, at, at, (780, 300))
    assert len(placed) == len(at)
    boxes = [Box(x, y, 5.3 * length, 14.0) for x, y in filter(None, placed)]
    assume(boxes)
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert not any(box.overlaps(Box(x, y, 10, 10)) for x, y in at)
        assert box.width / 2 <= box.x <= 780 - box.width / 2


@given(points)
def test_points_along_a_line_are_close_and_keep_its_vertices(vertices):
    on = along(vertices, 2.0)
    assert on[0] == vertices[0] and on[-1] == pytest.approx(vertices[-1])
    assert all(((a - c) ** 2 + (b - d) ** 2) ** 0.5 <= 2.0 + 1e-9 for (a, b), (c, d) in pairwise(on))


def test_tradeoff_names_at_most_eight_and_leaves_unknown_values_out():
    found = [Attained("nvidia-l4", {"x": float(i), "y": 10.0 - i}, name=f"design {i}") for i in range(1, 10)]
    found.append(Attained("amd-mi250", {"y": 4.0}, name="no price"))
    svg = to_svg(tradeoff(found, [(("x", Axis("cost", "USD", True)), ("y", Axis("latency", "s", True)))]), "x")
    names = [text for text in texts_of(svg) if text.startswith("design")]
    assert 1 <= len(names) <= NAMED and "no price" not in svg


def test_text_from_outside_is_escaped():
    evil = Estimate('"><script>alert(1)</script>', "nvidia-l4", 1.0, 2.0, 3.0, "predicted")
    svg = to_svg(ranked([evil], Axis("</svg><script>", "USD", True)), "</svg><script>")
    assert "<script" not in svg and svg.count("</svg>") == 1
