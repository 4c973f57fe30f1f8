"""Archives from strangers: refused with a sentence where they lie, the harmless rest read, nothing written outside."""

from __future__ import annotations

import io
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.archive import Member, unpack
from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

Intake = Callable[[Path], Dataset]


def picture(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


GOOD = {f"pets/{label}/{i}.png": picture(10 * j + i) for j, label in enumerate(("cat", "dog")) for i in range(3)}


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], *more: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return path


@pytest.fixture
def take(store: Store, settings: Settings) -> Intake:
    """Intake that leaves nothing of a refused archive behind."""

    def taken(path: Path) -> Dataset:
        before = list(store.datasets.iterdir()) + list(store.pictures.iterdir())
        try:
            return intake(path, store, settings)
        except BadUpload:
            assert list(store.datasets.iterdir()) + list(store.pictures.iterdir()) == before
            raise

    return taken


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_honest_archive_is_read(kind: str, tmp_path: Path, take: Intake) -> None:
    path = tmp_path / f"pets.{kind}"
    dataset = take(zipped(path, GOOD) if kind == "zip" else tarred(path, GOOD, mode="w:gz" if "gz" in kind else "w"))
    assert dataset.counts == {"cat": 3, "dog": 3}
    assert dataset.title == "pets"
    assert sorted((dataset.root / item.file).read_bytes() for item in dataset.items) == sorted(GOOD.values())


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_hostile_1_a_compression_bomb_is_stopped_by_its_ratio(kind: str, tmp_path: Path, take: Intake) -> None:
    bomb = GOOD | {"pets/cat/bomb.bmp": bytes(300 << 20)}
    path = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        zipped(path, bomb)
    else:
        tarred(path, bomb)
    assert path.stat().st_size < 1 << 20
    started = time.monotonic()
    with pytest.raises(BadUpload, match="bomb"):
        take(path)
    assert time.monotonic() - started < 5


def test_hostile_1_bytes_are_counted_and_not_believed(tmp_path: Path) -> None:
    """Members that stay below every ratio add up to more than is allowed."""
    noise = np.random.default_rng(0).bytes(1 << 20)
    path = zipped(tmp_path / "large.zip", {f"a/{i}.png": noise for i in range(8)})
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(BadUpload, match="GiB"):
        list(unpack(path, into, 5 << 20, 100))
    assert sum(file.stat().st_size for file in into.iterdir()) <= 5 << 20


def test_hostile_1_a_header_that_lies_about_its_size(tmp_path: Path, take: Intake) -> None:
    """A declared size below the true one cannot smuggle bytes in: the member is damaged and the rest is kept."""
    path = zipped(tmp_path / "liar.zip", GOOD | {"pets/cat/liar.png": picture(99) * 50})
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(content)
    dataset = take(path)
    assert len(dataset) == 6
    assert [one.path for one in dataset.skipped] == ["pets/cat/liar.png"]


def test_hostile_2_overlapping_entries_are_refused(tmp_path: Path, take: Intake) -> None:
    """Fifield 2019, "A better zip bomb": many directory entries, one body."""
    body = zlib.compress(bytes(1 << 20))[2:-4]
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(body), 1 << 20, 5, 0) + b"a/0.p" + body
    entries = b""
    for i in range(500):
        name = b"a/%03d.png" % i
        crc = zlib.crc32(bytes(1 << 20))
        entries += struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, crc, len(body), 1 << 20, len(name), 0, 0, 0, 0, 0, 0
        )
        entries += name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 500, 500, len(entries), len(local), 0)
    (tmp_path / "overlap.zip").write_bytes(local + entries + end)
    with pytest.raises(BadUpload, match="overlap"):
        take(tmp_path / "overlap.zip")


def test_hostile_2_entries_that_run_into_the_directory_are_refused(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "long.zip", GOOD)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 20 : at + 24] = struct.pack("<I", 1 << 20)
    path.write_bytes(content)
    with pytest.raises(BadUpload, match=r"overlap|damaged"):
        take(path)


LEADING_OUT = [
    "../evil.png",
    "a/../../evil.png",
    "/etc/evil.png",
    "..\\evil.png",
    "C:\\evil.png",
    "c:/evil.png",
    "\\x\\e.png",
]


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_hostile_3_names_that_lead_out_are_refused(name: str, kind: str, tmp_path: Path, take: Intake) -> None:
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    path = folder / f"evil.{kind}"
    members = GOOD | {name: picture(5)}
    if kind == "zip":
        zipped(path, members)
    else:
        tarred(path, members)
    with pytest.raises(BadUpload, match="leads out"):
        take(path)
    assert not list(tmp_path.rglob("evil.png"))


def test_hostile_3_a_name_with_a_nul_is_refused(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "nul.zip", GOOD | {"pets/cat/a0.png": picture(5)})
    path.write_bytes(path.read_bytes().replace(b"pets/cat/a0.png", b"pets/cat/a\0.png"))
    with pytest.raises(BadUpload, match="leads out"):
        take(path)


