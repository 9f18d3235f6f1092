"""Property tests try the same examples on every machine and are not timed: a slow machine is not a defect."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

FAKE_NVML = Path(__file__).parent / "measure" / "metering" / "sources" / "fixtures" / "fake_nvml.c"


@pytest.fixture(scope="session", autouse=True)
def no_width_from_outside() -> Iterator[None]:
    """Texts are as wide as in a file, whatever the shell says; processes of pytest-xdist are told 80 characters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def fake_nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ``libnvidia-ml.so.1`` to be put on ``LD_LIBRARY_PATH``; its settings are in `fake_nvml.c`."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, FAKE_NVML, "-lm"], check=True)
    return folder
