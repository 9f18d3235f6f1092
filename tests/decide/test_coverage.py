"""One line says what the calibration covers; nothing is left out of it."""

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.decide.advisor.recommend import recommend
from inferatlas.decide.coverage import SHOWN, assumed_hops, coverage
from inferatlas.predict.platforms import bind
from inferatlas.predict.replicas import Layout, assumes_hops

WIDE = Layout(8, 80, 1, 1)  # stages in many nodes


def test_every_name_is_in_its_group_once():
    words = coverage([("b", "predicted"), ("a", "predicted"), ("a", "predicted"), ("c", "extrapolated")])
    assert words == "calibrated (predicted): a, b; extrapolated: c"


def test_what_is_both_is_in_part_and_nowhere_else():
    words = coverage([("a", "extrapolated"), ("a", "predicted")])
    assert words == "calibrated (predicted): none; in part: a; extrapolated: none"


def test_nothing_is_none():
    assert coverage([]) == "calibrated (predicted): none; extrapolated: none"


def test_of_many_that_are_extrapolated_all_but_those_named_are():
    names = accelerator_ids()
    calibrated = [(name, "predicted") for name in names[:30]]
    words = coverage([*calibrated, (names[0], "extrapolated"), *((name, "extrapolated") for name in names[30:])])
    assert words == (
        f"calibrated (predicted): {', '.join(names[1:30])}; in part: {names[0]}; "
        f"extrapolated: the other {len(names) - 30}"
    )
    assert coverage((name, "extrapolated") for name in names).endswith(f"none; extrapolated: all {len(names)}")
    few = names[:SHOWN]
    assert coverage((name, "extrapolated") for name in few).endswith(f"extrapolated: {', '.join(few)}")


def test_hops_are_assumed_for_every_accelerator_by_name():
    platforms = [p for p in map(bind, accelerator_ids()) if assumes_hops(p, WIDE)]
    assert len(platforms) > SHOWN
    (words,) = assumed_hops((p, WIDE) for p in platforms)
    assert all(p.device.id in words for p in platforms) and "more" not in words
    assert not list(assumed_hops([(platforms[0], Layout(1, 1, 1, 1))]))


def test_the_advisor_names_what_is_calibrated_of_what_it_recommends():
    found = recommend("llama-3.1-8b", isl=1024, osl=256, concurrency=8, accelerators=("h100", "groq-lpu-v1"), top=0)
    labels = {one.accelerator: one.label for one in found.candidates}
    (words,) = [note for note in found.notes if note.startswith("calibrated")]
    calibrated, extrapolated = words.split("; extrapolated: ")
    assert labels
    for name, label in labels.items():
        assert (name in calibrated) == (label == "predicted")
        assert (name in extrapolated) == (label == "extrapolated")
