"""Members of an untrusted archive, streamed to files with names of ours; nothing of the archive names a path.

Refused as a whole: links and devices, names that lead out, names that collide, overlapping or too many entries, more
bytes than announced limits, encryption. Only what is harmless and damaged is passed over, with the reason.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from zoo.errors import BadUpload
from zoo.layout import junk
from zoo.names import clean

CHUNK = 1 << 20
FREE = 8 << 20  # bytes that any member may have, whatever it was packed to
MOST_RATIO = 200  # times its packed size, for what goes beyond; flat bitmaps reach 100
MOST_DIRECTORY = 256  # bytes an entry of a zip's directory, on average

DAMAGED = "Damaged inside the archive. Pack it again."
AGAIN = "Pack the pictures again as an ordinary .zip, or give the folder itself."


@dataclass(frozen=True, slots=True)
class Member:
    """``name`` as it stood in the archive, ``file`` as it is called on disk; no file, but ``why``, if passed over."""

    name: str
    file: str = ""
    why: str = ""


def unpack(
    archive: Path | IO[bytes], into: Path, most_bytes: int, most_entries: int, name: str = ""
) -> Iterator[Member]:
    """Members of ``archive``, a path or a file open at its start, as they are written to numbered files in ``into``.

    Raises:
        BadUpload: the archive, called ``name``, is refused; what was written until then is to be thrown away.
    """
    if isinstance(archive, Path):
        with archive.open("rb") as file:
            yield from unpack(file, into, most_bytes, most_entries, archive.name)
        return
    start = archive.read(265)
    archive.seek(0)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _unpack_zip(archive, into, most_bytes, most_entries)
    elif start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":
        yield from _unpack_tar(archive, into, most_bytes, most_entries)
    else:
        raise BadUpload(f"{clean(name)!r} is {_kind(start)}.", AGAIN)


def _unpack_zip(file: IO[bytes], into: Path, most_bytes: int, most_entries: int) -> Iterator[Member]:
    _check_directory(file, most_entries)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > most_entries:
                raise _too_many(most_entries)
            _check_entries(entries, archive.start_dir)
            written = 0
            for number, entry in enumerate(entries):
                name = _safe_name(entry.orig_filename)
                if _is_folder(entry.orig_filename):
                    continue
                if passed_over := junk(PurePosixPath(name)):
                    yield Member(passed_over[0], why=passed_over[1])
                    continue
                try:
                    with archive.open(entry) as source:
                        written += _write(source, into / str(number), entry.compress_size, most_bytes - written)
                    yield Member(name, str(number))
                except (zipfile.BadZipFile, zlib.error, EOFError):
                    (into / str(number)).unlink(missing_ok=True)
                    yield Member(name, why=DAMAGED)
            yield from _empty_folders([entry.orig_filename for entry in entries])
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise _unreadable(error) from None


def _check_directory(file: IO[bytes], most_entries: int) -> None:
    """Count entries before Python's reader makes an object of each; leave the file at its start."""
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    file.seek(0)
    if at < 0 or at + 22 > len(tail):
        raise BadUpload("The archive is cut short: its directory is missing.", "Send it again, whole.")
    count, length = int.from_bytes(tail[at + 10 : at + 12], "little"), int.from_bytes(tail[at + 12 : at + 16], "little")
    zip64 = tail.rfind(b"PK\x06\x06", 0, at)
    if zip64 >= 0 and at - zip64 >= 56:
        count = max(count % 0xFFFF, int.from_bytes(tail[zip64 + 32 : zip64 + 40], "little"))
        length = int.from_bytes(tail[zip64 + 40 : zip64 + 48], "little")
    if count > most_entries or length > most_entries * MOST_DIRECTORY:
        raise _too_many(most_entries)


