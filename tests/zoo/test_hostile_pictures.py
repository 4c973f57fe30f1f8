"""Files that are no pictures, or that try to cost more than a picture: refused with a sentence, at once."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.decode import encode_jpeg, read_picture
from zoo.errors import BadPicture
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store


def png(width: int, height: int, *, rows: int = 1, chunks: bytes = b"") -> bytes:
    """A gray PNG whose header claims ``width`` × ``height`` and whose data holds ``rows`` rows of black."""

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * (min(width, 1 << 20) + 1) * rows)
    parts = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def plain(kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (6400, 6400)])
def test_hostile_9_huge_dimensions_are_refused_before_decoding(size: tuple[int, int]) -> None:
    started = time.monotonic()
    with pytest.raises(BadPicture):
        read_picture(png(*size))
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("kind", ["webp", "gif", "bmp", "tiff", "ppm"])
def test_hostile_9_huge_dimensions_are_refused_in_other_formats(kind: str) -> None:
    big = 16_383
    out = io.BytesIO()
    Image.new("L", (16, 16)).save(out, kind.upper() if kind != "webp" else "PPM")
    content = bytearray(out.getvalue())
    match kind:
        case "webp":
            canvas = (big - 1).to_bytes(3, "little") * 2
            body = b"VP8X" + (10).to_bytes(4, "little") + b"\0\0\0\0" + canvas
            content = bytearray(b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body)
        case "gif":
            content[6:10] = struct.pack("<HH", big, big)
        case "bmp":
            content[18:26] = struct.pack("<ii", big, big)
        case "tiff":
            out = io.BytesIO()
            Image.new("1", (big, big)).save(out, "TIFF", compression="group4")
            content = bytearray(out.getvalue())
            assert len(content) < 100_000
        case "ppm":
            content = bytearray(b"P5 16383 16383 255\n" + b"\0" * 100)
    with pytest.raises(BadPicture, match="megapixels"):
        read_picture(bytes(content))


def test_hostile_9_headers_that_promise_more_than_there_is() -> None:
    with pytest.raises(BadPicture, match="promises"):
        read_picture(png(6000, 6000, rows=1))
    with pytest.raises(BadPicture, match="cut short"):
        read_picture(b"P5 3000 3000 255\n" + bytes(1000))


def test_hostile_9_headers_that_promise_less_than_there_is() -> None:
    assert read_picture(png(40, 30, rows=100_000)).shape == (30, 40, 3)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_hostile_10_text_that_unpacks_to_a_bomb(kind: bytes) -> None:
    packed = zlib.compress(b"\0" * (100 << 20), 9)
    body = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind] + packed
    started = time.monotonic()
    with pytest.raises(BadPicture, match=r"text|damaged"):
        read_picture(png(8, 8, rows=8, chunks=chunk(kind, body)))
    assert time.monotonic() - started < 2


def test_hostile_10_many_small_texts() -> None:
    packed = zlib.compress(b"\0" * (900 << 10), 9)
    many = b"".join(chunk(b"zTXt", b"k%d\0\0" % i + packed) for i in range(100))
    with pytest.raises(BadPicture, match="text"):
        read_picture(png(8, 8, rows=8, chunks=many))


HTML = b"<!DOCTYPE html><html><body><img src=x onerror=alert(1)></body></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(%pipe%touch owned) (w) file\nshowpage\n"
IMPOSTORS = {
    "empty": (b"", "empty"),
    "html": (HTML, "web page"),
    "svg": (SVG, "SVG"),
    "eps": (EPS, "PostScript"),
    "dos_eps": (b"\xc5\xd0\xd3\xc6" + bytes(26) + EPS, "PostScript"),
    "pdf": (b"%PDF-1.7\n", "PostScript or PDF"),
    "zip": (b"PK\x03\x04" + bytes(40), "archive"),
    "video": (b"\0\0\0\x18ftypisom" + bytes(40), "video"),
    "words": (b"these are words", "not a picture"),
    "zeros": (bytes(5000), "not a picture"),
    "jpeg_cut": (plain("JPEG")[:900], "cut short"),
    "png_cut": (plain("PNG")[:900], "cut short"),
    "webp_cut": (plain("WEBP")[:900], "damaged"),
    "avif_cut": (plain("AVIF")[:900], "damaged|cut short"),
    "jpeg_start": (b"\xff\xd8\xff\xe0", "damaged"),
    "png_start": (b"\x89PNG\r\n\x1a\n", "damaged"),
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_hostile_11_what_is_no_picture_is_called_by_its_name(name: str) -> None:
    content, said = IMPOSTORS[name]
    with pytest.raises(BadPicture, match=said) as caught:
        read_picture(content)
    assert caught.value.remedy


def test_hostile_11_impostors_are_listed_and_the_rest_goes_on(
    picture_folder: Callable[..., Path], store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 3)
    for name, (content, _) in IMPOSTORS.items():
        (top / "class_0" / f"{name}.jpg").write_bytes(content)
    dataset = intake(top, store, settings)
    assert len(dataset) == 6
    assert {one.path for one in dataset.skipped} == {f"class_0/{name}.jpg" for name in IMPOSTORS}
    assert all(one.corrupt and one.why for one in dataset.skipped)


def test_hostile_11_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(BadPicture, match="not a file"):
        read_picture(tmp_path / "pipe.jpg")


def test_hostile_13_a_single_pixel_is_a_picture_and_a_thread_is_not() -> None:
    assert read_picture(png(1, 1)).shape == (1, 1, 3)
    assert read_picture(png(300, 10, rows=10)).shape == (10, 300, 3)
    for size in ((20_000, 1), (1, 20_000), (310, 10)):
        with pytest.raises(BadPicture, match="strip"):
            read_picture(png(*size, rows=size[1]))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_hostile_14_heic_names_the_plugin_that_is_missing(brand: bytes) -> None:
    content = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(64)
    with pytest.raises(BadPicture, match="HEIC") as caught:
        read_picture(content)
    assert "pillow-heif" in str(caught.value)
    assert "JPEG" in caught.value.remedy


def test_hostile_15_a_polyglot_is_served_without_its_other_half() -> None:
    script = b"<script>alert(1)</script>"
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        polyglot = plain(kind) + script
        assert script not in encode_jpeg(read_picture(polyglot))
    commented = plain("JPEG")
    commented = commented[:2] + b"\xff\xfe" + struct.pack(">H", len(script) + 2) + script + commented[2:]
    served = encode_jpeg(read_picture(commented))
    assert script not in served
    assert served.startswith(b"\xff\xd8")
