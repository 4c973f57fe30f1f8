"""A run's folder there and back through a storage that is no disk."""

from __future__ import annotations

import secrets
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.trainer.conftest import small_plan, until
from trainer import mirror, runs
from trainer.events import Failed, Finished, Step
from trainer.folder import RunFolder
from trainer.mirror import Away, Gone, Home
from trainer.runs import Runs
from zoo.errors import BadPlan
from zoo.settings import Settings
from zoo.storage import Storage
from zoo.store import Store


def folder_in(path: Path) -> RunFolder:
    path.mkdir(parents=True)
    return RunFolder(path)


def heard(home: Home, here: RunFolder) -> int:
    home.receive()
    return len(list(here.tail().read()))


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_run_is_told_and_brought_home_and_hears_of_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(mirror, "PIECE", 500)  # several pieces, lines that go on in the next
    monkeypatch.setattr(mirror, "PACE", 0.02)
    at = f"memory://{secrets.token_hex(4)}" if kind == "memory" else (tmp_path / "storage").as_uri()
    storage = Storage.at(at).below("runs", "one")
    here, there = folder_in(tmp_path / "home" / "one"), folder_in(tmp_path / "node" / "one")
    here.checkpoint.mkdir()
    (here.checkpoint / "newest.pt").write_bytes(b"earlier")
    (here.checkpoint / ".draft-1").write_bytes(b"half")
    home = Home(here, storage)
    home.begin("first")
    assert set(storage.files()) == {"checkpoint/newest.pt", "attempt.json"}
    away = Away(there, storage, "first", first=True)
    away.start()
    told = [Step(step=step, epoch=1, loss=float(step), learning_rate=0.1) for step in range(40)]
    for event in told[:25]:
        there.log.append(event)
    until(lambda: heard(home, here) == 25)
    for event in told[25:]:
        there.log.append(event)
    there.classifier.mkdir()
    (there.classifier / "model").write_bytes(b"m" * 3000)
    there.log.append(Finished(test={"n": 1}, seconds=1.0, forward_seconds=0.0, peak_rss_mb=1.0))
    until(lambda: heard(home, here) == 41)
    assert (here.classifier / "model").read_bytes() == b"m" * 3000, "before the end is told its files are here"
    assert [event for _, event in here.tail().read()][:40] == told
    assert sum(name.startswith("events/") for name in storage.files()) > 3
    assert not away.asked()
    home.tell("first", stop=True)
    until(away.asked)
    there.log.append(Failed(problem="p", remedy="r"))
    away.close()
    home.end()
    assert isinstance([event for _, event in here.tail().read()][-1], Failed)
    other = Away(there, storage, "first", first=False)
    other.start()
    with pytest.raises(Gone):
        until(other.asked)


@pytest.mark.parametrize("word", ["mtime", "LastModified", "last_modified", "modified", "modify", "etag", ""])
def test_a_file_written_again_is_seen_whatever_a_storage_calls_its_time(word: str) -> None:
    class Spelling(MemoryFileSystem):  # type: ignore[misc]
        """Tells nothing of when a file was made, and when it was changed by ``word``, or only if asked for that."""

        def find(self, path: str, **more: Any) -> dict[str, dict[str, Any]]:
            found = {name: {**about, "created": None} for name, about in super().find(path, **more).items()}
            return {name: about | ({word: self.modified(name)} if word else {}) for name, about in found.items()}

    storage = Storage(Spelling(skip_instance_cache=True), f"/{secrets.token_hex(4)}")
    storage.write("weights", b"one")
    before = storage.files()["weights"]
    assert storage.files()["weights"] == before
    storage.write("weights", b"two")
    assert storage.files()["weights"] != before
    assert storage.read("weights", 99) == b""


def test_a_run_deleted_for_good_is_gone_from_the_storage_too_as_soon_as_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "TAKES_STORAGE", 0.2)
    at = f"memory://{secrets.token_hex(4)}"
    studio, store = Storage.at(at), Store(tmp_path)
    gone, mute, here = (secrets.token_hex(8) for _ in range(3))
    for run_id in (gone, mute, here):
        folder = folder_in(store.runs / f".trash-{run_id}")
        folder.write_plan(replace(small_plan(), engine="local" if run_id == here else "ray"))
        studio.write(f"runs/{run_id}/classifier/model", b"m")
        studio.write(f"runs/{run_id}0", b"another's")
    studio.write("attempt.json", b"another's")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"ftp://127.0.0.1:{silent.getsockname()[1]}/studio"
        Runs(store, Settings(home=tmp_path, cluster_storage=address)).purge(mute)
        assert not list(store.runs.glob(f"*{mute}/")), "here it is gone, whatever that storage does"
    until(lambda: f"Deleted run {mute} still has files in the cluster's storage" in capsys.readouterr().err)
    assert f"runs/{mute}/classifier/model" in studio.files()
    there = Runs(store, Settings(home=tmp_path, cluster_storage=at))
    there.purge(gone)
    there.purge(here)
    left = {"attempt.json", f"runs/{here}/classifier/model", *(f"runs/{name}0" for name in (gone, mute, here))}
    until(lambda: set(studio.files()) == left)
    until(lambda: not list(store.runs.iterdir()))
    for name in ("", "..", "a/../../b", "/a", "a//b"):
        with pytest.raises(ValueError, match="nothing below"):
            studio.remove(name)
    assert set(studio.files()) == left


def test_an_address_that_cannot_be_used_is_said_and_a_secret_in_it_is_not() -> None:
    secret = ("s3://key:secret@bucket/studio", "abfs://box/studio?sig=secret", "simplecache::s3://key:secret@bucket/at")
    for address in secret:
        with pytest.raises(BadPlan, match="holds a secret") as refused:
            Storage.at(address)
        assert "=secret" not in f"{refused.value}"
        assert ":secret" not in f"{refused.value}"
    with pytest.raises(BadPlan, match="cannot be used"):
        Storage.at("strange://place")
