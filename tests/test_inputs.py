"""Names as they are given: one or several, none of them empty."""

from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.inputs import several


def test_a_bare_name_is_one_name_and_nothing_is_none():
    assert several("h100", "accelerator") == several(["h100"], "accelerator") == ("h100",)
    assert several(None, "accelerator") == several((), "accelerator") == ()
    assert several(Path("mine.yaml"), "regime") == (Path("mine.yaml"),)


@pytest.mark.parametrize("names", ["", " ", ["h100", ""], ("", "l4")])
def test_an_empty_name_is_refused(names):
    with pytest.raises(BadInput, match="accelerator: an empty name") as caught:
        several(names, "accelerator")
    assert caught.value.allowed
