"""The catalog: what a person can search, filter and add."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.zoo.test_sources import give_torchvision, give_vit
from zoo.catalog import Filters, add, catalog, readiness
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

TOP = Path(__file__).parents[2]


def names(settings: Settings, filters: Filters) -> set[str]:
    return {card.id for card in catalog(settings, filters)}


def test_every_filter_leaves_what_it_says(settings: Settings) -> None:
    everything = catalog(settings)
    assert {card.source for card in everything} >= {"embedded", "pixels", "timm", "torchvision", "transformers"}
    assert names(settings, Filters(source="pixels")) == {"pixels/8x8"}
    assert all(card.licence == "bsd-3-clause" for card in catalog(settings, Filters(licence="BSD-3-Clause")))
    assert all(card.commercial for card in catalog(settings, Filters(commercial=True)))
    assert "transformers/openai/clip-vit-base-patch32" not in names(settings, Filters(commercial=True))
    assert all(
        card.params <= 6 and card.gmacs <= 0.5 for card in catalog(settings, Filters(max_params=6, max_gmacs=0.5))
    )
    assert names(settings, Filters(family="googlenet")) == {"torchvision/googlenet"}
    assert all(card.ready != "download" for card in catalog(settings, Filters(offline=True)))


def test_a_search_reaches_whole_registries(settings: Settings) -> None:
    found = names(settings, Filters(search="resnet18"))
    assert {"torchvision/resnet18", "timm/resnet18.a1_in1k"} <= found
    assert all("resnet18" in one for one in found)
    assert "timm/resnet18.a1_in1k" not in names(settings, Filters(search="resnet18", offline=True))


@pytest.mark.parametrize("one", ["timm/test_vit.r160_in1k", "torchvision/alexnet", "folder/some/vit"])
def test_what_was_added_by_its_id_stays(one: str, settings: Settings) -> None:
    give_vit(settings, "some/vit")
    assert one not in names(settings, Filters())
    card = add(one, settings)
    assert add(one, settings) == card
    assert [row for row in catalog(settings) if row.id == one] == [card]


@pytest.mark.parametrize(
    "wrong", ["nowhere/x", "timm/no_such", "torchvision/../x", "transformers/a/b", "folder/x", "x"]
)
def test_what_cannot_be_used_is_not_added(wrong: str, settings: Settings) -> None:
    before = names(settings, Filters())
    with pytest.raises(BackboneUnavailable):
        add(wrong, settings)
    assert names(settings, Filters()) == before


def test_a_person_reads_what_stands_in_the_way(settings: Settings) -> None:
    rows = {card.id: card for card in catalog(settings)}
    assert readiness(rows["embedded/tf_efficientnet_lite0"]) == "in the installation"
    assert readiness(rows["torchvision/googlenet"]) == "needs a download, 52 MB"
    assert readiness(replace(rows["torchvision/googlenet"], download_mb=None)) == "needs a download"
    give_torchvision(settings, "googlenet")
    rows = {card.id: card for card in catalog(settings, Filters(offline=True))}
    assert readiness(rows["torchvision/googlenet"]) == "on this disk"


def test_what_lies_on_this_disk_is_listed_without_torch_the_second_time(settings: Settings) -> None:
    give_vit(settings, "some/vit")
    catalog(settings)
    script = (
        "import sys; from zoo.catalog import catalog; from zoo.settings import Settings; from pathlib import Path\n"
        "cards = catalog(Settings(home=Path(sys.argv[1]), offline=True))\n"
        "assert any(card.id == 'transformers/some/vit' for card in cards); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(settings.home)], check=True, cwd=TOP)


def test_the_command_prints_the_keys_that_scripts_read(settings: Settings) -> None:
    line = [sys.executable, "-m", "zoo", "list", "--offline", "--commercial", "--json", "--home", str(settings.home)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=TOP, check=True)
    keys = {"id", "source", "family", "params", "gmacs", "image_size", "taps", "licence", "commercial", "ready"}
    rows = json.loads(done.stdout)
    assert all(keys | {"imagenet_top1", "imagenet_source", "readiness"} <= set(row) for row in rows)
    assert {row["id"] for row in rows} >= {"embedded/tf_efficientnet_lite0", "pixels/8x8"}
    wrong = subprocess.run([*line, "--source", "nowhere"], capture_output=True, text=True, cwd=TOP, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
