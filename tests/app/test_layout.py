"""The traps of five flat packages, each with a test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("governance", "policies", "audits", "training", "app")
HEAVY = ("torch", "diffusers", "transformers", "datasets", "fairlearn", "great_expectations",
         "streamlit", "pandas", "onnxruntime", "duckdb", "sqlalchemy", "pyarrow")  # fmt: skip
_INSTALLED = re.compile(r"(^|/)(\.[^/]+|node_modules)/")


def test_nothing_in_app_has_the_name_of_a_package_of_ours() -> None:
    names = {path.stem for path in (ROOT / "app").iterdir()}
    assert not names & set(PACKAGES)  # Streamlit puts app/ first on the path


def _ours(folder: str, pattern: str) -> list[Path]:
    """Files below a folder, without what was installed there of other people's (tests/foreign)."""
    found = (ROOT / folder).rglob(pattern)
    return [path for path in found if not _INSTALLED.search(path.relative_to(ROOT).as_posix())]


def test_tests_are_no_packages_and_their_names_are_unique() -> None:
    assert not _ours("tests", "__init__.py")
    names = [path.name for path in _ours("tests", "test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, app.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_every_file_has_fewer_than_400_lines() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for package in (*PACKAGES, "tests", "benchmarks")
        for path in _ours(package, "*.py")
        if (lines := len(path.read_text().splitlines())) >= 400
    }
    assert not long
