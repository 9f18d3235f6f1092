"""One line says what the calibration covers; nothing is left out of it."""

import re

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.decide.advisor.recommend import recommend
from inferatlas.decide.coverage import SHOWN, coverage


def test_every_name_is_in_its_group_once():
    words = coverage([("b", "predicted"), ("a", "predicted"), ("a", "predicted"), ("c", "extrapolated")])
    assert words == "calibrated (predicted): a, b; extrapolated: c"


def test_what_is_both_is_said_to_be_in_part():
    assert coverage([("a", "extrapolated"), ("a", "predicted")]).endswith("extrapolated: a in part")


def test_nothing_is_none():
    assert coverage([]) == "calibrated (predicted): none; extrapolated: none"


def test_a_long_list_is_counted():
    names = accelerator_ids()
    words = coverage((name, "extrapolated") for name in names)
    (more,) = re.findall(r"and (\d+) more", words)
    assert int(more) + SHOWN == len(names)


def test_the_advisor_names_what_is_calibrated_of_what_it_recommends():
    found = recommend("llama-3.1-8b", isl=1024, osl=256, concurrency=8, accelerators=("h100", "groq-lpu-v1"), top=0)
    labels = {one.accelerator: one.label for one in found.candidates}
    (words,) = [note for note in found.notes if note.startswith("calibrated")]
    calibrated, extrapolated = words.split("; extrapolated: ")
    assert labels
    for name, label in labels.items():
        assert (name in calibrated) == (label == "predicted")
        assert (name in extrapolated) == (label == "extrapolated")
