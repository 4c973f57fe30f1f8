"""Processes side by side, started by torch's launcher: real ones, over gloo, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PictureFolder
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.features import Extractor
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store


@pytest.mark.slow
def test_two_processes_share_the_pictures_and_give_the_features_of_one(
    picture_folder: PictureFolder, settings: Settings, tmp_path: Path
) -> None:
    data, backbone = picture_folder(3, 24), f"timm/{TINY[0]}"
    alone = replace(settings, home=tmp_path / "alone", threads=1)
    for one in (settings, alone):
        give_weights(one, TINY[0])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    line = [*launch, "-m", "zoo", "compare", str(data), "--backbones", backbone, "--json", "--home", str(settings.home)]
    environ = os.environ | {"STUDIO_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(line, capture_output=True, text=True, cwd=root, env=environ, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # one document, though two processes ran
    assert [row["id"] for row in found["backbones"]] == [backbone]
    assert "process 0 looked at" in done.stderr
    assert "process 1 looked at" in done.stderr

    shared = intake(data, Store(settings.home), settings)
    single = intake(data, Store(alone.home), alone)
    ours = Extractor(sources.card(backbone, settings), shared, Store(settings.home), settings)
    rows = [index for index, item in enumerate(shared.items) if item.sha in ours._row]
    assert len(rows) == found["pictures"]
    theirs = Extractor(sources.card(backbone, alone), single, Store(alone.home), alone).rows(rows)
    for tap, other in zip(ours.rows(rows).taps, theirs.taps, strict=True):
        np.testing.assert_allclose(tap, other, atol=1e-5)
