"""Datasets on a hub. The hub here is a stand-in on loopback; what no hub may do is done by this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PictureFolder
from tests.zoo.hub_stand_in import hub
from zoo.errors import BadUpload
from zoo.hub_child import _shares
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

pytestmark = pytest.mark.slow  # each test starts Hugging Face's libraries in a process of their own

CODE = "from pathlib import Path\nPath('__ran__').touch()\nraise SystemExit('this ran')\n"


@pytest.fixture
def repositories(tmp_path: Path, picture_folder: PictureFolder) -> Path:
    """pets/folder, pets/parquet (two splits), pets/zipped, pets/code, pets/lying."""
    import datasets
    import pyarrow as pa
    from pyarrow import parquet

    top = tmp_path / "repositories" / "pets"
    for part, seed in (("train", 0), ("test", 1)):
        pictures = picture_folder(("cat", "dog"), 4, inside=part, name="hub", seed=seed)
    shutil.copytree(pictures, top / "folder")
    (top / "zipped").mkdir()
    shutil.make_archive(str(top / "zipped" / "pets"), "zip", pictures)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})

    def rows(part: str) -> Any:
        files = sorted((pictures / part).rglob("*.png"))
        values = {
            "image": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
            "label": [int(file.parent.name == "dog") for file in files],
        }
        return datasets.Dataset.from_dict(values, features=features)

    for part in ("train", "test"):
        (top / "parquet" / "data").mkdir(parents=True, exist_ok=True)
        rows(part).to_parquet(top / "parquet" / "data" / f"{part}-00000-of-00001.parquet")
    (top / "code").mkdir()
    (top / "code" / "code.py").write_text(CODE)
    shutil.copytree(top / "parquet", top / "lying")
    secret = [{"bytes": None, "path": "/etc/passwd"}, {"bytes": None, "path": "hf://datasets/pets/folder/x.png"}]
    lies = [{"image": cell, "label": number} for number, cell in enumerate(secret)]
    schema = parquet.read_schema(top / "parquet" / "data" / "test-00000-of-00001.parquet")
    table = pa.Table.from_pylist(lies, schema=schema)
    parquet.write_table(table, top / "lying" / "data" / "validation-00000-of-00001.parquet")
    return top.parent


@pytest.fixture
def online(settings: Settings) -> Settings:
    from dataclasses import replace

    return replace(settings, offline=False)


@pytest.fixture
def requests(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hub answers; what it was asked."""
    with hub(repositories) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")  # the stand-in refuses to be sent one
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield asked


@pytest.mark.parametrize("name", ["folder", "parquet", "zipped"])
def test_a_dataset_of_the_hub_is_a_dataset(name: str, requests: list[str], store: Store, online: Settings) -> None:
    told: list[str] = []
    dataset = intake(f"hf://datasets/pets/{name}", store, online, lambda stage, *_: told.append(stage))
    assert dataset.counts == {"cat": 8, "dog": 8}
    assert sorted(item.given for item in dataset.items) == ["test"] * 8 + ["train"] * 8
    assert dataset.title in (name, "pets")
    assert "fetch" in told
    assert all((dataset.root / item.file).is_file() for item in dataset.items)
    if name != "zipped":
        assert any("licence is cc0-1.0" in note for note in dataset.notes)


def test_the_hubs_code_is_never_run(requests: list[str], store: Store, online: Settings) -> None:
    with pytest.raises(BadUpload, match="comes as code, which is never run"):
        intake("hf://datasets/pets/code", store, online)
    assert not any(".py" in request for request in requests)


def test_a_path_out_of_the_hubs_tables_opens_no_file(requests: list[str], store: Store, online: Settings) -> None:
    dataset = intake("hf://datasets/pets/lying", store, online)
    assert len(dataset) == 16
    assert {one.why for one in dataset.skipped} == {
        "Its path leads out of the table's folder.",
        "A web address; pictures are not fetched.",
    }


def test_a_dataset_that_is_not_there_is_said_so(requests: list[str], store: Store, online: Settings) -> None:
    with pytest.raises(BadUpload, match="no dataset 'pets/none' that everyone may read"):
        intake("hf://datasets/pets/none", store, online)


def test_a_hub_that_is_down_is_said_in_a_sentence(
    store: Store, online: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(BadUpload, match="No hub answers"):
        intake("hf://datasets/pets/folder", store, online)


def test_the_command_says_it_in_one_line_and_without_a_hub_is_not_tried(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "zoo", "check", "hf://datasets/pets/folder", "--home", str(tmp_path), "--json"]
    environ = os.environ | {"STUDIO_OFFLINE": "1"}
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], env=environ, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("The studio is offline")


def test_a_large_dataset_is_a_sample_of_it(
    requests: list[str], store: Store, online: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.hub_data.MOST_PICTURES", 10)
    dataset = intake("hf://datasets/pets/parquet", store, online)
    assert len(dataset) == 10
    assert any("5 of more rows, drawn at random" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "source",
    ["hf://datasets/", "hf://models/a/b", "hf://datasets/../b", "hf://datasets/a/..", "hf://datasets/a b/c", "hf://"],
)
def test_what_names_no_dataset_is_told_the_form(source: str, store: Store, online: Settings) -> None:
    with pytest.raises(BadUpload, match="names no dataset"):
        intake(source, store, online)


def test_splits_are_sampled_in_proportion() -> None:
    assert _shares({"train": 900, "test": 100}, 100) == {"train": 90, "test": 10}
    assert _shares({"train": 60, "test": 10}, 100) == {"train": 60, "test": 10}
    assert _shares({"train": None, "test": 10}, 100) == {"train": 50, "test": 50}
    assert json.dumps(_shares({"train": 10**6, "test": 1}, 100)) == '{"train": 99, "test": 1}'
