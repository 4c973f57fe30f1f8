"""Bytes bent at random: whatever comes in, the answer is a picture, a dataset's members, or a sentence."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.archive import unpack
from zoo.decode import MAX_PIXELS, decode, read_picture
from zoo.errors import BadPicture, BadUpload, StudioError
from zoo.layout import arrange, junk
from zoo.names import LONGEST, clean

KINDS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"]
bends = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
# The same examples each time, so that a person's change is what breaks it; raise the number to look for more.
quick = settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def picture(kind: str, mode: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    exif: Any = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    Image.fromarray(noise).convert(mode).save(out, kind, **options)
    return out.getvalue()


def bent(content: bytes, changes: list[tuple[int, bytes]], keep: int) -> bytes:
    changed = bytearray(content)
    for place, new in changes:
        at = place % len(changed)
        changed[at : at + len(new)] = new
    return bytes(changed[: max(1, len(changed) * keep // 100)])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@quick
@given(changes=bends, keep=st.integers(50, 100), mode=st.sampled_from(["RGB", "L", "P", "1"]))
def test_a_bent_picture_is_a_picture_or_a_sentence(
    kind: str, changes: list[tuple[int, bytes]], keep: int, mode: str
) -> None:
    mode = "RGB" if kind in ("JPEG", "AVIF", "WEBP", "PPM") else mode
    try:
        found = read_picture(bent(picture(kind, mode), changes, keep), side=64)
    except BadPicture as bad:
        check_sentence(bad)
    else:
        assert found.dtype == np.uint8
        assert found.shape[2] == 3
        assert found.size <= MAX_PIXELS * 3


@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_a_sentence(content: bytes) -> None:
    try:
        assert read_picture(content).ndim == 3
    except BadPicture as bad:
        check_sentence(bad)


def check_sentence(bad: StudioError) -> None:
    assert bad.problem.endswith(".")
    assert bad.remedy.endswith(".")


def packed(kind: str) -> bytes:
    out = io.BytesIO()
    members = {f"pets/{label}/{i}.png": bytes(range(200)) * (i + 1) for label in ("cat", "dog") for i in range(3)}
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz" if kind == "tar.gz" else "w") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@quick
@given(changes=bends, keep=st.integers(50, 100))
def test_a_bent_archive_is_read_or_refused_and_writes_only_numbers(
    kind: str, changes: list[tuple[int, bytes]], keep: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "into"
        into.mkdir()
        (Path(folder) / "a.bin").write_bytes(bent(packed(kind), changes, keep))
        try:
            members = list(unpack(Path(folder) / "a.bin", into, 1 << 24, 50))
        except BadUpload as bad:
            check_sentence(bad)
        else:
            assert all(member.file.isdigit() or member.why for member in members)
        assert all(path.name.isdigit() and path.is_file() for path in into.iterdir())
        assert sorted(path.name for path in Path(folder).iterdir()) == ["a.bin", "into"]


@quick
@given(changes=bends)
def test_a_zip_whose_directory_lies_is_read_or_refused(changes: list[tuple[int, bytes]]) -> None:
    """Bent only where names, sizes, offsets and flags stand, where a reader believes most."""
    content = packed("zip")
    start = content.index(b"PK\x01\x02")
    with tempfile.TemporaryDirectory() as folder:
        try:
            members = list(
                unpack(io.BytesIO(content[:start] + bent(content[start:], changes, 100)), Path(folder), 1 << 24, 50)
            )
        except BadUpload as bad:
            check_sentence(bad)
        else:
            assert all(member.file.isdigit() or member.why for member in members)
        assert all(path.name.isdigit() and path.stat().st_size <= 1 << 24 for path in Path(folder).iterdir())


@pytest.mark.filterwarnings("ignore::UserWarning")
@quick
@given(block=st.binary(max_size=200), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
@example(
    block=b"MM\0*\0\0\0\x08\0\x01\x87i\0\x04\0\0\0\x01\0\0\0\x08", kind="JPEG"
)  # an EXIF block that contains itself
def test_any_exif_block_leaves_the_picture_readable(block: bytes, kind: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(out, kind, exif=b"Exif\0\0" + block)
    try:
        found = decode(out.getvalue(), 8)
    except BadPicture as bad:
        check_sentence(bad)
    else:
        assert 0 <= found.facts.taken < 1e11
        assert 0 <= found.facts.quality <= 100


@quick
@given(st.text(max_size=300))
@example("\u202e\u200b\ufeff")
@example("\0\n\r\t")
def test_any_name_becomes_one_visible_line(name: str) -> None:
    shown = clean(name)
    assert len(shown) <= LONGEST
    assert shown.isprintable() or not shown.isascii()
    assert not set(shown) & set("\0\n\r\t\u202e\u200b\u2028\ufeff")
    assert clean(shown) == shown


parts = st.sampled_from(["cat", "dog", "train", "test", "val", "a", "__MACOSX", ".hidden", "1.png", "2.jpg", "3.txt"])
paths = st.lists(st.lists(parts, min_size=1, max_size=4).map(lambda p: PurePosixPath(*p)), max_size=12)


@quick
@given(paths)
def test_every_path_gets_a_class_or_a_reason(found: list[PurePosixPath]) -> None:
    candidates = [path for path in found if junk(path) is None]
    placed, skipped = arrange([str(path) for path in candidates])
    assert len(placed) + len(skipped) == len(candidates)
    assert {one.given for one in placed} <= {"", "train", "val", "test"}
    assert all(one.label in candidates[one.index].parts for one in placed)


@pytest.mark.slow
def test_what_a_coverage_guided_fuzzer_makes_of_good_files_is_read_or_refused(tmp_path: Path) -> None:
    """Seconds here; for longer hunts see ``fuzz_child.py``."""
    pytest.importorskip("atheris", reason="atheris is not installed: pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.jpg", b"x" * 30)
    good = {b"\0": (tmp_path / "z").read_bytes(), b"\x60": b"image,label,split\na.jpg,cat,train\nb.jpg,dog,test\n"}
    image = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 200, 3)).save(image, "PNG")
    for kind, content in (good | {b"\xff": image.getvalue()}).items():
        (corpus / kind.hex()).write_bytes(kind + content)
    # What it takes for its peak of memory is inherited from whoever started it: single allocations are bounded instead.
    memory = ["-rss_limit_mb=0", "-malloc_limit_mb=1024"]
    limits = ["-runs=3000", "-max_total_time=6", "-max_len=4096", f"-artifact_prefix={tmp_path}/", *memory]
    command = [sys.executable, str(Path(__file__).parent / "fuzz_child.py"), str(corpus), *limits]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
