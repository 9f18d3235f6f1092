import ast
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas import measure
from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.accounting.footprint import REMARKS as OF_FOOTPRINT
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.energy import REASONS, REMARKS, Energy, together
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


def test_mean_power_of_devices_is_the_sum_of_theirs():
    one, died = energy(1000.0, device="0"), energy(250.0, device="1", covered_s=2.5)
    assert together([one, died]).mean_w == pytest.approx(200.0)
    missing = energy(None, u_terms={}, method=None, covered_s=0.0, reasons=("no_samples",))
    assert together([one, missing]).mean_w is None  # the sum of those that were read is not what all drew


def test_gaps_of_devices_that_have_none_do_not_hide_those_of_others():
    gaps = [energy(1.0, gap_s=gap) for gap in (math.nan, 0.5, 0.1)]
    assert together(gaps).gap_s == 0.5 and math.isnan(together(gaps[:1]).gap_s)


@pytest.mark.parametrize(
    ("joules", "shown"), [(3e-6, "3.00 µJ ± 1 µJ"), (3e16, "30.0 PJ ± 10 PJ"), (3e-3, "3.00 mJ ± 1 mJ")]
)
def test_an_uncertainty_is_in_the_unit_of_its_energy(joules, shown):
    assert str(energy(joules, u_terms={"edges": joules / 3})).startswith(shown)


def test_every_code_that_is_given_is_explained_and_every_explanation_is_of_use():
    """Codes are strings that lead into ``reasons`` and ``remarks``, and names of faults."""
    given, said = {fault.code for fault in Fault if fault}, set()
    for path in Path(measure.__file__).parent.glob("metering/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            given |= codes_of(node)
            if isinstance(node, ast.Constant) and path.name != "energy.py":
                said.add(node.value)
    explained = {*REASONS, *REMARKS}
    assert {"gap_too_long", "scope_shared", "device_missing", "clock_jump", "clock_step", "fallback"} <= given
    assert given <= explained | set(OF_FOOTPRINT)  # what accounting says of figures has words of its own
    assert explained <= given | said


def codes_of(node: ast.AST) -> set[str]:
    """Codes in what is appended, assigned or handed over as reasons or remarks."""
    lists = ("reasons", "remarks", "beyond")

    def named(one: ast.AST | None) -> bool:
        return (isinstance(one, ast.Name) and one.id in lists) or (isinstance(one, ast.Attribute) and one.attr in lists)

    parts: list[ast.AST | None] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and named(node.func.value):
        parts = [*node.args]
    elif isinstance(node, ast.keyword) and node.arg in lists:
        parts = [node.value]
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
        parts = [node.value] if any(named(one) for one in flat) else []
    words = {one.value for part in parts if part for one in ast.walk(part) if isinstance(one, ast.Constant)}
    return {word for word in words if isinstance(word, str) and re.fullmatch("[a-z]{6,}|[a-z]+(_[a-z]+)+", word)}


def test_an_uncertainty_larger_than_its_energy_is_written_out():
    assert str(energy(619.0, u_terms={"gain": 154.8})).startswith("619 J ± 150 J")
    assert str(energy(619.0, u_terms={"gain": 1.234e5})).startswith("619 J ± 120000 J")
