"""Checks that this export answers here as it did where it was made: python verify.py

It asks the classifier about the pictures in ``golden`` and compares with the answers kept beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from predict import Classifier  # type: ignore[import-not-found]  # the file beside this one

HERE = Path(__file__).parent


def main() -> int:
    """Exit status 0 where every answer is the same."""
    golden = json.loads((HERE / "golden" / "answers.json").read_text(encoding="utf-8"))
    classify = Classifier(next(path for name in ("model.onnx", "model.xml") if (path := HERE / name).is_file()))
    worst, wrong = 0.0, 0
    for row in golden["pictures"]:
        said = classify(HERE / "golden" / row["file"])
        gaps = [abs(a - b) for a, b in zip(said["probabilities"], row["probabilities"], strict=True)]
        worst, wrong = max(worst, *gaps), wrong + (said["label"] != row["label"])
    good = not wrong and worst <= golden["tolerance"]
    count = len(golden["pictures"])
    verdict = "good" if good else "NOT the same classifier"
    print(f"{count - wrong} of {count} labels the same, largest difference of a probability {worst:.1e}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
