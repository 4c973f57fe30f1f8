"""Every form a classifier can be taken away in, asked about its held-out pictures and compared with the classifier.

    python tests/bench/exports.py RUN_OR_CLASSIFIER --home DIR [--formats F …] [--int8]

Each line is what ``python -m trainer export`` certifies, by the exported program itself; ``browser`` is the static page
in Chromium, asked about the same picture files. Latencies are of this machine, as busy as it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.taken import answers, opened, static  # noqa: E402
from trainer.certificate import measured, truth  # noqa: E402
from trainer.proof import Proof  # noqa: E402
from trainer.taking import classifier_at  # noqa: E402
from zoo.settings import Settings  # noqa: E402
from zoo.store import Store  # noqa: E402

FORMATS = ("folder", "onnx", "openvino", "space", "web")


def export(classifier: str, home: Path, form: str, to: Path, *more: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "trainer", "export", classifier, "--format", form, "--to", str(to), "--json", *more]
    done = subprocess.run([*line, "--home", str(home)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(name: str, parity: dict[str, Any], size: float | None = None) -> None:
    p50, p95 = parity["latency_ms"].values()
    megabytes = "" if size is None else f"{size:7.1f} MB"
    print(
        f"{name:<9} {parity['pictures']} pictures  same answer {parity['agreement']:.1%}  max |dp| "
        f"{parity['max_abs_dp']:.1e}  {p50:6.1f} ms (p95 {p95:.1f}) {megabytes}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    parser.add_argument("--int8", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for form in chosen.formats:
            to = Path(scratch) / form
            more = ["--int8"] if chosen.int8 and form == "onnx" else []
            found = export(chosen.classifier, chosen.home, form, to, *more)
            shown(form, found["parity"], found["size_mb"])
            if small := found.get("int8"):
                shown("int8", small)
                print(f"          accuracy {small['accuracy']:.1%}, lost {small['lost']:.1%}, kept: {small['kept']}")
            if form == "web":
                in_browser(chosen.classifier, chosen.home, to)


def in_browser(classifier: str, home: Path, page: Path) -> None:
    folder = classifier_at(classifier, Settings(home=home)).absolute()
    paths = Proof.of(folder, Store(home)).pictures
    with static(page) as url, opened(url) as visitor:
        visitor.sees("html[data-ready]", 120)
        rows, seconds = answers(visitor.page, paths)
    shown("browser", measured(truth(folder, paths), rows, seconds, "onnxruntime-web"))


if __name__ == "__main__":
    main()
