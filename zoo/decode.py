"""One file's bytes become upright RGB pixels, by one rule for the whole studio, or a sentence about why not.

The rule: first frame or page; alpha laid on white; colour profiles ignored, as the training of every pretrained
backbone did; values deeper than 8 bits scaled by their range; turned as EXIF says.
"""

from __future__ import annotations

import importlib
import os
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from zoo.backbone import Picture
from zoo.errors import BadPicture
from zoo.facts import Facts, facts

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM")
SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib"))
SUFFIXES |= {".tif", ".tiff", ".webp", ".avif", ".avifs", ".ppm", ".pgm", ".pbm", ".pnm"}
MAX_PIXELS = 40_000_000
MAX_ASPECT = 30
MAX_BYTES = 640 << 20  # 40 megapixels of four 32-bit floats

_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # opening a FIFO would wait for ever

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])

warnings.filterwarnings("ignore", module=r"PIL\.")  # its remarks on odd files; what matters is raised here

# What Pillow's decoders are known to raise on damaged files; anything else is a bug, and shall be seen.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_REPLACE = "Replace it with a JPEG or PNG, or leave it out."
_BROKEN = ("It is damaged: its header cannot be read.", _REPLACE)
_HEIC = (
    "It is a HEIC photo, and the plugin that reads those (pillow-heif) is not installed.",
    "Save it as JPEG, or install pillow-heif and start again.",
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels, perhaps shrunk, also as Pillow has them; the upright original's size; what its file tells besides."""

    pixels: Picture
    image: Image.Image
    width: int
    height: int
    facts: Facts


def read_picture(source: Path | bytes, side: int | None = None) -> Picture:
    """Upright RGB pixels of ``source``, (H, W, 3), its shorter side at most ``side``.

    Raises:
        BadPicture: it is not a picture that can be shown; the message says why.
    """
    return decode(source, side).pixels


def decode(source: Path | bytes, side: int | None = None) -> Decoded:
    """As ``read_picture``, and the original's size.

    Raises:
        BadPicture: it is not a picture that can be shown; the message says why.
    """
    content = source if isinstance(source, bytes) else read_file(source)
    image, mode, (width, height) = _loaded(content, side)
    turn = _turn(image)
    told = _facts(image, mode, turn)
    rgb = _rgb(image)
    if side is not None and min(rgb.size) > side:
        rgb = _shrunk(rgb, side)
    if turn is not None:
        rgb = rgb.transpose(turn)
    if turn in _SIDEWAYS:
        width, height = height, width
    return Decoded(np.asarray(rgb), rgb, width, height, told)


def read_file(path: Path) -> bytes:
    """The bytes of an ordinary file that is not too long for a picture.

    Raises:
        BadPicture: it cannot be read, is no file, or is too long.
    """
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> BinaryIO:
    """``path``, open for reading.

    Raises:
        BadPicture: it cannot be opened, is no file, or is too long for a picture.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOT_WAITING)
    except (OSError, ValueError) as error:
        raise BadPicture(f"{path.name[:80]!r} cannot be opened: {_reason(error)}.", "Check that it is there.") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise BadPicture(f"{path.name[:80]!r} is not a file.", _REPLACE)
    if found.st_size > MAX_BYTES:
        os.close(descriptor)
        raise BadPicture(f"The file has {found.st_size >> 20} MiB.", f"Give pictures below {MAX_BYTES >> 20} MiB.")
    return os.fdopen(descriptor, "rb")


def shrink(picture: Picture, side: int) -> Picture:
    """``picture`` with its shorter side at most ``side``, antialiased; itself where it is small already."""
    if min(picture.shape[:2]) <= side:
        return picture
    return np.asarray(_shrunk(Image.fromarray(picture), side))


def encode_jpeg(picture: Picture, quality: int = 90) -> bytes:
    """A JPEG of the pixels alone: whatever else the original's bytes were, they are not in it."""
    out = BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


def thumbnail_jpeg(picture: Picture, side: int = 256) -> bytes:
    """A small JPEG, its longer side at most ``side``."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side))
    return encode_jpeg(np.asarray(image), quality=85)


def _loaded(content: bytes, side: int | None) -> tuple[Image.Image, str, tuple[int, int]]:
    """The decoded picture as stored, its colour mode, its full size; smaller already where ``side`` allows that."""
    if not content:
        raise BadPicture("The file is empty.", _REPLACE)
    _check_webp(content[:32])
    try:
        image = Image.open(BytesIO(content), formats=_formats())
        width, height = image.size
        mode = image.mode
        _check_size(width, height)
        if image.format == "PNG" and width * height > 8 * 1032 * len(content):  # deflate packs 1032 to 1 at most
            raise BadPicture(f"Its header promises {width}×{height} pixels that are not in it.", _REPLACE)
        if side is not None and min(width, height) >= 4 * side:
            # The JPEG decoder can skip what would be averaged away; twice the size wanted is left for antialiasing.
            scale = 2 * side / min(width, height)
            image.draft(None, (round(width * scale), round(height * scale)))
        image.load()
    except UnidentifiedImageError:
        raise BadPicture(*_diagnosis(content[:4096])) from None
    except _BOMB:
        raise BadPicture(
            f"It measures far more than {MAX_PIXELS // 1_000_000} megapixels.", "Make it smaller."
        ) from None
    except MemoryError:
        raise BadPicture("Decoding it would take too much memory.", "Make it smaller, or leave it out.") from None
    except _DAMAGE as error:
        raise BadPicture(_damage(str(error)), _REPLACE) from None
    return image, mode, (width, height)


def _facts(image: Image.Image, mode: str, turn: Image.Transpose | None) -> Facts:
    try:
        return facts(image, mode, turn is not None)
    except _DAMAGE:  # of a damaged EXIF block nothing is believed
        return facts(image, mode, turn is not None, timed=False)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return Image.fromarray(_by_range(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        raise BadPicture("Its colours are stored as LAB, which is not read here.", "Save it as RGB.")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _by_range(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """8-bit values of deeper ones, never clipped.

    The range is 0 to the smallest usual top (1, or all ones in 8, 10, 12, 14 or 16 bits) that holds the brightest
    pixel, because cameras of 12 bits write files of 16. Where none does, it is the picture's own, darkest to brightest.
    """
    real = values.astype(np.float32)
    finite = np.isfinite(real)
    low, high = (float(real[finite].min()), float(real[finite].max())) if finite.any() else (0.0, 0.0)
    real = np.clip(np.nan_to_num(real, nan=low, posinf=high, neginf=low), low, high)
    tops = [top for top in (1, 255, 1023, 4095, 16383, 65535) if low >= 0 and high <= top]
    if tops:
        low, high = 0.0, float(tops[0])
    scaled: NDArray[np.float32] = (real - low) * np.float32(255 / max(high - low, 1e-30))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scale = side / min(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGE:  # unreadable EXIF says nothing about which side is up
        return None


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise BadPicture(f"It measures {width}×{height} pixels.", _REPLACE)
    if width * height > MAX_PIXELS:
        raise BadPicture(
            f"It measures {width}×{height} pixels, {width * height / 1e6:.0f} megapixels.",
            f"Make it smaller than {MAX_PIXELS // 1_000_000} megapixels.",
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(
            f"It measures {width}×{height} pixels, a strip more than {MAX_ASPECT} times as long as it is wide.",
            "Cut it into pieces that show something.",
        )


def _check_webp(start: bytes) -> None:
    """Pillow sets a WebP's canvas up before it says how large it is, so its header is read here first."""
    if start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and len(start) >= 30:
        _check_size(1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little"))


def prepare() -> None:
    """Import now what decoding would import when it first meets a format."""
    for kind in ("Jpeg", "Mpo", "Png", "Gif", "Bmp", "Tiff", "WebP", "Avif", "Ppm"):
        importlib.import_module(f"PIL.{kind}ImagePlugin")
    _formats()


@cache
def _formats() -> tuple[str, ...]:
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def _diagnosis(start: bytes) -> tuple[str, str]:
    """What a file that no decoder takes is instead, and the remedy."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    box = start[8:64] if start[4:8] == b"ftyp" else b""
    kinds = {
        ("It is a web page under a picture's name.", "Download the picture itself again."): b"<html" in text
        or text.startswith(b"<!doctype html"),
        ("It is an SVG drawing.", "Save it as PNG."): b"<svg" in text,
        ("It is a PostScript or PDF document.", "Save it as PNG."): start.startswith(
            (b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF")
        ),
        _BROKEN: start.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM"))
        or b"avif" in box,
        _HEIC: any(brand in box for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
        ("It is an archive under a picture's name.", "Unpack it first."): start.startswith(
            (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")
        ),
        ("It is a video.", "Save single frames of it as pictures."): bool(box) or start.startswith(b"\x1aE\xdf\xa3"),
    }
    nothing_known = ("It is not a picture in a format that is read here.", "Save it as JPEG or PNG.")
    return next((kind for kind, fits in kinds.items() if fits), nothing_known)


def _damage(message: str) -> str:
    if "truncated" in message or "Truncated" in message or "not enough image data" in message:
        return "It is cut short."
    if "too large" in message or "MAX_TEXT" in message:
        return "It hides far more data in its text than a picture would."
    return "It is damaged."


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "its name cannot be used"
