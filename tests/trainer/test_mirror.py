"""A run's folder there and back through a storage that is no disk."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.trainer.conftest import until
from trainer import mirror
from trainer.events import Failed, Finished, Step
from trainer.folder import RunFolder
from trainer.mirror import Away, Gone, Home
from zoo.errors import BadPlan
from zoo.storage import Storage


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


def test_an_address_that_cannot_be_used_is_said_and_a_secret_in_it_is_not() -> None:
    secret = ("s3://key:secret@bucket/studio", "abfs://box/studio?sig=secret", "simplecache::s3://key:secret@bucket/at")
    for address in secret:
        with pytest.raises(BadPlan, match="holds a secret") as refused:
            Storage.at(address)
        assert "=secret" not in f"{refused.value}"
        assert ":secret" not in f"{refused.value}"
    with pytest.raises(BadPlan, match="cannot be used"):
        Storage.at("strange://place")
