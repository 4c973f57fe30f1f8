"""The folder that its network's library loads, proven on held-out pictures with that library's own loaders.

A network of timm's is loaded by timm and transformers, one of transformers' by transformers, and GoogLeNet by the
constructor and transforms of torchvision, which has no format for folders. One that ends at an earlier tap, and that
none of them can build, is loaded by the ``load.py`` in its folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.classifier import Classifier
from trainer.exports import empty_folder
from zoo import saved
from zoo.decode import read_picture
from zoo.errors import BadExport
from zoo.store import read_json

AGREEMENT = 0.99  # share of pictures on which all loaders must name the same class
FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "studio.json", "gate.npz")


class Folder:
    """The export ``folder``."""

    name = "folder"
    title = "Folder for timm and transformers"

    def write(self, classifier: Path, to: Path, pictures: Sequence[Path]) -> dict[str, Any]:
        empty_folder(to)
        parity = certify(classifier, pictures)
        files = [name for name in FILES if (classifier / name).is_file()]
        for name in files:
            shutil.copyfile(classifier / name, to / name)
        if saved.library(to) == "truncated":
            shutil.copyfile(saved.SCRIPT, to / saved.SCRIPT.name)  # ours, whatever lay there under that name
            files.append(saved.SCRIPT.name)
        size = sum((to / name).stat().st_size for name in files)
        return {"files": [str(to / name) for name in files], "parity": parity, "size_mb": round(size / 1e6, 2)}


def certify(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """How far the loaders of others that read this folder agree with the studio on these pictures.

    Raises:
        BadExport: they name another class on more than one picture in a hundred.
    """
    if not paths:
        raise BadExport("There is no held-out picture to prove the export on.", "Export where the dataset still is.")
    ours = Classifier.load(folder).probabilities([read_picture(path) for path in paths])
    loaders = saved.LOADERS[saved.library(folder)]
    theirs = [LOADERS[name](folder, paths) for name in loaders]
    agreement = min(float((other.argmax(1) == ours.argmax(1)).mean()) for other in theirs)
    parity = {
        "loaders": list(loaders),
        "pictures": len(paths),
        "agreement": agreement,
        "max_abs_dp": max(float(np.abs(other - ours).max()) for other in theirs),
    }
    if agreement < AGREEMENT:
        raise BadExport(f"The export agrees on only {agreement:.1%} of the pictures.", "Report this with the backbone.")
    return parity


def _by_timm(folder: Path, paths: Sequence[Path]) -> NDArray[np.float64]:
    """(N, C) probabilities as anyone with timm gets them."""
    import timm
    from timm.data import create_transform, resolve_data_config

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
    return _rows(model, transform, paths)


def _by_transformers(folder: Path, paths: Sequence[Path]) -> NDArray[np.float64]:
    """(N, C) probabilities as anyone with transformers gets them."""
    from PIL import Image
    from transformers import pipeline

    classes = Classifier.load(folder).classes
    place = {label: index for index, label in enumerate(classes)}
    classify = pipeline("image-classification", str(folder), device="cpu")
    rows = np.zeros((len(paths), len(classes)))
    for row, path in zip(rows, paths, strict=True):
        for answer in classify(Image.fromarray(read_picture(path)), top_k=len(classes)):
            row[place[answer["label"]]] = answer["score"]
    return rows


def _by_torchvision(folder: Path, paths: Sequence[Path]) -> NDArray[np.float64]:
    """(N, C) probabilities as anyone with torchvision gets them from the numbers in ``config.json``."""
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


def _by_script(folder: Path, paths: Sequence[Path]) -> NDArray[np.float64]:
    """(N, C) probabilities as anyone gets them with the ``load.py`` that lies in the folder, run from our own copy."""
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


def _rows(model: Any, transform: Any, paths: Sequence[Path]) -> NDArray[np.float64]:
    import torch
    from PIL import Image

    with torch.inference_mode():
        shown = (transform(Image.fromarray(read_picture(path)))[None] for path in paths)
        return np.stack([model(x).softmax(1).double().numpy()[0] for x in shown])


LOADERS = {
    "timm": _by_timm,
    "transformers": _by_transformers,
    "torchvision": _by_torchvision,
    "load.py": _by_script,
}
EXPORT = Folder()
