"""`inferatlas bench selftest` with its flags."""

import json

import pytest


def test_a_table_for_people_and_json_for_programs(cli, monkeypatch: pytest.MonkeyPatch):
    from inferatlas.measure.bench.selftest import testing

    asked = []

    def quick(streams, duration, *, look):
        asked.append((streams, duration))
        return whole(streams, 0.05, schedule=testing.Schedule(0.01, 0.002, 4), look=look)

    whole = testing.selftest
    monkeypatch.setattr(testing, "selftest", quick)
    ran = cli("bench", "selftest", "--streams", "1,3", "--duration", "500ms", "--format", "json")
    assert ran.code == 0 and asked == [((1, 3), 0.5)]
    found = json.loads(ran.out)
    assert found["kind"] == "selftest" and [one["streams"] for one in found["levels"]] == [1, 3]
    assert ran.err.splitlines() == ["1 in flight", "3 in flight", "a burst"]
    table = cli("bench", "selftest", "--streams", "2", "--quiet")
    assert table.code == 0 and table.err == "" and "Ceiling" in table.out and "TTFT error" in table.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--streams", "0"), "streams: 0 streams (allowed: 1 to 10,000)"),
        (("--streams", "a"), "'a' is not a whole number"),
        (("--duration", "0s"), "duration: 0 s"),
        (("--duration", "5 W"), "duration"),
    ],
)
def test_bad_input(cli, words: tuple[str, ...], message: str):
    cli("bench", "selftest", *words).refused(message)
