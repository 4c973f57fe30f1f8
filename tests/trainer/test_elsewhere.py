"""What a plan takes on each kind of machine in a cluster: from runs there, from pictures there, or not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conftest import PictureFolder
from trainer.elsewhere import There, everywhere, sentence
from trainer.events import Finished, Placed, Started
from trainer.folder import RunFolder
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.run import Run
from trainer.ui.nodes_view import kinds_html, nodes_html
from trainer.ui.train_view import name_of
from zoo.intake import intake
from zoo.nodes import speeds_of
from zoo.settings import Settings
from zoo.store import Store, write_json

LITE = "embedded/tf_efficientnet_lite0"


def finished(store: Store, plan: Plan, kinds: tuple[str, ...], seconds: float) -> None:
    """A run that ended there."""
    folder = RunFolder(store.runs / f"{len(list(store.runs.iterdir())):016x}")
    folder.path.mkdir()
    folder.write_plan(plan)
    folder.log.append(Placed(workers=tuple({"rank": rank, "kind": kind} for rank, kind in enumerate(kinds))))
    folder.log.append(Started(step=0, steps=9, epochs=1, device="cpu", processes=2, precision="no", pid=1))
    folder.log.append(Finished(test={}, seconds=seconds, forward_seconds=0.0, peak_rss_mb=0.0))
    write_json(folder.path / "evaluation.json", {})


def kinds(plan: Plan, settings: Settings) -> list[There]:
    found = everywhere(plan, settings, None)
    assert found is not None
    return found


def test_each_kind_of_machine_gets_its_forecast_by_what_was_measured_there(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    settings = replace(settings, cluster="10.0.0.1:6379", engine="ray")
    dataset = intake(picture_folder(2, 10), store, settings)
    plan = suggest(None, dataset, settings, backbone=LITE, strategy="full", processes=2)
    assert everywhere(plan, settings, None) is None
    assert "Open Machines" in kinds_html(None)
    machines = [{"node": str(number), "kind": kind} for number, kind in enumerate(("quick", "quick", "slow", "new"))]
    write_json(speeds_of(store).with_name("seen.json"), {"cluster": settings.cluster, "machines": machines})
    write_json(speeds_of(store), {"quick": {LITE: 10.0}, "slow": {LITE: 400.0}})
    quick, slow, new = kinds(plan, settings)
    assert (quick.machines, slow.machines) == (2, 1)
    assert quick.seconds is not None
    assert slow.seconds is not None
    assert 0 < quick.seconds < slow.seconds
    assert new.seconds is None
    assert "nothing was measured there yet" in sentence(new)
    assert plan.predicted_seconds
    finished(store, plan, ("new", "new"), 3 * plan.predicted_seconds)
    finished(store, plan, ("new", "slow"), 99 * plan.predicted_seconds)
    new = kinds(plan, settings)[-1]
    assert new.runs == 1, "what ran on two kinds tells of neither"
    assert new.seconds == pytest.approx(3**0.5 * plan.predicted_seconds, rel=0.01), "one run is half believed"
    shown = kinds_html(kinds(plan, settings))
    assert shown.count("<li>") == 3
    assert "from 1 run there" in shown
    assert everywhere(plan, replace(settings, cluster="10.0.0.2:6379"), None) is None, "another cluster's machines"


def test_a_row_for_each_machine_names_the_runs_there_and_its_time_for_the_comparison() -> None:
    about = {"cpus": 2.0, "gpus": 0.0, "load": 0.5, "memory": 8e9, "memory_used": 2e9, "kind": "quick"}
    there = Run(id="0" * 16, plan=Plan(dataset="d", backbone=LITE), state="running", places=({"node": "10.0.0.2"},))
    comparison = {"pictures": 1000, "backbones": [{"id": LITE, "gmacs": 0.4}]}
    shown = nodes_html(
        [about | {"node": "10.0.0.1"}, about | {"node": "10.0.0.2", "kind": "new"}],
        [there],
        {"quick": {LITE: 10.0}},
        comparison,
    )
    first, second = shown.split("<tbody>")[1].split("</tr>")[:2]
    assert "about 5 s" in first
    assert name_of(there) not in first
    assert name_of(there) in second
    assert "not measured yet" in second
