"""One picture answered in the page's process, over the bare forward pass of the quickest engine.

    python tests/bench/predict.py [CLASSIFIER] [--home DIR] [--pictures N]

Without CLASSIFIER a linear head is trained on the sample first. The measuring process opens the classifier as the page
does (trainer.ui.shelf) and then asks, in turns of all pictures, the classifier and the bare network in both engines,
whose input was prepared before: a page has one engine, and from picture to picture the threads of several would wait
for each other. Bare is the network up to its probabilities: no resizing, no gate, no answer put into words. Prints one
JSON document; ``ratio`` is of medians, and ``torch`` says whether torch was ever imported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainer import served  # noqa: E402
from trainer.ui.shelf import Shelf  # noqa: E402
from zoo.decode import read_picture  # noqa: E402
from zoo.settings import Settings  # noqa: E402
from zoo.store import Store  # noqa: E402

ROUNDS = 3


def fitted(home: Path) -> Path:
    """A linear head on the sample."""
    fit = ("fit", "sample", "--strategy", "linear_head", "--json", "--home", str(home))
    done = subprocess.run([sys.executable, "-m", "trainer", *fit], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Path(json.loads(done.stdout)["classifier"])


def bare(network: bytes) -> bytes:
    """Only what leads to the probabilities."""
    import onnx
    from onnx.utils import Extractor

    model = Extractor(onnx.load_model_from_string(network)).extract_model(["pixels"], ["probabilities"])
    return bytes(model.SerializeToString())


def measured(folder: Path, home: Path, count: int) -> dict[str, Any]:
    settings = Settings.read()
    store = Store(home)
    begun = time.perf_counter()
    classifier = Shelf(store, settings).get(folder)
    opening = time.perf_counter() - begun
    assert isinstance(classifier, served.Served), "this network needs torch"
    files = sorted((ROOT / "zoo" / "sample").glob("*/*.jpg"))[:: max(1, 228 // count)][:count]
    pictures = [read_picture(path) for path in files]
    network = bare(served.body(store, folder))
    ways: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "predict": (lambda picture: classifier.predict([picture]), pictures),
        "file": (lambda path: classifier.predict([read_picture(path)]), files),
    }
    ready = [served.pixels(picture, classifier.preprocessing) for picture in pictures]
    for engine in served.ENGINES:
        ways[engine] = (served.opened(network, engine, settings.threads), ready)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, (call, given) in ways.items():
            for each in given:
                begun = time.perf_counter()
                call(each)
                if turn:  # the first round warms up
                    took[name].append(1000 * (time.perf_counter() - begun))
    ms = {name: {"p50": float(np.median(row)), "p95": float(np.quantile(row, 0.95))} for name, row in took.items()}
    quickest = min(served.ENGINES, key=lambda engine: ms[engine]["p50"])
    return {
        "ratio": ms["predict"]["p50"] / ms[quickest]["p50"],
        "ratio_from_file": ms["file"]["p50"] / ms[quickest]["p50"],
        "quickest": quickest,
        "ms": ms,
        "opening_seconds": opening,
        "threads": settings.threads,
        "pictures": len(files),
        "torch": "torch" in sys.modules,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier", nargs="?", type=Path)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--pictures", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = chosen.home or Path(scratch)
        folder = chosen.classifier or fitted(home)
        print(json.dumps(measured(folder.absolute(), home, chosen.pictures), indent=1))


if __name__ == "__main__":
    main()
