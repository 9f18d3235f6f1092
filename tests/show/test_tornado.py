"""The tornado draws both ends of every bar, names them on either side, and holds all on its axis."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.show.charts.style import Axis, to_svg
from inferatlas.show.charts.tornado import Swing, tornado

COST = Axis("cost", "USD", True)
ROWS = [Swing("life", 1.4, 0.9, "3 years", "6 years"), Swing("grid & <co>", 1.0, 1.1, "369", "384")]


def test_every_row_and_end_is_named():
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(tornado(ROWS, 1.0, COST), "x"))
    assert {"life", "grid &amp; &lt;co&gt;", "3 years: 1.40", "6 years: 0.900", "369: 1.00", "384: 1.10"} <= set(texts)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=8), st.floats(0.01, 100))
def test_the_axis_holds_all_of_it(ends, value):
    rows = [Swing(f"{i}", a, b, "low", "high") for i, (a, b) in enumerate(ends)]
    chart = tornado(rows, value, COST).to_dict()
    low, high = chart["layer"][0]["encoding"]["x"]["scale"]["domain"]
    drawn = [value, *(end for pair in ends for end in pair)]
    assert low <= min(drawn) and max(drawn) <= high
    assert len(chart["layer"][0]["data"]["values"]) == 2 * len(rows)
    left, right = (chart["layer"][i]["data"]["values"] for i in (1, 2))
    assert len(left) == len(right) == len(rows)
    assert all(row["at"] <= value for row in left) and all(row["at"] >= value for row in right)
