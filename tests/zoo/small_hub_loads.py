"""A program for ``test_olah.py``: the real loaders, one after the other, in front of a hub with each fault.

python -m tests.zoo.small_hub_loads ADDRESS FOLDER
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from zoo import fetching, sources
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

TIMM, VIT, WEIGHTS = f"timm/{os.environ['TINY']}", "transformers/some/vit", "model.safetensors"
ASKED = (
    *(
        (fault, TIMM, WEIGHTS)
        for fault in ("gone", "broken", "garbage", "a wrong size", "cut off", "a trickle", "late")
    ),
    ("garbage", VIT, WEIGHTS),
    ("garbage", VIT, "config.json"),
    ("late", VIT, WEIGHTS),
)


def main(address: str, folder: Path) -> None:
    fetching.PATIENCE = 0.5
    settings = Settings(home=folder / "home")
    rows = [tried(address, settings, folder / "hf" / "hub", *row) for row in ASKED]
    sys.stdout.write(json.dumps(rows))


def tried(address: str, settings: Settings, cache: Path, fault: str, name: str, file: str) -> dict[str, Any]:
    """What became of loading the network ``name`` while ``fault`` befalls ``file``, and what is kept of that file."""
    shutil.rmtree(cache, ignore_errors=True)
    urlopen(f"{address}/fault/{quote(fault)}/{file}").close()
    begun, said = time.monotonic(), None
    try:
        sources.load(name, settings)
    except BackboneUnavailable as error:
        said = [error.problem, error.remedy]
    kept = [path for path in cache.rglob("*") if path.name == file or path.name.endswith(".incomplete")]
    row = {"fault": fault, "backbone": name, "file": file, "said": said, "seconds": time.monotonic() - begun}
    return row | {"cached": [path.name for path in kept]}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
