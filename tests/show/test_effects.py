"""Bars of elasticities: sides, colours by what is better, and nothing drawn where nothing is known."""

from inferatlas.show.charts.effects import BETTER, WORSE, effects
from inferatlas.show.numbers import signed


def bars(chart) -> list[list[dict]]:
    return [panel["layer"][0]["data"]["values"] for panel in chart.to_dict()["hconcat"]]


def test_colours_say_what_is_better_by_the_metric():
    drawn = bars(
        effects(
            ["compute", "launches"],
            [
                ("latency", True, {"compute": -0.4, "launches": 0.2}),
                ("rate", False, {"compute": 0.4, "launches": -0.2}),
            ],
        )
    )
    assert [[row["colour"] for row in panel] for panel in drawn] == [[BETTER, WORSE], [BETTER, WORSE]]
    assert [row["text"] for row in drawn[0]] == ["−0.40", "+0.20"]


def test_what_is_unknown_or_nothing_has_no_bar():
    drawn = bars(effects(["a", "b", "c"], [("cost", True, {"a": None, "b": 0.0, "c": float("nan")})]))
    assert drawn == [[]]


def test_small_changes_keep_their_sign():
    assert [signed(x) for x in (0.004, -0.004, 0.0, 1.0)] == ["<0.01", "−<0.01", "0", "+1.00"]
