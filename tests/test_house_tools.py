"""The tools that keep the house in order run as tests, with the settings of pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_contributing import written

TOP = Path(__file__).parent.parent
LINT_IMPORTS = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"


def run(*arguments: str) -> None:
    """Run a Python tool at the top of the project; its own words are the failure's message."""
    done = subprocess.run([sys.executable, *arguments], cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def test_ruff_finds_nothing() -> None:
    run("-m", "ruff", "check", ".")


def test_every_file_is_formatted() -> None:
    run("-m", "ruff", "format", "--check", "--diff", ".")


def test_imports_run_one_way() -> None:
    run("-c", LINT_IMPORTS, "--no-logo", "--no-cache")


@pytest.mark.slow
def test_every_type_holds_also_of_the_source_that_contributing_shows(tmp_path: Path) -> None:
    run("-m", "mypy", "app.py", "zoo", "trainer", "tests", str(written(tmp_path)))


def test_the_container_is_built_as_it_should_be() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint, "pip install -r tests/requirements.txt"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.network
@pytest.mark.slow
def test_nothing_that_is_installed_has_a_known_fault() -> None:
    run("-m", "pip_audit", "-r", "requirements.txt")
