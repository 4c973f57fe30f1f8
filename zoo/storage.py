"""A folder that many machines reach by one address, a path or a URL of fsspec's: ``s3://…``, ``gs://…``, ``sftp://…``.

Whoever opens it brings the credentials as that kind of storage has them, from the environment or the machine's role;
none of them is in the address, so that it can be told.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from zoo.errors import BadPlan

WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}  # a file there is whole or absent
TIMES = {"mtime", "modified", "modify", "lastmodified", "modificationtime", "updated"}  # as S3, WebDAV, FTP… spell it
CHANGING = (*sorted(TIMES), "etag", "generation", "versionid", "unique", "created")
REMEDY = "See STUDIO_CLUSTER_STORAGE: every machine has to reach it, with credentials of its own."


@dataclass(frozen=True)
class Storage:
    """The folder ``root`` of ``fs``, a file system of fsspec's. Names are relative to it, with slashes."""

    fs: Any
    root: str

    @classmethod
    def at(cls, address: str) -> Storage:
        """The folder at ``address``.

        Raises:
            BadPlan: it holds a secret, or nothing here can open addresses of its kind.
        """
        from fsspec.core import url_to_fs

        with telling():
            for one in map(urlsplit, address.split("::")):  # of a chain each
                if one.password or one.query:
                    raise BadPlan(
                        "The address of the cluster's storage holds a secret.", "Leave it to the environment."
                    )
            fs, root = url_to_fs(address)
        return cls(fs, root.rstrip("/"))

    def below(self, *names: str) -> Storage:
        return Storage(self.fs, "/".join((self.root, *names)))

    def arrow(self) -> Any:
        """The same file system as Arrow knows them, which is how Ray does."""
        import pyarrow.fs

        return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(self.fs))

    def files(self) -> dict[str, str]:
        """Every file by name, with what changes when it is written again; drafts of those being written are none."""
        self.fs.invalidate_cache()
        with suppress(FileNotFoundError):
            found = self.fs.find(self.root, detail=True)
            names = {path: path[len(self.root) :].lstrip("/") for path in found}
            return {name: _mark(self.fs, found[path]) for path, name in names.items() if not hidden(name)}
        return {}

    def read(self, name: str, start: int = 0) -> bytes | None:
        """Its content from ``start`` on; None where there is no such file."""
        self.fs.invalidate_cache()
        try:
            content: bytes = self.fs.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None
        return content[start:]

    def write(self, name: str, content: bytes) -> None:
        """A reader sees the old file or the new one."""
        with self._placing(name) as path:
            self.fs.pipe_file(path, content)

    def put(self, local: Path, name: str) -> None:
        """As ``write``, a file however large."""
        with self._placing(name) as path:
            self.fs.put_file(str(local), path)

    def get(self, name: str, local: Path) -> None:
        """A file from there, on this disk whole or not at all."""
        local.parent.mkdir(parents=True, exist_ok=True)
        draft = local.with_name(f".{local.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            self.fs.get_file(f"{self.root}/{name}", str(draft))
            os.replace(draft, local)
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Without this file, or this folder, whether there was one or not."""
        if not name or name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
            raise ValueError(f"{name!r} is nothing below {self.root!r}.")
        self.fs.invalidate_cache()
        with suppress(FileNotFoundError):
            self.fs.rm(f"{self.root}/{name}", recursive=True)

    @contextmanager
    def _placing(self, name: str) -> Iterator[str]:
        """Where to write so that it is at ``name`` whole when the ``with`` ends."""
        path = PurePosixPath(self.root) / name
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        if protocols & WHOLE:
            yield f"{self.root}/{name}"
            return
        self.fs.makedirs(str(path.parent), exist_ok=True)
        draft = str(path.with_name(f".{path.name}.{secrets.token_hex(4)}"))
        try:
            yield draft
            self.fs.mv(draft, str(path))
        except BaseException:
            with suppress(Exception):  # of any kind, as above all where there is no room: what went wrong is told
                self.fs.rm_file(draft)
            raise


@contextmanager
def telling() -> Iterator[None]:
    """What goes wrong with a storage in words for a person; each kind has errors of its own."""
    try:
        yield
    except BadPlan:
        raise
    except Exception as error:  # botocore's, paramiko's, aiohttp's: fsspec has no one kind for them
        said = str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__
        raise BadPlan(f"The cluster's storage cannot be used ({said}).", REMEDY) from error


def hidden(name: str) -> bool:
    """Whether it is a draft, or lies in one."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _mark(fs: Any, about: dict[str, Any]) -> str:
    """What ``fs`` tells of a file that is another once it is written again; each kind has words of its own."""
    said = {re.sub(r"[^a-z0-9]", "", key.lower()): value for key, value in about.items()}
    facts = [str(said[name]) for name in ("size", *CHANGING) if said.get(name) is not None]
    if not TIMES & said.keys():
        with suppress(NotImplementedError, FileNotFoundError):  # it may go between the list and this
            facts.append(str(fs.modified(about["name"])))
    return " ".join(facts)
