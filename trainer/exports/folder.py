"""The folder that its network's library loads, proven on held-out pictures with that library's own loaders.

A network of timm's is loaded by timm and transformers, one of transformers' by transformers, and GoogLeNet by the
constructor and transforms of torchvision, which has no format for folders. One that ends at an earlier tap, and that
none of them can build, is loaded by the ``load.py`` in its folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.card import card, model_front, passport
from trainer.certificate import compared, truth
from trainer.classifier import Classifier
from trainer.parcel import kept_if_good, program, result
from trainer.proof import Order
from zoo import saved
from zoo.decode import read_picture
from zoo.errors import BadExport
from zoo.store import read_json, write_bytes, write_json

TOLERANCE = 1e-4  # the same library computes the same network: only rounding may differ
FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "studio.json", "gate.npz")
USE = {
    "timm": """```python
from transformers import pipeline
pipeline("image-classification", "DIR")("picture.jpg")
# or, with timm alone: python load.py picture.jpg
```""",
    "transformers": """```python
from transformers import pipeline
pipeline("image-classification", "DIR")("picture.jpg")
```""",
    "truncated": """```python
from load import load
network = load("DIR")  # takes (B, 3, size, size), prepared as config.json says, and gives logits
```""",
}

Answers = Iterator[tuple[NDArray[np.float64], float]]  # (C,) probabilities and seconds, a picture at a time


class Folder:
    """The export ``folder``."""

    name = "folder"
    title = "Folder for timm and transformers"
    why = "For Python: the library that the network is from loads it in one line."
    remote = False

    def write(self, order: Order) -> dict[str, Any]:
        with kept_if_good(order.to) as folder:
            kind = saved.library(order.classifier)
            parity = certify(order.classifier, order.proof.checked().pictures)
            for name in FILES:
                if (order.classifier / name).is_file():
                    shutil.copyfile(order.classifier / name, folder / name)
            if kind == "timm":
                program(folder, "load_timm.py", "load.py")
            if kind == "truncated":
                shutil.copyfile(saved.SCRIPT, folder / saved.SCRIPT.name)  # ours, whatever lay there under that name
            write_json(folder / "passport.json", passport(order.classifier) | {"certificate": parity})
            told = card(order.classifier, parity, model_front(order.classifier), USE.get(kind, ""))
            write_bytes(folder / "README.md", told.encode())
            return result(folder, parity)


def certify(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """How far the loaders of others that read this folder agree with the studio on these pictures.

    Raises:
        BadExport: they name another class on more than one picture in a hundred, or differ by more than rounding.
    """
    if not paths:
        raise BadExport("There is no held-out picture to prove the export on.", "Export where the dataset still is.")
    ours = truth(folder, tuple(paths))
    loaders = saved.LOADERS[saved.library(folder)]
    certificates = {}
    for name in loaders:
        rows, seconds = zip(*LOADERS[name](folder, paths), strict=True)
        certificates[name] = compared(ours, np.stack(rows), seconds, name, TOLERANCE)
    worst = {
        "agreement": min(one["agreement"] for one in certificates.values()),
        "max_abs_dp": max(one["max_abs_dp"] for one in certificates.values()),
    }
    first = certificates[loaders[0]]
    return {"loaders": list(loaders), **first, **worst, "engine": ", ".join(loaders)}


def _by_timm(folder: Path, paths: Sequence[Path]) -> Answers:
    """Probabilities as anyone with timm gets them."""
    import timm
    from timm.data import create_transform, resolve_data_config

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
    return _rows(model, transform, paths)


def _by_transformers(folder: Path, paths: Sequence[Path]) -> Answers:
    """Probabilities as anyone with transformers gets them."""
    from PIL import Image
    from transformers import pipeline

    classes = Classifier.load(folder).classes
    place = {label: index for index, label in enumerate(classes)}
    classify = pipeline("image-classification", str(folder), device="cpu")
    for path in paths:
        picture, row = Image.fromarray(read_picture(path)), np.zeros(len(classes))
        begun = time.perf_counter()
        answers = classify(picture, top_k=len(classes))
        seconds = time.perf_counter() - begun
        for answer in answers:
            row[place[answer["label"]]] = answer["score"]
        yield row, seconds


def _by_torchvision(folder: Path, paths: Sequence[Path]) -> Answers:
    """Probabilities as anyone with torchvision gets them from the numbers in ``config.json``."""
    import torch
    from safetensors.torch import load_file
    from torchvision import models
    from torchvision.transforms import v2

    config = read_json(folder / "config.json")
    shown, name = config["preprocessing"], config["architecture"]
    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, num_classes=config["num_classes"], **more).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    side = int(shown["size"] / shown["crop"])
    transform = v2.Compose(
        [
            v2.Resize([side, side] if shown["squash"] else side, v2.InterpolationMode(shown["interpolation"])),
            v2.CenterCrop(shown["size"]),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(shown["mean"], shown["std"]),
        ]
    )
    return _rows(model, transform, paths)


def _by_script(folder: Path, paths: Sequence[Path]) -> Answers:
    """Probabilities as anyone gets them with the ``load.py`` that lies in the folder, run from our own copy."""
    from timm.data import create_transform

    from zoo.load import load

    shown = read_json(folder / "config.json")["preprocessing"]
    transform = create_transform(
        (3, shown["size"], shown["size"]),
        interpolation=shown["interpolation"],
        mean=shown["mean"],
        std=shown["std"],
        crop_pct=shown["crop"],
        crop_mode="squash" if shown["squash"] else "center",
    )
    return _rows(load(folder), transform, paths)


def _rows(model: Any, transform: Any, paths: Sequence[Path]) -> Answers:
    import torch
    from PIL import Image

    for path in paths:
        picture = Image.fromarray(read_picture(path))
        begun = time.perf_counter()
        with torch.inference_mode():
            row = model(transform(picture)[None]).softmax(1).double().numpy()[0]
        yield row, time.perf_counter() - begun


LOADERS = {
    "timm": _by_timm,
    "transformers": _by_transformers,
    "torchvision": _by_torchvision,
    "load.py": _by_script,
}
EXPORT = Folder()