def _check_entries(entries: list[zipfile.ZipInfo], end: int) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = _safe_name(entry.orig_filename)
        if not _is_folder(entry.orig_filename):
            _check_once(name, seen)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise _special(name)
        if entry.flag_bits & 0x41:
            raise BadUpload("The archive is encrypted.", "Pack it without a password.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadUpload(f"{clean(name)!r} is packed by a method that is not read here.", AGAIN)
    spans = sorted((entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries)
    following = [start for start, _ in spans[1:]] + [end]
    if any(stop > start for (_, stop), start in zip(spans, following, strict=bool(spans))):
        raise BadUpload("Entries of the archive overlap, as they do in decompression bombs.", AGAIN)


def _unpack_tar(file: IO[bytes], into: Path, most_bytes: int, most_entries: int) -> Iterator[Member]:
    if not hasattr(tarfile, "data_filter"):
        raise BadUpload("This Python is too old to read .tar archives safely.", "Give a .zip, or the folder itself.")
    seen: set[str] = set()
    names: list[str] = []
    counted = _Counted(file, most_bytes)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|") as archive:
            for number, entry in enumerate(archive):
                if number >= most_entries:
                    raise _too_many(most_entries)
                name = _safe_name(entry.name)
                if not (entry.isdir() or (entry.isreg() and not entry.issparse())):
                    raise _special(name)
                names.append(name + "/" * entry.isdir())
                if entry.isdir():
                    continue
                _check_once(name, seen)
                if passed_over := junk(PurePosixPath(name)):
                    yield Member(passed_over[0], why=passed_over[1])
                    continue
                source = archive.extractfile(entry)
                if source is not None:
                    _write(source, into / str(number), entry.size, most_bytes)
                    yield Member(name, str(number))
            yield from _empty_folders(names)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise _unreadable(error) from None
    if any(counted.last[-512:]):  # a whole tar ends in blocks of zeros; Python's reader does not miss them
        raise _unreadable(EOFError())


class _Counted:
    """A tar's bytes, unpacked where it is gzipped, never more than ``most`` nor than a ratio allows."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._raw, self._most, self._given = file, most, 0
        self.last = b""
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._source = gzip.GzipFile(fileobj=file) if packed else file

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self._given += len(chunk)
        _check_amount(self._given, self._raw.tell(), self._most)
        self.last = chunk or self.last
        return chunk


def _write(source: IO[bytes], target: Path, packed: int, most: int) -> int:
    written = 0
    with target.open("xb") as out:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            _check_amount(written, packed, most)
            out.write(chunk)
    return written


def _check_amount(unpacked: int, packed: int, most: int) -> None:
    if unpacked > most:
        raise BadUpload(f"The archive unpacks to more than {most / 2**30:.3g} GiB may still take here.", AGAIN)
    if unpacked > FREE and unpacked > MOST_RATIO * packed:
        raise BadUpload(
            "The archive unpacks to far more than pictures would: it looks like a decompression bomb.", AGAIN
        )


def _safe_name(name: str) -> str:
    """The parts of ``name`` joined by "/"; "" for the archive's own top.

    Raises:
        BadUpload: on some system the name would lead out of the archive.
    """
    plain = name.replace("\\", "/")
    parts = plain.split("/")
    if "\0" in name or plain.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", plain):
        raise BadUpload(f"The archive holds a name that leads out of it: {clean(name)!r}.", AGAIN)
    return "/".join(part for part in parts if part not in ("", "."))


def _is_folder(name: str) -> bool:
    return name.endswith(("/", "\\"))


def _check_once(name: str, seen: set[str]) -> None:
    key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    if key in seen:
        raise BadUpload(
            f"The archive holds {clean(name)!r} twice, or once more in other capitals.",
            "Rename one of the two and pack it again.",
        )
    seen.add(key)


def _empty_folders(names: list[str]) -> Iterator[Member]:
    parents: set[PurePosixPath] = set()
    for name in names:
        path = PurePosixPath(_safe_name(name))
        parents.update(path.parents)
    for name in names:
        path = PurePosixPath(_safe_name(name))
        if _is_folder(name) and path not in parents and not junk(path / "x"):
            yield Member(f"{path}/", why="An empty folder.")


def _special(name: str) -> BadUpload:
    return BadUpload(f"The archive holds a link or a device, {clean(name)!r}.", "Pack ordinary files only.")


def _too_many(most: int) -> BadUpload:
    return BadUpload(f"The archive holds more than {most} entries.", "Give the folder itself, or fewer pictures.")


def _unreadable(error: Exception) -> BadUpload:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return BadUpload("The disk is full.", "Make room where STUDIO_HOME points, and give the pictures again.")
    return BadUpload("The archive is damaged or cut short.", "Send it again, whole, or pack it anew.")


def _kind(start: bytes) -> str:
    """What a file is that is no archive that can be read."""
    if not start:
        return "empty"
    if start.startswith((b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd")):
        return "an archive of a kind that is not read here"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not an archive"
    return "neither a .zip nor a .tar archive"
