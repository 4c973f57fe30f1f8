"""Pictures come out upright, in RGB, with the right values, whatever form they had."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from zoo.decode import decode, encode_jpeg, read_picture, shrink, thumbnail_jpeg
from zoo.errors import BadPicture

RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))  # (16, 256), dark to bright
HALVES = np.zeros((40, 60, 3), dtype=np.uint8)  # red on the left, blue on the right, green on top
HALVES[:, :30, 0] = 255
HALVES[:, 30:, 2] = 255
HALVES[:10] = (0, 255, 0)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def near(picture: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], most: float = 1) -> bool:
    return picture.shape == wanted.shape and bool((np.abs(picture.astype(int) - wanted).max()) <= most)


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 6),
        ("JPEG", {"quality": 100, "subsampling": 0}, 6),
        ("GIF", {}, 0),
    ],
)
def test_every_format_gives_the_pixels_it_was_made_of(kind: str, options: dict[str, Any], most: int) -> None:
    """Hostile 14, for the formats that are taken."""
    assert near(read_picture(saved(Image.fromarray(HALVES), kind, **options)), HALVES, most)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_exif_says(turn: int, kind: str) -> None:
    """Hostile 12. The stored pixels are made so that turning them gives HALVES back."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that undoes each orientation
    stored = Image.fromarray(HALVES)
    if turn > 1:
        stored = stored.transpose(Image.Transpose(undo[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = decode(saved(stored, kind, exif=exif, **options))
    assert near(found.pixels, HALVES, 6)
    assert (found.width, found.height) == (60, 40)


def test_a_turned_picture_is_turned_after_shrinking_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(HALVES).transpose(Image.Transpose.ROTATE_90)
    found = decode(saved(stored, "PNG", exif=exif), side=20)
    assert found.pixels.shape == (20, 30, 3)
    assert (found.width, found.height) == (60, 40)


def test_alpha_is_laid_on_white() -> None:
    """Hostile 12: alpha in RGBA, LA, palette and tRNS form."""
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert near(read_picture(saved(clear, "PNG")), np.full((8, 8, 3), 255))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert near(read_picture(saved(half, "PNG")), np.full((8, 8, 3), 127))
    gray = Image.new("LA", (8, 8), (0, 0))
    assert near(read_picture(saved(gray, "PNG")), np.full((8, 8, 3), 255))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert near(read_picture(saved(palette, "PNG", transparency=0)), np.full((8, 8, 3), 255))
    assert near(read_picture(saved(palette, "GIF", transparency=0)), np.full((8, 8, 3), 255))
    keyed = Image.new("RGB", (8, 8), (1, 2, 3))
    assert near(read_picture(saved(keyed, "PNG", transparency=(1, 2, 3))), np.full((8, 8, 3), 255))


def test_a_palette_and_one_bit_become_their_colours() -> None:
    """Hostile 12."""
    palette = Image.new("P", (8, 8), 7)
    palette.putpalette([v for i in range(256) for v in (i, 100, 255 - i)])
    assert near(read_picture(saved(palette, "PNG")), np.broadcast_to((7, 100, 248), (8, 8, 3)))
    bits = Image.fromarray(RAMP > 127)
    assert bits.mode == "1"
    assert near(read_picture(saved(bits, "PNG")), np.repeat((RAMP > 127)[..., None] * 255, 3, axis=2))


def test_cmyk_is_not_inverted() -> None:
    """Hostile 12: both as TIFF and as the inverted JPEG that Adobe writes."""
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    for kind in ("TIFF", "JPEG"):
        assert near(read_picture(saved(cyan, kind)), np.broadcast_to((0, 255, 255), (16, 16, 3)), 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    """Hostile 12: a plain conversion would turn all but the darkest 1/256 white."""
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert near(read_picture(saved(deep, kind)), np.repeat(RAMP[..., None], 3, axis=2))


def test_twelve_bits_in_a_file_of_sixteen_are_not_black() -> None:
    deep = Image.fromarray((RAMP.astype(np.float64) / 255 * 4095).round().astype(np.uint16))
    assert near(read_picture(saved(deep, "TIFF")), np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-7.5, 3.25), (0.0, 1e6)])
def test_floats_are_scaled_by_their_range(low: float, high: float) -> None:
    """Hostile 12: a plain conversion would turn 0…1 black."""
    values = (RAMP / 255 * (high - low) + low).astype(np.float32)
    assert near(read_picture(saved(Image.fromarray(values), "TIFF")), np.repeat(RAMP[..., None], 3, axis=2))


def test_floats_that_are_no_numbers_spoil_only_themselves() -> None:
    values = (RAMP / 255).astype(np.float32)
    values[0, :3] = (np.nan, np.inf, -np.inf)
    picture = read_picture(saved(Image.fromarray(values), "TIFF"))
    assert picture[0, :3, 0].tolist() == [0, 255, 0]
    assert near(picture[1:], np.repeat(RAMP[1:, :, None], 3, axis=2))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_of_several_frames_or_pages_the_first_is_taken(kind: str) -> None:
    """Hostile 12."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    picture = read_picture(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert near(picture, np.broadcast_to((255, 0, 0), (16, 16, 3)), 8)


@pytest.mark.parametrize("profile", [b"no profile at all", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))])
def test_colour_profiles_change_nothing_broken_or_not(profile: Any) -> None:
    """Hostile 12."""
    content = profile if isinstance(profile, bytes) else profile.tobytes()
    assert near(read_picture(saved(Image.fromarray(HALVES), "PNG", icc_profile=content)), HALVES, 0)


def test_shrinking_brings_the_shorter_side_to_the_side_wanted() -> None:
    assert shrink(np.zeros((300, 400, 3), np.uint8), 100).shape == (100, 133, 3)
    assert shrink(np.zeros((400, 300, 3), np.uint8), 100).shape == (133, 100, 3)
    small = np.zeros((90, 400, 3), np.uint8)
    assert shrink(small, 100) is small


def test_shrinking_averages_instead_of_skipping() -> None:
    checks = np.indices((400, 400)).sum(axis=0) % 2 * 255
    picture = shrink(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), 50)
    assert 120 <= picture.min() <= picture.max() <= 135


def test_a_large_jpeg_decoded_small_is_the_picture_that_shrinking_gives() -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((1600, 1200), Image.Resampling.BICUBIC)
    content = saved(smooth, "JPEG", quality=95)
    fast, slow = read_picture(content, side=150), shrink(read_picture(content), 150)
    assert fast.shape == slow.shape == (150, 200, 3)
    assert np.abs(fast.astype(int) - slow).mean() < 1.5
    assert (decode(content, side=150).width, decode(content, side=150).height) == (1600, 1200)


def test_thumbnails_are_small_jpegs() -> None:
    with Image.open(io.BytesIO(thumbnail_jpeg(np.zeros((300, 600, 3), np.uint8), 100))) as image:
        assert (image.format, image.size) == ("JPEG", (100, 50))
    with Image.open(io.BytesIO(encode_jpeg(HALVES, 95))) as image:
        assert image.size == (60, 40)


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "halves.png"
    path.write_bytes(saved(Image.fromarray(HALVES), "PNG"))
    assert (read_picture(path) == read_picture(path.read_bytes())).all()


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="cannot be opened"):
        read_picture(tmp_path / "nowhere.png")
