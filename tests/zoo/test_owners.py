"""Owners by themselves: what is whose, and what a public page refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PictureFolder
from trainer.plan import Plan
from trainer.runs import Runs
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BadPlan, NotFound, StudioError
from zoo.intake import intake
from zoo.look import Looks
from zoo.owners import PUBLIC_BACKBONES, Owners
from zoo.settings import Settings
from zoo.store import Store


class Asker:
    def __init__(self) -> None:
        self.name: str | None = "anna"

    def __call__(self) -> str | None:
        return self.name


def test_the_same_pictures_are_two_peoples_and_nobody_elses(tmp_path: Path, picture_folder: PictureFolder) -> None:
    asker = Asker()
    store = Store(tmp_path, Owners(root=tmp_path / "owners", asker=asker, keeper="keeper"))
    pictures, settings = picture_folder(2, 4), Settings(home=tmp_path)
    given = intake(pictures, store, settings).id
    asker.name = "bert"
    with pytest.raises(NotFound, match="There is no dataset"):
        Dataset.load(store, given)
    assert intake(pictures, store, settings).id == given
    assert Dataset.load(store, given).id == given
    for stranger in ("keeper", None, "../anna"):
        asker.name = stranger
        with pytest.raises(NotFound):
            Dataset.load(store, given)
    asker.name = None
    with pytest.raises(BadPlan, match="Sign in"):
        store.owners.claim("runs", "abc")
    by_command_line = picture_folder(("x", "y"), 3)
    older = intake(by_command_line, Store(tmp_path), settings).id
    asker.name = "anna"
    assert not store.owners.holds("datasets", older)
    asker.name = "keeper"
    assert store.owners.holds("datasets", older)


def test_whoever_has_used_up_their_disk_gives_no_more(tmp_path: Path, picture_folder: PictureFolder) -> None:
    owners = Owners(root=tmp_path / "owners", asker=lambda: "anna", most_bytes=100, most_seconds=60)
    store, settings = Store(tmp_path, owners), Settings(home=tmp_path)
    dataset = intake(picture_folder(2, 4), store, settings)
    with pytest.raises(BadPlan, match="are yours"):
        intake(picture_folder(("x", "y"), 4), store, settings)
    with pytest.raises(BadPlan, match="are yours"):
        Runs(store, settings, ("false",)).start(Plan(dataset=dataset.id, backbone="timm/test_vit"))
    with pytest.raises(BadPlan, match="tomorrow"):
        owners.allowed_time(61)


def test_a_public_page_trains_nothing_and_changes_nothing(tmp_path: Path, picture_folder: PictureFolder) -> None:
    settings = Settings(home=tmp_path, mode="demo")
    store = Store(tmp_path, Owners(root=tmp_path / "owners", asker=lambda: "10.0.0.1", public=True))
    dataset = intake(picture_folder(2, 4), store, settings)
    runs = Runs(store, settings, ("false",))
    plan = Plan(dataset=dataset.id, backbone="timm/test_vit")
    hosts = Runs(Store(tmp_path), settings, ("true",)).start(plan)
    assert runs.read(hosts).id == hosts  # what the host made is there to be tried
    for forbidden in (
        lambda: runs.start(plan),
        lambda: runs.stop(hosts),
        lambda: runs.delete(hosts),
        lambda: runs.note(hosts, "mine"),
        lambda: runs.prioritise(hosts, 9),
        lambda: runs.resume(hosts),
        lambda: runs.purge(hosts),
        lambda: Looks(store, settings).start(dataset.id),
    ):
        with pytest.raises(StudioError, match="public page"):
            forbidden()
    with pytest.raises(BadPlan, match="public page"):
        Comparisons(store, settings).start(dataset.id, ["pixels/8x8"] * (PUBLIC_BACKBONES + 1))
    with pytest.raises(BadPlan, match="public page"):
        store.owners.allowed_pictures(10**6)


def test_the_mode_follows_from_where_the_page_runs_unless_it_is_told() -> None:
    assert Settings.read({}).mode == "single"
    assert Settings.read({"STUDIO_AUTH": "anna:a"}).mode == "team"
    assert Settings.read({"SPACE_ID": "a/b"}).mode == "demo"
    assert Settings.read({"SPACE_ID": "a/b", "STUDIO_MODE": "team", "OAUTH_CLIENT_ID": "x"}).oauth
    with pytest.raises(BadPlan, match="single, team or demo"):
        Settings.read({"STUDIO_MODE": "open"})
