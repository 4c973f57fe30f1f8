"""The tools that keep the house in order run as tests, with the settings of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
def test_every_type_holds() -> None:
    run("-m", "mypy")
