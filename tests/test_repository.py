"""The repository: one version; pinned, hashed requirements without addresses; a docstring per package."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import inferatlas

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = sorted((ROOT / "src" / "inferatlas").rglob("__init__.py"))


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def pinned(file: str) -> dict[str, list[str]]:
    """Name -> its requirement lines, each with version, marker and hashes joined."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        lines.setdefault(name_of(line), []).append(line)
    return lines


def test_the_package_and_the_project_state_one_version():
    assert inferatlas.__version__ == PROJECT["version"]


@pytest.mark.parametrize("file", ["runtime.txt", "dev.txt"])
def test_every_requirement_is_pinned_and_hashed(file: str):
    for lines in pinned(file).values():
        for line in lines:
            assert re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("file", ["runtime.txt", "dev.txt"])
def test_requirements_name_no_address_index_or_path(file: str):
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    assert not re.findall(r"https?:|file:|--(?:extra-)?index-url|--find-links|^\s*#.*/", text, re.MULTILINE)


def test_requirements_hold_every_declared_dependency():
    assert set(map(name_of, PROJECT["dependencies"])) <= pinned("runtime.txt").keys()
    assert set(map(name_of, PROJECT["optional-dependencies"]["dev"])) <= pinned("dev.txt").keys()


def test_development_requirements_contain_the_runtime_ones_unchanged():
    assert pinned("runtime.txt").items() <= pinned("dev.txt").items()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.parent.relative_to(ROOT / "src").as_posix())
def test_every_package_says_what_lives_there(package: Path):
    assert ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
