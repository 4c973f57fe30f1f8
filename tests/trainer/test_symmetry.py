"""What may be mirrored or turned, found on generated pictures with the embedded network: letters may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from trainer import symmetry
from trainer.plans import suggest
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

LITE = "embedded/tf_efficientnet_lite0"

pytestmark = pytest.mark.slow


def glyph(letter: str, seed: int) -> Image.Image:
    """A letter of any size near the middle, dark on light."""
    rng = np.random.default_rng([ord(letter), seed])
    picture = Image.new("RGB", (96, 96), tuple(int(v) for v in rng.integers(190, 255, 3)))
    font = ImageFont.load_default(size=int(rng.integers(46, 70)))
    x, y = rng.integers(14, 34, 2).tolist()
    ImageDraw.Draw(picture).text((x, y), letter, font=font, fill=tuple(int(v) for v in rng.integers(0, 80, 3)))
    return picture


def spots(many: bool, seed: int) -> Image.Image:
    """Few or many round spots anywhere: which way is up says nothing."""
    rng = np.random.default_rng([many, seed])
    picture = Image.new("RGB", (96, 96), "white")
    for _ in range(24 if many else 3):
        x, y = rng.integers(8, 88, 2).tolist()
        ImageDraw.Draw(picture).ellipse((x - 6, y - 6, x + 6, y + 6), fill=(160, 30, 60))
    return picture


def test_letters_are_neither_mirrored_nor_turned_and_spots_are_both(tmp_path: Path, settings: Settings) -> None:
    store = Store(settings.home)
    for number in range(40):
        for name, pictures in (
            ("letters", [glyph("b", number), glyph("d", number)]),
            ("spots", [spots(False, number), spots(True, number)]),
        ):
            for kind, picture in enumerate(pictures):
                (tmp_path / name / f"class_{kind}").mkdir(parents=True, exist_ok=True)
                picture.save(tmp_path / name / f"class_{kind}" / f"{number}.png")
    letters, spotted = (intake(tmp_path / name, store, settings) for name in ("letters", "spots"))
    assert symmetry.known(letters.id, LITE, settings) is None
    found = symmetry.measure(letters, LITE, store, settings)
    assert found.mirrored.accuracy > 0.8
    assert found.fields == {"flip": False, "rotate": 0.0}
    assert "wrong things" in found.sentences[0]
    assert symmetry.known(letters.id, LITE, settings) == found
    assert not suggest(None, letters, settings, backbone=LITE, strategy="full").flip
    assert symmetry.measure(spotted, LITE, store, settings).fields == {"flip": True, "rotate": 180.0}
