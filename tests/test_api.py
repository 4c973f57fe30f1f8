"""The page's API as a script uses it: stable names, plain values, sentences instead of tracebacks."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.conftest import PictureFolder, drawn
from tests.served import Served, served
from zoo.errors import BadUpload
from zoo.ui.api import readable

NAMES = {"intake", "check", "compare", "suggest", "train", "run", "runs", "stop", "resume", "predict", "export"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api") / "home") as page:
        yield page


@pytest.fixture(scope="module")
def client(page: Served) -> Client:
    return Client(page.url, verbose=False)


def test_the_names_are_the_promised_ones_and_each_is_explained(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    endpoints: dict[str, Any] = described["named_endpoints"]
    assert {name.strip("/") for name in endpoints} >= NAMES
    assert all(endpoint["description"] for endpoint in endpoints.values())
    assert described["unnamed_endpoints"] == {}


def test_pictures_are_taken_and_checked(page: Served, client: Client, picture_folder: PictureFolder) -> None:
    taken = client.predict(str(picture_folder(("cat", "dog"), 6)), api_name="/intake")
    assert taken["classes"] == {"cat": 6, "dog": 6}
    report = client.predict(taken["dataset"], api_name="/check")
    assert report["pictures"] == 12
    plan = client.predict(taken["dataset"], "", api_name="/suggest")
    assert plan["dataset"] == taken["dataset"]
    assert plan["predicted_seconds"] > 0
    assert not page.holds_torch


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("/intake", ("/nowhere/at/all",)),
        ("/check", ("0123456789abcdef",)),
        ("/check", ("../../etc/passwd",)),
        ("/compare", ("0123456789abcdef", ["embedded/tf_efficientnet_lite0"], 0)),
        ("/suggest", ("0123456789abcdef", "")),
        ("/train", ({"dataset": "x", "backbone": "no-slash"},)),
        ("/run", ("nobody",)),
        ("/stop", ("nobody",)),
        ("/resume", ("nobody",)),
        ("/predict", ("nobody", [])),
        ("/export", ("nobody", "folder")),
    ],
)
def test_what_a_person_can_fix_is_a_sentence(client: Client, name: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(*values, api_name=name)
    said = str(caught.value)
    assert "Traceback" not in said
    assert said.rstrip().endswith(".")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_script_goes_the_whole_way(client: Client, picture_folder: PictureFolder, tmp_path: Path) -> None:
    dataset = client.predict(str(picture_folder(3, 16)), api_name="/intake")["dataset"]
    found = client.predict(dataset, ["embedded/tf_efficientnet_lite0"], 0, api_name="/compare")
    assert found["state"] == "finished", found["message"]
    assert found["backbones"][0]["accuracy"] > found["chance"]
    plan = client.predict(dataset, found["id"], api_name="/suggest")
    run = client.predict(plan, api_name="/train")
    end = time.monotonic() + 240
    while (state := client.predict(run, api_name="/run"))["state"] in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(1)
    assert state["state"] == "finished", state["message"]
    assert run in [one["id"] for one in client.predict(api_name="/runs")]
    drawn(1, 777).save(tmp_path / "new.png")
    good, bad = client.predict(run, [str(tmp_path / "new.png"), str(tmp_path / "none.png")], api_name="/predict")
    assert good["label"] == "class_1"
    assert "error" in bad
    bundle = client.predict(run, "folder", api_name="/export")
    names = set(zipfile.ZipFile(bundle).namelist())
    assert {"classifier-folder/config.json", "classifier-folder/passport.json"} <= names


def test_from_elsewhere_only_what_was_uploaded_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    given = tmp_path / "uploads" / "a" / "pets.zip"
    given.parent.mkdir(parents=True)
    given.touch()
    assert readable(str(given), local=False) == given
    for path in ("/etc/passwd", f"{given.parent}/../../x", str(tmp_path), "~"):
        with pytest.raises(BadUpload):
            readable(path, local=False)
