"""The Data screen in a real browser: faults mended and undone, labels by key, readings ended, bursts from a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PictureFolder, drawn
from tests.served import CHROMIUM, Served, Visitor, served, visitor
from tests.zoo.hub_stand_in import hub

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(300)]
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page, and a hub on loopback that has pets/folder."""
    top = tmp_path_factory.mktemp("data")
    for number in range(12):
        path = top / "hub" / "pets" / "folder" / "train" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(number % 2, number).save(path)
    with hub(top / "hub") as (address, _), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        patch.setenv("HF_HOME", str(top / "hf"))
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        with served(top / "home") as page:
            yield page


def gives(someone: Visitor, source: str | Path) -> None:
    someone.page.fill("label:has-text('Or a folder on this computer') input, textarea", str(source))
    someone.press("Read it")


def reads(someone: Visitor, source: str | Path) -> None:
    gives(someone, source)
    someone.sees(".tz-class", 90)


def opens(someone: Visitor, tab: str) -> None:
    someone.page.click(f"button[role=tab]:has-text({tab!r})")


def test_a_finding_is_mended_with_one_press_and_undone_with_another(
    page: Served, picture_folder: PictureFolder
) -> None:
    folder = picture_folder(("ant", "bee"), 12)
    (folder / "bee" / "again.png").write_bytes((folder / "ant" / "ant_003.png").read_bytes())
    with visitor(page.url) as someone:
        reads(someone, folder)
        opens(someone, "Findings")
        someone.page.click(".tz-finding[data-kind=conflict] .tz-do")
        someone.sees(".tz-change:has-text('removed')")
        someone.page.wait_for_selector(".tz-finding[data-kind=conflict]", state="hidden")
        someone.page.click(".tz-revision button:has-text('Undo')")
        someone.sees(".tz-finding[data-kind=conflict]")
        opens(someone, "Overview")
        card = someone.page.locator(".tz-class[data-class=ant]")
        card.locator("[data-edit=open]").click()
        card.locator("input").fill("emmet")
        card.locator("button:has-text('Rename')").click()
        someone.sees(".tz-class[data-class=emmet]")
        someone.page.click(".tz-revision button:has-text('Undo')")
        someone.sees(".tz-class[data-class=ant]")


def test_the_columns_of_a_table_are_guessed_in_lists_that_a_person_can_change(
    page: Served, picture_folder: PictureFolder
) -> None:
    folder = picture_folder(("ant", "bee"), 6)
    files = sorted(folder.rglob("*.png"))
    rows = [f"{file.relative_to(folder)},{file.parent.name},{number % 2}" for number, file in enumerate(files)]
    (folder / "table.csv").write_text("\n".join(["where,species,even", *rows]))
    with visitor(page.url) as someone:
        gives(someone, folder / "table.csv")
        someone.sees(".tz-columns:visible")
        lists = someone.page.locator(".tz-columns input:visible")
        assert [lists.nth(i).input_value().split(" (")[0] for i in range(4)] == ["where", "species", "none", "none"]
        lists.nth(1).click()
        someone.page.click("[role=option]:has-text('even')")
        someone.press("Read the table")
        someone.sees(".tz-class", 90)
        assert sorted(someone.page.locator(".tz-class b").all_inner_texts()) == ["0", "1"]


def test_a_dataset_on_a_hub_is_read_by_its_name(page: Served) -> None:
    with visitor(page.url, width=390) as someone:
        gives(someone, "hf://datasets/pets/none")
        someone.sees(".tz-say.bad:has-text('no dataset')", 60)
        reads(someone, "hf://datasets/pets/folder")
        assert sorted(someone.page.locator(".tz-class b").all_inner_texts()) == ["cat", "dog"]
        tabs = someone.page.locator("[role=tab]:visible").all_inner_texts()
        assert tabs[:5] == ["Overview", "Findings", "Explore", "Add", "Export"]


def test_a_label_given_by_key_moves_the_accuracy_and_u_takes_it_back(
    page: Served, picture_folder: PictureFolder
) -> None:
    with visitor(page.url) as someone:
        reads(someone, picture_folder(("ant", "bee", "<b>cat"), 10))
        opens(someone, "Explore")
        someone.sees(".tz-ex-grid img")
        tile = someone.page.locator(".tz-ex-grid [data-file]").last
        before, was = someone.page.inner_text(".tz-stand b"), tile.locator("b").inner_text()
        tile.click()
        someone.page.keyboard.press("2" if was == "ant" else "1")
        someone.sees(".tz-stand em")
        assert someone.page.inner_text(".tz-stand b") != before
        someone.page.keyboard.press("u")
        someone.sees(".tz-stand:has-text('Undone')")
        assert someone.page.inner_text(".tz-stand b") == before
        someone.page.keyboard.press("Delete")
        someone.sees(".tz-ex-grid .gone")
        assert not page.holds_torch


def test_a_reading_can_be_ended(page: Served, tmp_path: Path) -> None:
    for number in range(1500):
        path = tmp_path / "many" / f"class_{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(number % 2, number, (400, 300)).save(path, compress_level=1)
    with visitor(page.url) as someone:
        gives(someone, tmp_path / "many")
        someone.page.click("#stop-reading:visible")
        someone.sees(".tz-say.wait:has-text('Stopped, as you asked')")
        someone.sees("#drop")


def test_held_down_the_camera_takes_a_burst_for_each_class(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.served.CHROMIUM", (*CHROMIUM, *FAKE_CAMERA))
    with visitor(page.url) as someone:
        someone.page.click("button:has-text('Take them with a camera')")
        for name in ("mug", "<i>pen</i>"):
            someone.page.fill(".tz-camera:visible input", name)
            hold = someone.page.locator(".tz-camera:visible [data-hold]")
            hold.hover()
            someone.page.mouse.down()
            someone.page.wait_for_timeout(1500)
            someone.page.mouse.up()
            someone.page.wait_for_function(
                "name => document.querySelector('.tz-held')?.innerText.includes(name)", arg=name
            )
        someone.page.click("#develop")
        someone.sees(".tz-class", 60)
        assert sorted(someone.page.locator(".tz-class b").all_inner_texts()) == ["<i>pen</i>", "mug"]
