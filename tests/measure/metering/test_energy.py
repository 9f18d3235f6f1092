import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.energy import REASONS, Energy, together
from inferatlas.measure.metering.scope import MOST_W, Scope, one_scope, scope_of


def energy(joules, **facts) -> Energy:
    named = {"u_terms": {"gain": 0.05 * (joules or 0.0), "edges": 3.0}, "method": "counter", "source": "nvml",
             "scope": Scope.GPU, "duration_s": 10.0, "covered_s": 10.0} | facts  # fmt: skip
    return Energy(joules, **named)


def test_terms_are_independent_and_reported():
    one = energy(1000.0, u_terms={"edges": 3.0, "gain": 4.0})
    assert one.uncertainty_j == 5.0 and one.mean_w == 100.0 and one.valid
    assert one.as_dict()["uncertainty_terms_j"] == {"edges": 3.0, "gain": 4.0}


def test_what_is_unknown_stays_unknown():
    """energy.md, mistake 6."""
    none = energy(None, u_terms={}, method=None, reasons=("no_samples",))
    assert none.uncertainty_j is None and none.mean_w is None and not none.valid
    assert none.as_dict()["joules"] is None
    assert "unknown" in str(none) and "no_samples" in str(none)


def test_every_figure_carries_its_scope_method_and_judgement():
    text = str(energy(10150.0, u_terms={"gain": 507.5}, reasons=("sources_disagree",)))
    assert text == "10.2 kJ ± 0.51 kJ (counter, nvml, gpu, invalid: sources_disagree)"


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=8))
def test_a_sum_is_the_sum_and_its_gain_does_not_average_out(joules):
    whole = together([energy(one, device=str(n)) for n, one in enumerate(joules)])
    assert whole.joules == pytest.approx(sum(joules))
    assert whole.u_terms["gain"] == pytest.approx(0.05 * sum(joules))
    assert whole.u_terms["edges"] == pytest.approx(3.0 * math.sqrt(len(joules)))
    assert len(whole.devices) == len(joules) and whole.device is None


def test_scopes_are_never_added():
    with pytest.raises(BadInput, match="gpu and module are different things"):
        together([energy(1.0), energy(1.0, scope=Scope.MODULE)])
    with pytest.raises(BadInput, match="unknown and gpu"):
        together([energy(1.0), energy(1.0, scope=None)])
    with pytest.raises(ValueError, match="one source"):
        together([energy(1.0), energy(1.0, source="rapl")])
    assert one_scope([]) is None


def test_a_sum_is_as_valid_as_its_parts():
    whole = together([energy(1.0), energy(None, reasons=("not_supported",))])
    assert whole.joules == 1.0 and not whole.valid
    assert set(whole.reasons) == {"not_supported", "device_missing"}
    nothing = together([energy(None, reasons=("no_samples",), method=None)] * 2)
    assert nothing.joules is None and nothing.method is None
    assert together([energy(1.0), energy(1.0, method="instant")]).method == "instant"


def test_scopes_are_a_ladder_known_by_their_labels():
    assert [one.label for one in sorted(Scope)] == [
        "die", "gpu", "module", "board", "node_dc", "node_ac", "rack", "facility"
    ]  # fmt: skip
    assert set(MOST_W) == {*Scope, None} and scope_of("Node-AC") is Scope.NODE_AC and scope_of("unknown") is None
    with pytest.raises(UnknownName, match="did you mean node_ac"):
        scope_of("node_a")


def test_reason_codes_are_explained():
    assert all(len(text) > 10 and code == code.lower() for code, text in REASONS.items())
