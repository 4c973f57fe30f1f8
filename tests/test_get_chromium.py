"""The script that finds a browser believes only what starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import get_chromium


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    get_chromium.chromium.cache_clear()
    yield
    get_chromium.chromium.cache_clear()


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_command_that_only_names_a_snap_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "chromium", "echo 'Command requires the chromium snap to be installed.' >&2; exit 1")
    program(tmp_path / "google-chrome", "echo Google Chrome 140.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(get_chromium, "COMMANDS", ("chromium", "google-chrome"))
    assert get_chromium.chromium() == str(tmp_path / "google-chrome")


def test_without_any_browser_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(get_chromium, "APPS", ())
    with pytest.raises(FileNotFoundError, match=r"python tests/get_chromium\.py"):
        get_chromium.chromium()


def test_when_nothing_can_be_installed_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(get_chromium, "_candidates", lambda: iter(()))
    monkeypatch.setattr(get_chromium, "_ways", lambda: iter([["false"]]))
    assert get_chromium.main() == 1
    assert "apt-get install chromium" in capsys.readouterr().err


def test_what_an_installation_brings_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "chromium"
    program(tmp_path / "installer", f"printf '#!/bin/sh\\necho Chromium 141\\n' > {browser}; chmod +x {browser}")
    monkeypatch.setattr(get_chromium, "_candidates", lambda: iter([str(browser)]))
    monkeypatch.setattr(get_chromium, "_ways", lambda: iter([[str(tmp_path / "installer")]]))
    assert get_chromium.main() == 0
    assert get_chromium.chromium() == str(browser)
