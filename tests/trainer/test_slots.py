"""Several runs at once, who goes first, and which card each computes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.conftest import HERE, SUPERVISE, end_everything, small_plan, ticking, until
from trainer import slots
from trainer.engines import NOWHERE
from trainer.engines.local import Local
from trainer.plan import Plan
from trainer.processes import Process
from trainer.runs import Runs
from trainer.slots import Slots
from trainer.supervisor import Supervisor
from zoo.errors import BadPlan
from zoo.settings import Settings
from zoo.store import Store

SMALL = (str(HERE / "small_worker.py"),)


@pytest.mark.slow
def test_two_slots_take_two_runs_and_the_most_urgent_of_those_that_wait_goes_next(runs: Runs) -> None:
    both = Runs(runs.store, replace(runs.settings, slots=2), SUPERVISE)
    a, b = both.start(small_plan(200, ms=500)), both.start(small_plan(200, ms=500))
    until(lambda: both.read(a).step and both.read(b).step)
    plain, moved, urgent = both.start(small_plan(3)), both.start(small_plan(3)), both.start(small_plan(3), priority=2)
    assert both.read(plain).message == "Waiting for its turn: 1 before it."
    both.first(moved)
    assert [folder.id for folder in both.queue()] == [moved, urgent, plain]
    assert {both.read(a).state, both.read(b).state} == {"running"}
    with pytest.raises(BadPlan, match="priority"):
        both.prioritise(plain, 10**6)
    both.stop(a)
    until(lambda: not both.read(plain).active)
    began = {one: both.read(one).started or 0 for one in (moved, urgent, plain)}
    assert sorted(began, key=lambda one: began[one]) == [moved, urgent, plain]
    assert both.read(b).state == "running", "it was left alone in its own slot"
    both.stop(b)
    until(lambda: not both.read(b).active)


def test_cards_are_shared_out_one_a_run_and_several_to_a_run_of_several_processes(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real supervisor and engine; the workers' environment is what says where they compute."""
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[1]))
    seen: dict[str, dict[str, str]] = {}

    class Watched(Local):
        def submit(self, run_dir: Path, plan: Plan, slot: Mapping[str, str] = NOWHERE) -> Process:
            seen[run_dir.name] = dict(slot)
            return super().submit(run_dir, replace(plan, processes=1), slot)

    runs = Runs(store, settings, ("/bin/true",))
    ids = [runs.start(small_plan(200, ms=50, processes=count)) for count in (1, 2, 1)]
    watcher = Supervisor(store, {"local": Watched(SMALL)}, Slots(2, ("4", "GPU-7"), 8))
    watcher.tick()
    assert seen == {ids[0]: {"CUDA_VISIBLE_DEVICES": "4", "OMP_NUM_THREADS": "4"}}, "nobody overtakes the run of two"
    adopting = Supervisor(store, watcher.engines, watcher.slots)
    adopting.adopt()
    assert adopting.attempts[ids[0]].record.slots == (0,), "a slot stays taken when its supervisor is replaced"
    runs.stop(ids[0])
    ticking(watcher, lambda: ids[1] in seen)
    assert seen[ids[1]] == {"CUDA_VISIBLE_DEVICES": "4,GPU-7", "OMP_NUM_THREADS": "8"}
    assert ids[2] not in seen
    end_everything(store)


@pytest.mark.parametrize(
    ("named", "driver", "asked", "expected"),
    [(None, True, "3\n", ("0", "1", "2")), (("5", "GPU-a"), True, "2\n", ("5", "GPU-a")), ((), True, "2\n", ()),
     (None, False, "2\n", ()), (None, True, "", ())],
)  # fmt: skip
def test_the_cards_are_those_that_torch_may_use(
    monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...] | None, driver: bool, asked: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(slots, "visible_cards", lambda: named)
    monkeypatch.setattr(slots, "DRIVERS", ("/dev/null",) if driver else ())
    monkeypatch.setattr(slots, "COUNT", f"print({asked.strip()!r})" if asked else "raise SystemExit(1)")
    assert slots.cards() == expected
    assert Slots(2, (), 3).environment((1,)) == {"OMP_NUM_THREADS": "1"}
    assert (Slots(3).needed(4), Slots(2, ("0", "1")).needed(4)) == (1, 2)
