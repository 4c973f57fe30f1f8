"""Answers of a classifier made with Transfer Zoo, without the studio: python predict.py PICTURE ... [--json]

Needs numpy, Pillow and onnxruntime (for model.onnx) or openvino (for model.xml).
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Picture = NDArray[np.uint8]  # (H, W, 3) RGB, upright
RESAMPLING = {"bicubic": 3, "bilinear": 2, "lanczos": 1, "nearest": 0}
TOPS = (1, 255, 1023, 4095, 16383, 65535)


class Classifier:
    """``Classifier("model.onnx")(picture)``: label, probability, set, unknown, novelty, probabilities.

    ``set`` holds the truth 9 times in 10; ``novelty`` beyond 1 means that it looks like nothing seen in training.
    """

    def __init__(self, model: str | Path) -> None:
        self.notes: dict[str, Any]
        if Path(model).suffix == ".xml":
            self._openvino(Path(model))
        else:
            self._onnxruntime(Path(model))
        self.labels: list[str] = self.notes["labels"]

    def _onnxruntime(self, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.notes = json.loads(session.get_modelmeta().custom_metadata_map["studio"])

        def run(picture: Picture) -> list[Any]:
            return list(session.run(None, {"image": picture}))

        self._run = run

    def _openvino(self, model: Path) -> None:
        import openvino

        core = openvino.Core()
        precise = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(core.read_model(model), "CPU", precise).create_infer_request()
        self.notes = json.loads(model.with_name("classifier.json").read_text(encoding="utf-8"))
        way, count = self.notes["preprocessing"], 2 if self.notes["gate"] else 1

        def run(picture: Picture) -> list[Any]:
            answer = request.infer({0: np.ascontiguousarray(fit(picture, way).transpose(2, 0, 1)[None])})
            return [np.array(answer[index]) for index in range(count)]

        self._run = run

    def __call__(self, picture: str | Path | Image.Image | Picture) -> dict[str, Any]:
        shown: Picture = picture if isinstance(picture, np.ndarray) else upright(picture)
        begun = time.perf_counter()
        found = self._run(shown)
        seconds = time.perf_counter() - begun
        sure = np.asarray(found[0], dtype=np.float64)
        novelty = float(found[1]) if self.notes["gate"] else None
        best = int(sure.argmax())
        return {
            "label": self.labels[best],
            "probability": float(sure[best]),
            "set": [self.labels[index] for index in possible(sure, self.notes["set_threshold"])],
            "unknown": novelty is not None and novelty > 1,
            "novelty": novelty,
            "probabilities": sure.tolist(),
            "seconds": seconds,
        }


def possible(sure: NDArray[np.float64], threshold: float | None) -> list[int]:
    """Classes one of which is right 9 times in 10, likeliest first; all of them where that was not calibrated."""
    order = np.argsort(-sure, kind="stable")
    likelier = np.cumsum(sure[order]) - sure[order]
    likelier[0] = 0
    return [int(index) for index in order[likelier <= (1.0 if threshold is None else threshold) + 1e-9]]


def upright(source: str | Path | Image.Image) -> Picture:
    """RGB pixels as the classifier was trained on them: turned as EXIF says, clear parts white, deep values scaled."""
    opened = source if isinstance(source, Image.Image) else Image.open(source)
    image = ImageOps.exif_transpose(opened)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        values = np.asarray(image).astype(np.float32)
        low, high = float(values.min()), float(values.max())
        low, high = (
            (0.0, float(next(top for top in TOPS if high <= top))) if 0 <= low <= high <= TOPS[-1] else (low, high)
        )
        eight = np.rint((values - low) * (255 / max(high - low, 1e-30))).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(eight)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return np.asarray(image.convert("RGB"))


def fit(picture: Picture, way: dict[str, Any]) -> Picture:
    """(size, size, 3): the shorter side resized, the centre cut out. model.onnx does this itself."""
    size, (height, width) = way["size"], picture.shape[:2]
    short, least = math.floor(size / way["crop"]), min(height, width)
    target = (short, short) if way["squash"] else (short * width // least, short * height // least)
    image = Image.fromarray(picture)
    if target != image.size:
        image = image.resize(target, Image.Resampling(RESAMPLING[way["interpolation"]]))
    left, top = (round((side - size) / 2) for side in target)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def main() -> None:
    """Answer for every picture named on the command line."""
    here = Path(__file__).parent
    model = next(path for name in ("model.onnx", "model.xml") if (path := here / name).is_file())
    classify = Classifier(model)
    named = [word for word in sys.argv[1:] if word != "--json"]
    for picture in sys.stdin.read().split("\0") if named == ["-"] else named:
        said = classify(picture)
        if "--json" in sys.argv:
            print(json.dumps({"path": picture} | said, ensure_ascii=False))
            continue
        doubt = ", but it looks like nothing it knows" if said["unknown"] else ""
        print(f"{picture}: {said['label']} {said['probability']:.1%}{doubt}")


if __name__ == "__main__":
    main()