def test_backslashes_of_older_windows_packers_are_separators(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "windows.zip", {name.replace("/", "\\"): content for name, content in GOOD.items()})
    assert take(path).counts == {"cat": 3, "dog": 3}


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_hostile_4_a_zip_with_a_link_or_device_is_refused_whole(mode: int, tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "link.zip", GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("pets/cat/link.png")
        info.create_system = 3
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BadUpload, match="link or a device"):
        take(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_hostile_4_a_tar_with_a_link_or_device_is_refused_whole(kind: bytes, tmp_path: Path, take: Intake) -> None:
    info = tarfile.TarInfo("pets/cat/link.png")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(BadUpload, match="link or a device"):
        take(tarred(tmp_path / "link.tar.gz", GOOD, info))


def test_hostile_5_too_many_entries_are_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "many.zip", {f"a/{i}.png": b"" for i in range(300)})
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(BadUpload, match="more than 299"):
        list(unpack(path, into, 1 << 30, 299))
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x05\x06")
    content[at + 8 : at + 12] = struct.pack("<HH", 1, 1)  # a count that lies does not help
    path.write_bytes(content)
    with pytest.raises(BadUpload, match="more than 299"):
        list(unpack(path, into, 1 << 30, 299))
    with pytest.raises(BadUpload, match="more than 299"):
        list(unpack(tarred(tmp_path / "many.tar", {f"a/{i}": b"" for i in range(300)}, mode="w"), into, 1 << 30, 299))


def test_hostile_5_a_million_entries_cost_no_time(tmp_path: Path, take: Intake) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) * 1_200_000, 4, 0)
    (tmp_path / "million.zip").write_bytes(b"PK\x03\x04" + entry * 1_200_000 + end)
    started = time.monotonic()
    with pytest.raises(BadUpload, match="more than"):
        take(tmp_path / "million.zip")
    assert time.monotonic() - started < 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["pets/cat/0.png", "pets/CAT/0.png", "./pets//cat/0.png", "pets\\cat\\0.png"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_hostile_6_names_that_collide_are_refused(twin: str, kind: str, tmp_path: Path, take: Intake) -> None:
    path = tmp_path / f"twins.{kind}"
    if kind == "zip":
        zipped(path, GOOD)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(twin, picture(77))
    else:
        info = tarfile.TarInfo(twin)
        tarred(path, GOOD, info)
    with pytest.raises(BadUpload, match="twice"):
        take(path)


def test_hostile_6_names_that_differ_in_their_accents_form_collide(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "forms.zip", {"caf\u00e9/0.png": picture(), "cafe\u0301/0.png": picture(1)})
    with pytest.raises(BadUpload, match="twice"):
        take(path)


def test_hostile_7_an_encrypted_archive_says_so(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "secret.zip", GOOD)
    content = bytearray(path.read_bytes())
    for at in [i for i in range(len(content)) if content[i : i + 4] == b"PK\x01\x02"]:
        content[at + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BadUpload, match="encrypted") as caught:
        take(path)
    assert "password" in caught.value.remedy


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_hostile_7_a_truncated_archive_says_so(kind: str, share: float, tmp_path: Path, take: Intake) -> None:
    path = tmp_path / f"whole.{kind}"
    if kind == "zip":
        zipped(path, GOOD)
    else:
        tarred(path, GOOD, mode="w:gz" if "gz" in kind else "w")
        share = min(share, 0.6)  # 0.6 is where a member begins; further on is padding that nobody misses
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BadUpload, match="cut short"):
        take(path)


def test_hostile_7_a_member_that_is_damaged_is_listed_and_the_rest_goes_on(tmp_path: Path, take: Intake) -> None:
    path = zipped(tmp_path / "scratched.zip", GOOD)
    content = bytearray(path.read_bytes())
    at = content.find(b"pets/dog/1.png") + 60
    content[at : at + 20] = bytes(20)
    path.write_bytes(content)
    dataset = take(path)
    assert dataset.counts == {"cat": 3, "dog": 2}
    assert [(one.path, one.corrupt) for one in dataset.skipped] == [("pets/dog/1.png", True)]


def test_hostile_7_an_archive_inside_is_listed(tmp_path: Path, take: Intake) -> None:
    inner = zipped(tmp_path / "inner.zip", GOOD).read_bytes()
    dataset = take(zipped(tmp_path / "outer.zip", GOOD | {"pets/more.zip": inner}))
    assert len(dataset) == 6
    assert [(one.path, "archive" in one.why) for one in dataset.skipped] == [("pets/more.zip", True)]
    with pytest.raises(BadUpload, match=r"archive.*Unpack it first"):
        take(zipped(tmp_path / "only.zip", {"pets.zip": inner}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_hostile_7_rare_packing_is_refused(method: int, tmp_path: Path, take: Intake) -> None:
    with zipfile.ZipFile(tmp_path / "rare.zip", "w", method) as archive:
        archive.writestr("a/0.png", picture())
    with pytest.raises(BadUpload, match="method"):
        take(tmp_path / "rare.zip")


@pytest.mark.parametrize("start", [b"", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"<html>", b"words"])
def test_hostile_7_what_is_no_archive_is_called_by_its_name(start: bytes, tmp_path: Path, take: Intake) -> None:
    (tmp_path / "no.zip").write_bytes(start)
    with pytest.raises(BadUpload, match=r"no\.zip"):
        take(tmp_path / "no.zip")


def test_hostile_8_tar_is_refused_where_python_cannot_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarred(tmp_path / "pets.tar.gz", GOOD)
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(BadUpload, match="too old") as caught:
        list(unpack(path, tmp_path, 1 << 30, 100))
    assert ".zip" in caught.value.remedy


def test_a_tar_with_a_header_of_gigabytes_is_refused(tmp_path: Path, take: Intake) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 7 << 30
    (tmp_path / "pax.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(BadUpload):
        take(tmp_path / "pax.tar")


def test_files_are_written_under_numbers_only(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    members = list(unpack(zipped(tmp_path / "pets.zip", GOOD), into, 1 << 30, 100))
    assert [member.name for member in members] == list(GOOD)
    assert all(member.file.isdigit() for member in members)
    assert members[0] == Member("pets/cat/0.png", "0")
