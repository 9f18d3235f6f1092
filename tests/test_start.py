"""Start-up time is kept by not loading: what an import brings with it does not depend on the machine."""

import subprocess
import sys

import pytest

TABLES_AND_CHARTS = {"altair", "duckdb", "pandas", "polars", "torch", "transformers", "vl_convert"}


def loaded_by(*modules: str) -> set[str]:
    """Top-level names in a fresh interpreter after importing ``modules``."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = TABLES_AND_CHARTS | {"numpy", "scipy", "pydantic", "pint", "yaml", "rich", "cyclopts"}
    assert not loaded_by("inferatlas") & heavy


@pytest.mark.parametrize(
    "floor", ["inferatlas.catalogue", "inferatlas.workload", "inferatlas.predict.question", "inferatlas.decide"]
)
def test_the_way_to_a_prediction_loads_no_tables_charts_or_units_library(floor: str):
    loaded = loaded_by(floor)
    assert "inferatlas" in loaded
    assert not loaded & (TABLES_AND_CHARTS | {"pint", "scipy"})
