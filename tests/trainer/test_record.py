import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.events import Finished
from trainer.plan import Plan
from trainer.run import Run

PLAN = Plan(dataset="d" * 16, backbone="embedded/x", predicted_accuracy=0.8, predicted_low=0.7, predicted_high=0.9)
DONE = Finished(test={"n": 50, "accuracy": 0.82}, seconds=9.0, forward_seconds=3.0, peak_rss_mb=300.0)


def test_a_finished_run_has_an_outcome_and_no_other_has() -> None:
    run = Run(id="r", plan=PLAN)
    assert run.outcome is None
    finished = run.after(1.0, DONE)
    assert finished.outcome is not None
    assert (finished.outcome["predicted"], finished.outcome["achieved"]) == (0.8, 0.82)
    assert replace(finished, test={"n": 0, "accuracy": None}).outcome is None
    assert replace(finished, plan=None).outcome is None


@pytest.mark.slow
def test_the_record_of_an_empty_home_is_empty(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer", "record", "--json", "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    known = json.loads(done.stdout)
    assert known["runs"] == 0
    assert all(one["tau"] is None for one in known["agreement"])
