"""The studio's folder on disk: where each kind of thing lives, and writes that are whole or absent."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from zoo.errors import NotFound
from zoo.owners import Owners

_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")


@dataclass(frozen=True)
class Store:
    """Paths below one root. Two processes may share it.

    Attributes:
        kept_for: whose things are whose, where whoever uses this store has to care.
    """

    root: Path
    kept_for: Owners | None = None

    @property
    def owners(self) -> Owners:
        return self.kept_for or Owners(root=self.root / "owners")

    @property
    def datasets(self) -> Path:
        return self._folder("datasets")

    @property
    def pictures(self) -> Path:
        return self._folder("pictures")

    @property
    def features(self) -> Path:
        return self._folder("features")

    @property
    def comparisons(self) -> Path:
        return self._folder("comparisons")

    @property
    def runs(self) -> Path:
        return self._folder("runs")

    @property
    def uploads(self) -> Path:
        return self._folder("uploads")

    @contextmanager
    def lock(self, name: str, timeout: float = -1) -> Iterator[None]:
        """Hold the lock ``name``; it frees itself when its process dies."""
        with FileLock(self._folder("locks") / f"{name}.lock", timeout=timeout):
            yield

    def _folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def checked_id(text: str, what: str) -> str:
    """``text`` if it has the form of an id, so that an id never is a path.

    Raises:
        NotFound: it has not.
    """
    text = str(text)  # a script may send anything
    if not _ID.fullmatch(text):
        raise NotFound(f"There is no {what} {text[:80]!r}.", f"Choose a {what} from the list.")
    return text


def new_id() -> str:
    """A fresh id, not guessable."""
    return secrets.token_hex(8)


def write_bytes(path: Path, content: bytes) -> None:
    """Write so that a reader, or a crash, sees the old file or the new one and nothing between."""
    _write(path, [content])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write ``lines`` one by one, whole or not at all."""
    _write(path, (line.encode() + b"\n" for line in lines))


def _write(path: Path, parts: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> Any:
    """The JSON document at ``path``, or None where there is none or it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
