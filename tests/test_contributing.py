"""What CONTRIBUTING.md promises about adding a file is true of the file that it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo.sources
from zoo.backbone import Source, stack
from zoo.registry import discover
from zoo.settings import Settings

TOP = Path(__file__).parent.parent


def written(folder: Path) -> Path:
    """The example as a file in ``folder``; ``tests/test_house_tools.py`` looks at its types."""
    text = (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    path = folder / "histogram.py"
    path.write_text(code[1], encoding="utf-8")
    return path


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example on disk, in a second folder of ``zoo.sources``."""
    (tmp_path / "sources").mkdir()
    path = written(tmp_path / "sources")
    monkeypatch.setattr(zoo.sources, "__path__", [*zoo.sources.__path__, str(path.parent)])
    monkeypatch.delitem(sys.modules, "zoo.sources.histogram", raising=False)
    return path


def test_the_source_it_shows_is_found_by_being_there(shown: Path, settings: Settings) -> None:
    source = discover(zoo.sources, "SOURCE", Source)["histogram"]  # type: ignore[type-abstract]
    card = next(source.cards(settings))
    backbone = source.load(card.name, settings)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20 + i, 10, 3), dtype=np.uint8) for i in range(3)]
    features = backbone.forward(stack(backbone, pictures))
    assert [tap.shape for tap in features] == [(3, card.dim)]
    assert len(features) == len(card.taps)
    np.testing.assert_allclose(features[0].sum(axis=1), 3, rtol=1e-6)


def test_the_source_it_shows_is_in_the_style_it_asks_for(shown: Path) -> None:
    for tool in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *tool, "--stdin-filename", "zoo/sources/histogram.py", "-"]
        done = subprocess.run(
            command, cwd=TOP, input=shown.read_bytes().decode(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
