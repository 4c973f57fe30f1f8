"""Finds a Chromium for the browser tests, or installs one. Needs nothing beyond the standard library."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMANDS = ("chromium", "google-chrome-stable", "google-chrome", "chrome", "chromium-browser")
APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ASK_PLAYWRIGHT = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""
ADVICE = """No Chromium could be installed here. Do one of these, then run this again:
  Debian           sudo apt-get install chromium
  Ubuntu, others   sudo .venv/bin/python -m playwright install --with-deps chromium
  macOS            install Google Chrome
or leave the browser tests out: .venv/bin/python -m pytest -m "not browser and not network and not gpu"
"""


@functools.cache
def chromium() -> str:
    """The path of a Chromium or Chrome that starts.

    Raises:
        FileNotFoundError: there is none.
    """
    for path in _candidates():
        if _starts(path):
            return path
    raise FileNotFoundError("There is no Chromium here. Run python tests/get_chromium.py to install one.")


def main() -> int:
    """Print where Chromium is, after installing it if need be."""
    for install in (None, *_ways()):
        if install is not None:
            print("Installing Chromium:", " ".join(install), flush=True)
            if subprocess.run(install, check=False).returncode:
                continue
        try:
            print("Chromium for the browser tests:", chromium())
        except FileNotFoundError:
            continue
        return 0
    print(ADVICE, file=sys.stderr)
    return 1


def _candidates() -> Iterator[str]:
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            yield found
    yield from (app for app in APPS if Path(app).exists())
    asked = subprocess.run([sys.executable, "-c", ASK_PLAYWRIGHT], capture_output=True, text=True, check=False)
    if Path(asked.stdout.strip()).is_file():
        yield asked.stdout.strip()


def _starts(path: str) -> bool:
    """Ubuntu's chromium-browser, say, is a script that only names a snap: so ask it for its version."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and "Chrom" in asked.stdout


def _ways() -> Iterator[list[str]]:
    """Commands to try one after the other, each ending with Chromium in place if it succeeds."""
    root = os.geteuid() == 0
    sudo = [] if root else ["sudo"]
    may = root or shutil.which("sudo") is not None
    playwright = [sys.executable, "-m", "playwright", "install"]
    if _distribution() == "debian" and may:
        apt = "apt-get update && apt-get install --yes chromium"
        yield [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", apt]
    if platform.system() == "Linux" and may:
        yield [*playwright, "--with-deps", "chromium"]
    yield [*playwright, "chromium"]


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
