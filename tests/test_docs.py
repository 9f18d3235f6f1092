"""The documentation runs: every Python block of ``docs/*.md`` and ``README.md``, from top to bottom of a page.

A block with prompts is a doctest, any other is executed; the blocks of a page share their names. A YAML block whose
first line is a comment with a file name (``# my-chip.yaml``) is written to that file first. Shell blocks of ``docs``
run too and must succeed. What a page says of words, codes and files is held against the code.
"""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from inferatlas.catalogue.facts import PROVENANCES, STATUSES
from inferatlas.measure.bench import fates
from inferatlas.measure.bench.formats import EXPORTS, IMPORTS
from inferatlas.measure.bench.metrics import validity
from inferatlas.measure.bench.metrics.definitions import DEFINITIONS
from inferatlas.measure.bench.protocols import PROTOCOLS
from inferatlas.measure.bench.record.columns import COLUMNS
from inferatlas.measure.metering.energy import REASONS, REMARKS
from inferatlas.measure.metering.finding import SOURCES
from inferatlas.predict.mapping.reasons import CODES, OK

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = "import sys; del sys.argv[0]; from inferatlas.cli.main import run; sys.exit(run())"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and line of the first line of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in BLOCK.finditer(text)]


def run(page: Path, code: str, line: int, names: dict[str, object]) -> str:
    """Execute one block; what doctest has to say about it, empty where it is as printed."""
    if ">>> " not in code:
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        return ""
    heard: list[str] = []
    example = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line - 1)
    example.globs = names
    doctest.DocTestRunner(optionflags=FLAGS).run(example, out=heard.append, clear_globs=False)
    return "".join(heard)


def table(page: str, head: str) -> list[str]:
    """The first cells, without their quotes, of the table whose first heading is ``head``."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs_as_printed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for language, text, line in blocks(page):
        named = re.match(r"# (\S+\.ya?ml)\n", text)
        if language == "yaml" and named:
            Path(named[1]).write_text(text, encoding="utf-8")
        elif language == "python":
            heard = run(page, text, line, names)
            assert not heard, heard
        elif language == "sh" and page.parent.name == "docs":
            for command in filter(None, text.splitlines()):
                done = subprocess.run(
                    [sys.executable, "-c", COMMAND, *shlex.split(command)], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (command, done.stderr)
                assert done.stdout


@pytest.mark.parametrize("page", ["catalogue.md", "model.md", "layouts.md"])
def test_each_page_has_examples(page: str):
    assert sum(language == "python" for language, _, _ in blocks(ROOT / "docs" / page)) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_pages_that_a_page_names_are_there(page: Path):
    text = page.read_text(encoding="utf-8")
    missing = [target for target in re.findall(r"\]\(([^)#:]+)\)", text) if not (page.parent / target).exists()]
    package = ROOT / "src" / "inferatlas"
    for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|json|yaml|md))`", text):
        if not any((base / name).exists() for base in (ROOT, package, package / "predict")):
            missing.append(name)
    assert not missing


def test_the_catalogue_page_explains_every_status_and_provenance():
    assert sorted(table("catalogue.md", "status")) == sorted(STATUSES)
    assert sorted(table("catalogue.md", "provenance")) == sorted(PROVENANCES)


def test_the_layouts_page_explains_every_reason_that_is_given():
    assert set(table("layouts.md", "code")) == {CODES[code] for code in CODES} - {CODES[OK]}


def test_the_metering_page_explains_every_source_reason_and_remark():
    assert table("metering.md", "reason") == list(REASONS)
    assert table("metering.md", "remark") == list(REMARKS)
    assert table("metering.md", "source")[: len(SOURCES)] == list(SOURCES)


def test_the_benchmarking_page_explains_every_metric_column_code_and_failure():
    assert table("benchmarking.md", "metric") == list(DEFINITIONS)
    assert table("benchmarking.md", "column") == list(COLUMNS)
    assert table("benchmarking.md", "code") == list(validity.CODES)
    assert table("benchmarking.md", "failure") == list(fates.REASONS)


def test_the_benchmarking_page_names_every_protocol_and_format():
    assert [name.partition(":")[0] for name in table("benchmarking.md", "protocol")] == list(PROTOCOLS)
    assert table("benchmarking.md", "tool") == list(IMPORTS)
    text = (ROOT / "docs" / "benchmarking.md").read_text(encoding="utf-8").partition("| tool |")[2]
    assert set(re.findall(r"`([\w-]+)`", text.partition("\n\n")[0])) >= set(EXPORTS)
