"""What the package names is there, and what needs arrays loads them only when it is used."""

import subprocess
import sys

import pytest

import inferatlas.workload


def test_every_name_is_there():
    for name in inferatlas.workload.__all__:
        assert getattr(inferatlas.workload, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'requested'"):
        inferatlas.workload.requested  # noqa: B018


def test_names_and_lengths_of_workloads_need_no_arrays():
    code = "import sys, inferatlas.workload as w; w.load_workload('chat'); print('numpy' in sys.modules)"
    code += "; w.Requests; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
