"""The guide is true: its commands run one after the other in one home, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.ui import guides

TOP = Path(__file__).parent.parent
PAGES = sorted(guides.FOLDER.glob("*.md"))
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_screen_has_a_page() -> None:
    assert set(guides.SCREENS) <= {path.stem for path in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    named = re.findall(r"`((?:zoo|trainer|tests)/[\w/.]+)`", text)
    assert [link for link in linked if not (page.parent / link).exists()] == []
    assert [name for name in named if not (TOP / name).exists()] == []
    shown = guides.read(page.stem)
    assert ".md" not in "".join(re.findall(r'href="([^"]*)"', shown))
    assert f"aria-current=page>{page.stem.replace('-', ' ').capitalize()}<" in shown


@pytest.mark.slow
def test_the_commands_of_the_guide_run_as_they_stand(tmp_path: Path) -> None:
    screens = [guides.FOLDER / f"{name}.md" for name in guides.SCREENS]
    script = "".join(block for page in screens for block in SHELL.findall(page.read_text(encoding="utf-8")))
    assert script.count("python -m") > 10
    (tmp_path / "out").mkdir()
    environment = {
        **os.environ,
        "STUDIO_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(TOP),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    shell = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(
        shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"comparison.html", "results.html", "answers.json", "looked.png"} <= made
    assert any(name.startswith("onnx/") and name.endswith(".onnx") for name in made)
