"""What a picture's file tells besides its pixels: when it was taken, how hard it was squeezed, what was made right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
from PIL import ExifTags, Image

TURNED = "turned as EXIF says"
CLEAR = "transparency laid on white"
DEEP = "values deeper than 8 bits scaled"
PALETTE = "palette turned into colours"
INKS = "printing inks (CMYK) turned into RGB"
FRAME = "first frame or page taken"
COLOURS = "colours turned into RGB"
WORDS = frozenset((TURNED, CLEAR, DEEP, PALETTE, INKS, FRAME, COLOURS))

# The luminance table of ITU-T T.81, annex K.1, which encoders scale by their quality.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


@dataclass(frozen=True, slots=True)
class Facts:
    """As the attributes of ``zoo.dataset.Item`` of the same names."""

    taken: float = 0.0
    quality: int = 0
    mode: str = ""
    repaired: str = ""


def facts(image: Image.Image, mode: str, turned: bool, timed: bool = True) -> Facts:
    """Facts of a picture that is open; ``mode`` is what it had before decoding. No EXIF is read where not ``timed``."""
    return Facts(_taken(image) if timed else 0.0, _quality(image), mode, _repaired(image, mode, turned))


def _repaired(image: Image.Image, mode: str, turned: bool) -> str:
    deep = mode in ("I", "F") or mode.startswith("I;")
    done = {
        TURNED: turned,
        DEEP: deep,
        INKS: mode == "CMYK",
        PALETTE: mode in ("P", "PA"),
        COLOURS: mode in ("YCbCr", "HSV"),
        CLEAR: not deep and image.has_transparency_data,
        FRAME: bool(getattr(image, "is_animated", False)),
    }
    return ", ".join(words for words, was in done.items() if was)


def _taken(image: Image.Image) -> float:
    """Seconds since 1970; a time without a zone counts as UTC. 0 for none, or one that is nonsense."""
    exif = image.getexif()
    if not exif:
        return 0.0
    within = exif.get_ifd(ExifTags.IFD.Exif)
    base = ExifTags.Base
    for tags, time, zone, split in (
        (within, base.DateTimeOriginal, base.OffsetTimeOriginal, base.SubsecTimeOriginal),
        (within, base.DateTimeDigitized, base.OffsetTimeDigitized, base.SubsecTimeDigitized),
        (exif, base.DateTime, base.OffsetTime, base.SubsecTime),
    ):
        if seconds := _seconds(tags.get(time), within.get(zone)):
            part = str(within.get(split, "")).strip("\0 ")
            return seconds + (float(f"0.{part}") if part.isascii() and part.isdigit() and len(part) < 7 else 0.0)
    return 0.0


def _seconds(time: object, zone: object) -> float:
    text = str(time or "").strip("\0 ")
    for shift in (str(zone or "").strip("\0 "), "+00:00"):
        try:
            return max(0.0, datetime.strptime(text + shift, "%Y:%m:%d %H:%M:%S%z").timestamp())
        except (ValueError, OverflowError):
            continue
    return 0.0


def _quality(image: Image.Image) -> int:
    """The quality of the libjpeg scale whose luminance table adds up to the nearest sum; 0 where there is none."""
    tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", {})
    if not tables or len(tables[min(tables)]) != 64:
        return 0
    return int(np.abs(_sums() - sum(tables[min(tables)])).argmin()) + 1


@cache
def _sums() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(100,) sums of the luminance table at qualities 1 to 100."""
    scales = [5000 // quality if quality < 50 else 200 - 2 * quality for quality in range(1, 101)]
    return np.array([((_LUMINANCE * scale + 50) // 100).clip(1, 255).sum() for scale in scales])
