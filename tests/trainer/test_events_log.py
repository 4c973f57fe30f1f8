import threading
from pathlib import Path

import pytest

from trainer.events import Event, Step, Stopped
from trainer.events_log import EventLog, Tail


def step(number: int) -> Step:
    return Step(step=number, epoch=1, loss=0.5, learning_rate=0.1)


def events(path: Path) -> list[Event]:
    return [event for _, event in Tail(path).read()]


def test_a_line_torn_by_a_crash_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).append(step(1))
    with path.open("ab") as file:
        file.write(b'{"event": "step", "at": 17')
    EventLog(path).append(step(2))  # another worker, after a resume
    assert events(path) == [step(1), step(2)]


def test_a_line_still_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).append(step(1))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    tail = Tail(path)
    assert [event for _, event in tail.read()] == [step(1)]
    with path.open("ab") as file:
        file.write(whole[20:])
    assert [event for _, event in tail.read()] == [step(1)]
    assert list(tail.read()) == []


def test_bytes_that_are_no_text_cost_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n[]\n{}\n")
    EventLog(path).append(Stopped(step=3))
    assert events(path) == [Stopped(step=3)]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")

    def write() -> None:
        for i in range(100):
            log.append(step(i))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(log.path)) == 400


def test_a_full_disk_is_said_and_costs_its_line_only(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    log = EventLog(tmp_path / "events.jsonl")
    log.append(step(1))
    size = log.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    earlier = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))  # room for a part of a line
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append(step(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, earlier)
    assert log.path.stat().st_size == size + 10
    log.append(step(3))
    assert events(log.path) == [step(1), step(3)]


def test_nothing_is_read_where_there_is_no_file(tmp_path: Path) -> None:
    assert events(tmp_path / "absent.jsonl") == []
