"""What every test may ask for: small generated pictures, a home that is thrown away, marks that know the machine."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from zoo.settings import Settings, usable_cores, wait_briefly
from zoo.store import Store

PictureFolder = Callable[..., Path]

LONGEST = ("ray_runs", "app", "kills", "guide", "programs", "hub", "hostile_datasets", "compare", "data_screen")

SHAPES = ("circle", "square", "triangle", "cross", "stripes")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--network", action="store_true", help="run the tests marked network too, which ask a model hub")


def pytest_configure(config: pytest.Config) -> None:
    wait_briefly()  # tests share the machine
    if not config.getoption("--network"):
        os.environ["HF_HUB_OFFLINE"] = "1"  # before any test imports huggingface_hub, and for the workers they start
    os.environ.pop("STUDIO_AUTH", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, the others as they were: where several run, the last to begin holds up all."""
    place = {f"test_{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") and not item.config.getoption("--network"):
        pytest.skip("asks a model hub: give --network to run it")
    if item.get_closest_marker("gpu") and not has_gpu():
        pytest.skip("there is no CUDA device here: this was NOT tested on this machine")


@cache
def has_gpu() -> bool:
    """Whether torch sees a CUDA device; torch is only imported where a test asks."""
    import torch

    return torch.cuda.is_available()


def drawn(kind: int, seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A coloured shape on gray, (width, height) ``size``. ``kind`` sets shape and hue, ``seed`` place and shade."""
    rng = np.random.default_rng([kind, seed])
    width, height = size
    picture = Image.new("RGB", size, tuple(int(v) for v in np.full(3, rng.integers(90, 160))))
    r, g, b = colorsys.hsv_to_rgb((kind * 0.381966) % 1, rng.uniform(0.7, 1), rng.uniform(0.7, 1))
    colour = (int(r * 255), int(g * 255), int(b * 255))
    radius = max(1.0, min(size) * rng.uniform(0.22, 0.34))
    x, y = rng.uniform(radius, max(radius, width - radius)), rng.uniform(radius, max(radius, height - radius))
    draw = ImageDraw.Draw(picture)
    match SHAPES[kind % len(SHAPES)]:
        case "circle":
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        case "square":
            draw.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
        case "triangle":
            draw.polygon(((x, y - radius), (x - radius, y + radius), (x + radius, y + radius)), fill=colour)
        case "cross":
            draw.line((x - radius, y, x + radius, y), fill=colour, width=max(1, int(radius / 2)))
            draw.line((x, y - radius, x, y + radius), fill=colour, width=max(1, int(radius / 2)))
        case _:
            for step in np.linspace(-radius, radius, 4):
                draw.line((x - radius, y + step, x + radius, y + step), fill=colour, width=max(1, int(radius / 4)))
    return picture


@pytest.fixture
def picture_folder(tmp_path: Path) -> PictureFolder:
    """Makes a folder of class folders: ``picture_folder(classes=3, each=8)`` or ``picture_folder(("cat", "dog"))``.

    No two pictures are the same, and the classes can be told apart by eye. ``inside`` puts the class folders
    deeper, as in ``inside="pets/train"``; the path given back is the folder's top.
    """

    def make(
        classes: int | Sequence[str] = 3,
        each: int = 8,
        *,
        name: str = "pictures",
        inside: str = "",
        size: tuple[int, int] = (64, 48),
        seed: int = 0,
        suffix: str = ".png",
    ) -> Path:
        names = [f"class_{i}" for i in range(classes)] if isinstance(classes, int) else list(classes)
        top = tmp_path / name
        for kind, label in enumerate(names):
            folder = top / inside / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(each):
                drawn(kind, seed * 1000 + number, size).save(folder / f"{label}_{number:03}{suffix}")
        return top

    return make


def random_weights(home: Path, network: str) -> None:
    """Lay timm's ``network`` with random weights, the same each time, where the studio in ``home`` finds its own."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = home / "models" / network / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(timm.create_model(network, pretrained=False).state_dict(), path)


def classes_of(top: Path, counts: Sequence[int]) -> Path:
    """As ``picture_folder``, in ``top``, with so many pictures of each class; for fixtures that outlive a test."""
    for kind, count in enumerate(counts):
        (top / f"class_{kind}").mkdir()
        for number in range(count):
            drawn(kind, number).save(top / f"class_{kind}" / f"{number}.png")
    return top


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A machine with an empty home of its own, which never asks a hub."""
    return Settings(home=tmp_path / "home", offline=True, threads=usable_cores())


@pytest.fixture
def store(settings: Settings) -> Store:
    """An empty store in that home."""
    return Store(settings.home)
