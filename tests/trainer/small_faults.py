"""Everything a person does with two runs, killed (-9) before its n-th write for every n, then looked after by another.

Each write, rename, removal and start of a process tells Python's audit hooks before it happens, so that none can be
forgotten: the scenario is repeated with n = 1, 2, … until it comes through untouched. Page and supervisor are the
real ones, in one process that is killed; the workers are shells and live on. Prints what was wrong afterwards, as JSON.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from trainer import supervisor
from trainer.engines.local import Local
from trainer.plan import Plan
from trainer.processes import send, tagged
from trainer.runs import Runs
from trainer.slots import Slots
from trainer.supervisor import LOCK, Supervisor
from zoo.settings import Settings
from zoo.store import Store, read_json

WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.truncate", "os.link", "subprocess.Popen")
WORKER = Path(__file__).with_name("small_worker.sh")
AT_ONCE = 12  # scenarios that wait for their workers side by side
PLAN = Plan(dataset="none", backbone="none/none")


def opened(home: Path) -> tuple[Runs, Supervisor]:
    store = Store(home)
    runs = Runs(store, Settings(home=home, offline=True), ("/bin/true",))
    return runs, Supervisor(store, {"local": Local((str(WORKER),), "/bin/sh")}, Slots(2))


def scenario(home: Path, told: Callable[[str], object]) -> None:
    """Two runs at once; one is stopped, resumed, deleted for good; the other noted, deleted and restored."""
    runs, watcher = opened(home)

    def tick_until(*states: str) -> None:
        while [runs.read(one).state for one in ids] != [*states]:
            watcher.tick()
            time.sleep(0.005)

    ids = [runs.start(PLAN)]
    told(ids[0])
    ids.append(runs.start(PLAN, priority=1))
    told(ids[1])
    with watcher.store.lock(LOCK):
        watcher.adopt()
        tick_until("finished", "running")
        runs.stop(ids[1])
        tick_until("finished", "stopped")
        runs.resume(ids[1])
        runs.note(ids[0], "good")
        tick_until("finished", "finished")
        while watcher.attempts:
            watcher.tick()
    runs.delete(ids[0])
    runs.restore(ids[0])
    runs.delete(ids[1])
    told("purging")
    runs.purge(ids[1])


def killed_at(number: int, home: Path) -> int:
    """The process that carries the scenario out in ``home`` until just before its write ``number``."""
    note = os.open(home.with_suffix(".told"), os.O_CREAT | os.O_WRONLY, 0o600)
    child = os.fork()
    if child:
        os.close(note)
        return child
    left = number

    def before(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if changes(event, args):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(before)
    try:
        scenario(home, lambda word: os.write(note, f"{word}\n".encode()))
    finally:
        traceback.print_exc() if sys.exc_info()[0] else None
        os._exit(0 if sys.exc_info()[0] is None else 1)


def changes(event: str, args: tuple[object, ...]) -> bool:
    """Whether an audit event tells of a change to the disk or a new process; taking a lock changes nothing."""
    if event == "open":
        wanted = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        return isinstance(args[2], int) and bool(args[2] & wanted) and not str(args[0]).endswith((".lock", "null"))
    return event in WRITES and not (event == "os.mkdir" and Path(str(args[0])).is_dir())


def looked_after(homes: dict[int, Path]) -> list[str]:
    """Another supervisor each sees the runs to their ends, those lost or stopped once resumed; what was wrong then."""
    wrong: list[str] = []
    resumed = dict.fromkeys(homes, 0)
    with ExitStack() as locks:
        watched = {number: opened(home) for number, home in homes.items()}
        asked = {number: len(list(home.glob("runs/*/RESUME"))) for number, home in homes.items()}
        for _, watcher in watched.values():
            locks.enter_context(watcher.store.lock(LOCK, timeout=5))
            watcher.adopt()
        for _ in range(2):
            end = time.monotonic() + 30
            while any(watcher.attempts or watcher.waiting() for _, watcher in watched.values()):
                assert time.monotonic() < end, "a run never ended"
                for _, watcher in watched.values():
                    watcher.tick()
                time.sleep(0.02)
            for number, (runs, _) in watched.items():
                for run in runs.list():
                    if run.state != "finished":
                        resumed[number] += 1
                        runs.resume(run.id)
        for number, (runs, _) in watched.items():
            wrong += [f"{number}: {what}" for what in faults(runs, homes[number], asked[number] + resumed[number])]
    return wrong


def faults(runs: Runs, home: Path, again: int) -> list[str]:
    """What must not be: a run that was promised and is gone, unfinished, trained once too often; litter; a stray."""
    told = home.with_suffix(".told").read_text().split()
    there = {run.id: run.state for run in (*runs.list(), *runs.trash())}
    gone = [one for one in told[:2] if one not in there and "purging" not in told]
    open_ends = [f"{one} is {state}" for one, state in there.items() if state != "finished"]
    folders = [path for path in (home / "runs").iterdir() if path.is_dir()]
    files = [path for folder in folders for path in folder.iterdir()]
    litter = [str(path) for path in (*folders, *files) if path.name[0] == "." and not path.name.startswith(".trash-")]
    damaged = [str(path) for path in files if path.name.isupper() and path.name != "STOP" and read_json(path) is None]
    logs = [(folder / "events.jsonl").read_text().splitlines() for folder in folders]
    begun = sum('"started"' in line for log in logs for line in log)
    often = [f"{begun} attempts"] if begun > len(folders) + again else []
    both = [path.read_text() for path in files if path.name == "wrong"]
    strays = [str(stray) for folder in folders for stray in tagged(folder)]
    return [*map(str, (*gone, *open_ends, *litter, *damaged, *often, *both, *strays))]


def main(base: Path) -> tuple[int, list[str]]:
    """How many writes the scenario has, and what was wrong after a kill before any of them."""
    supervisor.KILL_GRACE = supervisor.QUICK_GRACE = 1.0
    wrong: list[str] = []
    number, untouched = 0, False
    while not untouched:
        homes = {number + offset + 1: base / f"{number + offset + 1}" for offset in range(AT_ONCE)}
        for home in homes.values():
            home.mkdir()
        children = {which: killed_at(which, home) for which, home in homes.items()}
        ends = {which: os.waitpid(child, 0)[1] for which, child in children.items()}
        wrong += [f"{which} raised" for which, end in ends.items() if os.WIFEXITED(end) and os.WEXITSTATUS(end)]
        for home in homes.values():
            (home / "hurry").touch()
        wrong += looked_after(homes)
        for home in homes.values():
            for folder in (home / "runs").iterdir():
                send(tagged(folder) if folder.is_dir() else [], signal.SIGKILL)
        untouched = any(os.WIFEXITED(end) for end in ends.values())
        number += AT_ONCE
    return number, wrong


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
