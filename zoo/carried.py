"""What is carried to a node of a cluster: pictures and networks known by content, fetched once whoever asks first."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.dataset import Dataset
from zoo.errors import BadPicture, BadUpload
from zoo.items import Items
from zoo.pictures import Files, Pictures, draft_of, finish, mapped, path_of
from zoo.room import evict
from zoo.sandbox import Sandbox
from zoo.settings import Settings
from zoo.store import Store, write_bytes

BATCH = 128  # pictures fetched at once
Pull = Callable[[list[str]], Mapping[str, bytes]]


@dataclass(frozen=True)
class Sent:
    """A file by the SHA-256 of its content; ``fetch`` brings it, for those who lack it."""

    sha: str
    fetch: Callable[[], bytes]

    @classmethod
    def of(cls, content: bytes, fetch: Callable[[], bytes]) -> Sent:
        return cls(hashlib.sha256(content).hexdigest(), fetch)


class Originals:
    """The files of one dataset by the SHA-256 of their content, as the machine that owns them hands them out."""

    def __init__(self, home: Path, dataset: str) -> None:
        self._dataset = found = Dataset.load(Store(home), dataset)
        self._home, self._root = home, found.root
        self._file = dict(zip(found.held.texts("sha"), found.held.texts("file"), strict=True))
        self._sent: dict[str, int] = {}

    def read(self, shas: list[str], whom: str) -> dict[str, bytes]:
        """The content of each, for the node ``whom``."""
        self._sent[whom] = self._sent.get(whom, 0) + len(shas)
        return {sha: (self._root / self._file[sha]).read_bytes() for sha in shas}

    def dataset(self) -> Dataset:
        """What is known of the pictures but their pixels."""
        return self._dataset

    def weights(self, backbone: str) -> dict[str, str]:
        """The SHA-256 of each file that ``weights_of`` names."""
        return {path.name: _sha(path) for path in _weights(backbone, self._home)}

    def weight(self, backbone: str, name: str) -> bytes:
        """The content of one of them."""
        return next(path.read_bytes() for path in _weights(backbone, self._home) if path.name == name)

    def sent(self) -> dict[str, int]:
        """How many pictures went to each node."""
        return dict(self._sent)


@dataclass(frozen=True)
class Carried:
    """The folder of a node, below its own home and beside what a person keeps there."""

    store: Store

    @classmethod
    def here(cls, node: str) -> Carried:
        """That of the node ``node`` on this machine; two nodes on one machine share no folder."""
        return cls(Store(Settings.read().home / "carried" / node))

    def path(self, sha: str) -> Path:
        return self.store.root / "originals" / sha[:2] / sha

    def fetch(self, shas: Sequence[str], pull: Pull) -> int:
        """See to it that every one is here; how many had to be pulled. One task of a node pulls at a time.

        Raises:
            BadUpload: what came is not what was asked for.
        """
        here = [path for sha in shas if (path := self.path(sha)).exists()]
        for path in here:
            os.utime(path)  # what is used stays longest
        if len(here) == len(shas):
            return 0
        with self.store.lock("carried"):
            missing = [sha for sha in dict.fromkeys(shas) if not self.path(sha).exists()]
            for first in range(0, len(missing), BATCH):
                for sha, content in pull(missing[first : first + BATCH]).items():
                    if hashlib.sha256(content).hexdigest() != sha:
                        raise BadUpload("A picture changed on its way to another machine.", "Give the pictures again.")
                    self._place(sha, content)
        return len(missing)

    def pictures(self, shas: Sequence[str], side: int) -> Pictures:
        """Those pictures, decoded once into a file that every backbone of that ``side`` reads.

        Raises:
            BadUpload: this machine cannot decode one that another could.
        """
        path = path_of(self.store, shas, side)
        with self.store.lock(f"pictures-{path.stem}"):
            return mapped(path, shas) or self._decoded(path, shas, side)

    def network(self, sent: Sent) -> Path:
        """An exported network as a file."""
        path = self.path(sent.sha)
        if not path.exists():
            self._place(sent.sha, sent.fetch())
        return path

    def keep_weights(self, backbone: str, files: Mapping[str, Sent]) -> None:
        """The files of a network's folder, for the source that reads ``models/NAME``. One task of a node fetches."""
        folder = _folder(backbone, self.store.root)
        with self.store.lock("carried"):
            for file, sent in files.items():
                path = folder / file
                if not path.exists() or _sha(path) != sent.sha:
                    write_bytes(path, sent.fetch())

    def dataset(self, found: Dataset, pull: Pull) -> Dataset:
        """``found`` with its pictures on this node, saved in its store.

        Raises:
            BadUpload: what came is not what was asked for.
        """
        self.fetch(found.held.texts("sha"), pull)
        items = Items.of(replace(item, file=str(self.path(item.sha))) for item in found.items)
        here = replace(found, root=self.store.root, items=items, parent="")
        here.save(self.store)
        return here

    def _decoded(self, path: Path, shas: Sequence[str], side: int) -> Pictures:
        evict(self.store, Settings.read().cache_gb * 10**9)
        draft = draft_of(self.store)
        files = Files(self.store.root, [str(self.path(sha)) for sha in shas])
        try:
            with _decoding:
                readings = _sandbox.decode(files, draft, side, lambda *_: None)
            for reading, sha in zip(readings, shas, strict=True):
                if isinstance(reading, BadPicture) or reading.sha != sha:
                    raise BadUpload("A picture can be read on one machine and not on another.", "Update all machines.")
            return finish(draft, path, readings.column("span"), shas)
        finally:
            draft.unlink(missing_ok=True)

    def _place(self, sha: str, content: bytes) -> None:
        """As ``write_bytes``, without asking the disk to have it before anything else: it can be fetched again."""
        path = self.path(sha)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{sha}.{os.getpid()}")
        try:
            draft.write_bytes(content)
            os.replace(draft, path)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()


_sandbox = Sandbox(threads=1)  # one a process, kept from shard to shard: its start costs more than a shard's decoding
_decoding = threading.Lock()


def weights_of(backbone: str, home: Path) -> dict[str, bytes]:
    """The files of a person's own weights, or of the run that made it, by name; none where it comes from elsewhere."""
    return {path.name: path.read_bytes() for path in _weights(backbone, home)}


def _weights(backbone: str, home: Path) -> list[Path]:
    source, _, name = backbone.partition("/")
    if ".." in name.split("/"):  # not below ``models``, and not to be written there on a node
        return []
    made = home / "runs" / name / "classifier"
    folder = made if source == "folder" and made.is_dir() else _folder(backbone, home)
    return [path for path in folder.glob("*") if path.suffix in (".safetensors", ".json")]


def _folder(backbone: str, home: Path) -> Path:
    """Where a person's own weights of it lie."""
    source, _, name = backbone.partition("/")
    return home.joinpath("models", *((source, name) if source == "torchvision" else name.split("/")))


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
