"""The child in which strangers' bytes are read: what it gave up, what it still can, and that it ends when told."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.answers import Reading
from zoo.decode import Decoded, decode
from zoo.errors import BadPicture, Cancelled
from zoo.outcomes import Outcomes
from zoo.sandbox import Sandbox

PictureFolder = Callable[..., Path]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems let a process give up less")

SPY = """
import atexit, ctypes, json, os, socket
import zoo.confine
confine = zoo.confine.confine
def tried(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"
def spied(room):
    report = os.open(REPORT, os.O_WRONLY | os.O_CREAT)
    confine(room)
    os.write(report, json.dumps({
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "connect": tried(lambda: socket.create_connection(("127.0.0.1", PORT), 2)),
        "secret": tried(lambda: open(SECRET).close()),
        "public": tried(lambda: open("/etc/passwd").close()),
        "write": tried(lambda: open("/tmp/owned", "w").close()),
        "folder": tried(lambda: os.listdir("/")),
        "no_new_rights": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),
    }).encode())
zoo.confine.confine = spied
"""


@pytest.fixture
def spied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture_folder: PictureFolder) -> dict[str, Any]:
    """What a real child could do once it was confined; the test's process listens on a real port meanwhile."""
    import json
    import socket

    (tmp_path / "secret").write_text("mine")
    (tmp_path / "secret").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {
            "REPORT": str(tmp_path / "report"),
            "SECRET": str(tmp_path / "secret"),
            "PORT": server.getsockname()[1],
        }
        (tmp_path / "site").mkdir()
        code = "\n".join(f"{name} = {value!r}" for name, value in facts.items()) + textwrap.dedent(SPY)
        (tmp_path / "site" / "sitecustomize.py").write_text(code)
        monkeypatch.setattr(
            "zoo.sandbox.child_environment", lambda **more: {"PYTHONPATH": f"{tmp_path}/site:{more['PYTHONPATH']}"}
        )
        with Sandbox(threads=1) as sandbox:
            files = sorted(picture_folder(1, 2).rglob("*.png"))
            readings = sandbox.decode(files, tmp_path / "pixels", 320, lambda *_: None)
    assert all(isinstance(reading, Reading) for reading in readings)
    found: dict[str, Any] = json.loads((tmp_path / "report").read_text())
    return found


@LINUX
def test_the_child_is_nobody_without_network_or_new_rights(spied: dict[str, Any]) -> None:
    if os.geteuid() == 0:
        assert spied["uid"] == 65534
        assert spied["groups"] == []
        assert spied["secret"] != "done"
    assert spied["no_new_rights"] == 1
    assert spied["connect"] != "done" or not has_landlock()
    assert spied["write"] != "done" or not has_landlock()


@LINUX
def test_the_child_opens_no_file_of_its_own(spied: dict[str, Any]) -> None:
    if not has_landlock():
        pytest.skip("this kernel has no Landlock: NOT tested here")
    assert [spied[what] for what in ("secret", "public", "write", "folder")] == ["PermissionError"] * 4


def has_landlock() -> bool:
    import ctypes

    return bool(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 1)


def stored(kind: str, mode: str, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 4), np.uint8)
    image = Image.fromarray(pixels) if mode == "RGBA" else Image.fromarray(pixels[..., :3]).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "GIF": ("RGB", "L", "P", "RGBA"),
    "BMP": ("RGB", "L", "P", "1"),
    "TIFF": ("RGB", "RGBA", "L", "P", "1", "I;16", "F", "CMYK", "YCbCr", "LAB"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "PPM": ("RGB", "L", "1"),
    "MPO": ("RGB",),
}


def as_here(content: bytes) -> Decoded | BadPicture:
    try:
        return decode(content, 32)
    except BadPicture as bad:
        return bad


def test_the_confined_child_reads_every_format_as_this_process_does(tmp_path: Path) -> None:
    """A decoder that needed a file, a module or a codec that it no longer may open would differ."""
    exif: Any = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[36867] = "2021:05:03 10:11:12"
    contents = [stored(kind, mode) for kind, modes in MODES.items() for mode in modes]
    contents += [stored(kind, "RGB", exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")]
    contents += [b"", b"<html>", b"\xff\xd8\xff", b"\0\0\0\x18ftypheic" + bytes(40), stored("PNG", "RGB")[:200]]
    contents += [stored("PNG", "RGB")[:33] + b"\0\0\0\x05iTXt\xff\xfe\xff\0\0bad!" + stored("PNG", "RGB")[33:]]
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / str(number))
        files[-1].write_bytes(content)
    with Sandbox(threads=2) as sandbox:
        readings = sandbox.decode(files, tmp_path / "pixels", 32, lambda *_: None)
    pixels = (tmp_path / "pixels").read_bytes()
    for content, reading in zip(contents, readings, strict=True):
        wanted = as_here(content)
        if isinstance(wanted, BadPicture):
            assert str(reading) == str(wanted)
            continue
        assert isinstance(reading, Reading), reading
        offset, height, width = reading.span
        assert pixels[offset : offset + height * width * 3] == wanted.pixels.tobytes()
        assert reading.facts == wanted.facts


def test_files_that_cannot_be_opened_are_told_apart_from_damaged_ones(
    picture_folder: PictureFolder, tmp_path: Path
) -> None:
    files = sorted(picture_folder(1, 3).rglob("*.png"))
    files[1].unlink()
    os.mkfifo(files[1])
    files.insert(2, tmp_path / "gone.png")
    with Sandbox(threads=2) as sandbox:
        one, pipe, gone, other = sandbox.decode(files, tmp_path / "pixels", 32, lambda *_: None)
    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert "not a file" in str(pipe)
    assert "cannot be opened" in str(gone)


def test_what_is_known_is_not_decoded_and_what_is_new_is_kept(picture_folder: PictureFolder, tmp_path: Path) -> None:
    files = sorted(picture_folder(1, 4).rglob("*.png"))
    kept: dict[int, Reading | BadPicture] = {}
    with Sandbox(threads=1) as sandbox:
        first = sandbox.decode(files[:2], tmp_path / "pixels", 32, lambda *_: None)
        files[0].unlink()
        known = Outcomes(4)
        for index, outcome in enumerate(first):
            known[index] = outcome
        both = sandbox.decode(files, tmp_path / "pixels", 32, lambda *_: None, known, kept.__setitem__)
    assert both[:2] == first[:]
    assert kept == {2: both[2], 3: both[3]}


def test_a_callback_that_raises_ends_the_work_and_the_child(picture_folder: PictureFolder, tmp_path: Path) -> None:
    files = sorted(picture_folder(1, 6).rglob("*.png"))
    processes = []

    def told(_stage: str, done: int, _total: int) -> None:
        processes.append(sandbox._process)
        if done == 3:
            raise Cancelled

    with Sandbox(threads=2) as sandbox:
        with pytest.raises(Cancelled):
            sandbox.decode(files, tmp_path / "pixels", 32, told)
        assert processes[0] is not None
        assert processes[0].poll() is not None
        again = sandbox.decode(files, tmp_path / "pixels", 32, lambda *_: None)  # a new child does the next job
    assert all(isinstance(reading, Reading) for reading in again)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("handing")]


@LINUX
def test_a_child_that_is_silent_can_be_cancelled_all_the_same(
    picture_folder: PictureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child sleeps in the middle of a picture; the person need not wait until it counts as stuck."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import hashlib, time\nsha256 = hashlib.sha256\n"
        "def slow(content=b''):\n    time.sleep(3600)\n    return sha256(content)\nhashlib.sha256 = slow\n"
    )
    monkeypatch.setattr(
        "zoo.sandbox.child_environment", lambda **more: {"PYTHONPATH": f"{tmp_path}/site:{more['PYTHONPATH']}"}
    )
    monkeypatch.setattr("zoo.sandbox.PATIENCE", 3600.0)

    def told(*_: object) -> None:
        raise Cancelled

    with Sandbox(threads=1) as sandbox, pytest.raises(Cancelled):
        sandbox.decode(sorted(picture_folder(1, 1).rglob("*.png")), tmp_path / "pixels", 32, told)
