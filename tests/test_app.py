"""A person's whole visit in a real browser, and what the door refuses."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PictureFolder
from tests.served import ROOT, Served, environment, served, visitor, zipped
from trainer.ui.page import build
from zoo.settings import Settings
from zoo.store import Store

HOSTILE = {
    "class_0": '<img src=x onerror="window.hacked=1">',
    "class_1": "${window.hacked=1}{{window.hacked=1}}`x`",
    "class_2": "**cat** & [dog](javascript:hacked)",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("page") / "home") as page:
        yield page


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
def test_every_empty_screen_fits_and_says_what_is_next(page: Served, width: int, theme: str) -> None:
    with visitor(page.url, width=width, theme=theme) as someone:
        assert someone.page.locator("h1").count() == 1
        for step, button in (
            ("compare", "Go to Data"),
            ("train", "Go to Data"),
            ("try", "Go to Train"),
            ("data", "Use"),
        ):
            someone.go(step)
            someone.sees(f".tz-steps [data-choice={step}][aria-current]")
            someone.sees(f".tz-next button:visible:has-text({button!r})")
            assert someone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert not (found := someone.faults()), "\n".join(found)


@pytest.mark.browser
def test_names_that_are_code_are_shown_as_they_are_written(page: Served, picture_folder: PictureFolder) -> None:
    bundle = zipped(picture_folder(3, 6, seed=3), HOSTILE)
    with visitor(page.url) as someone:
        someone.page.set_input_files("#drop input[type=file]", bundle)
        someone.sees(".tz-class")
        names = someone.page.locator(".tz-class b").all_inner_texts()
        hacked = someone.page.evaluate("window.hacked")
    assert sorted(names) == sorted(HOSTILE.values())
    assert hacked is None


@pytest.mark.slow
@pytest.mark.browser
def test_a_zip_that_is_no_dataset_is_explained_where_it_was_dropped(page: Served, tmp_path: Path) -> None:
    bundle = tmp_path / "notes.zip"
    bundle.write_bytes(b"not a zip at all")
    with visitor(page.url) as someone:
        someone.page.set_input_files("#drop input[type=file]", bundle)
        someone.sees(".tz-say.bad")
        someone.sees(".tz-next button:visible:has-text('Use the sample')")


def test_the_page_opens_quickly_and_without_torch(page: Served) -> None:
    assert page.seconds < 20
    assert not page.holds_torch


@pytest.mark.slow
@pytest.mark.browser
def test_the_tour_teaches_its_words_where_they_matter_and_is_offered_once(page: Served) -> None:
    with visitor(page.url) as someone:
        someone.keys("Start the tour")
        for screen, word in (("compare", "Feature extraction"), ("train", "Fine-tuning"), ("train", "Backpropagation")):
            someone.sees(f".tz-tour b:visible:text-is({word!r})")
            someone.sees(f".tz-steps [data-choice={screen}][aria-current]")
            someone.keys("Next word")
        for screen, word in (("results", "Overfitting"), ("results", "Autoencoder")):
            someone.sees(f".tz-tour b:visible:text-is({word!r})")
            someone.sees(f".tz-steps [data-choice={screen}][aria-current]")
            someone.keys("Next word" if word == "Overfitting" else "Done")
        someone.reload()
        assert someone.page.locator(".tz-tour:visible").count() == 0
        someone.keys("css=.tz-ask")
        someone.sees(".tz-tour b:visible:text-is('Feature extraction')")
        someone.page.keyboard.press("Escape")
        assert someone.page.evaluate("document.activeElement.matches('.tz-ask')")
        assert someone.page.locator(".tz-tour:visible").count() == 0
        card = someone.page.request.get(page.url + "/looks/card.png")
        assert (card.status, card.headers["content-type"]) == (200, "image/png")


def test_no_change_is_followed_for_ever(settings: Settings) -> None:
    page = build(settings, local=True)
    followed = Counter(target for function in page.fns.values() for target in set(function.targets))
    for function in page.fns.values():
        assert function.trigger_mode != "always_last" or all(followed[target] == 1 for target in function.targets)


def test_no_screen_says_that_there_is_no_classifier_before_it_has_looked(settings: Settings) -> None:
    page = build(settings, local=True)
    shown = [str(getattr(block, "value", "")) for block in page.blocks.values()]
    assert sum("Looking for your classifiers" in one for one in shown) == 3
    assert not [one for one in shown if "Train a classifier first" in one]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_a_whole_visit_from_a_zip_to_an_answer_with_the_keyboard_alone(
    tmp_path: Path, picture_folder: PictureFolder
) -> None:
    folder = picture_folder(3, 16)
    bundle = zipped(folder, HOSTILE)
    faults: list[str] = []
    with served(tmp_path / "home") as page:
        with visitor(page.url) as someone:
            someone.keys("Not now")
            someone.page.set_input_files("#drop input[type=file]", bundle)
            someone.sees(".tz-class")
            faults += someone.faults()
            someone.keys("Compare backbones")
            for extra in ("lite1", "lite2"):
                someone.page.uncheck(f"label:has-text('{extra}') input")
            someone.keys("Start comparing")
            someone.sees("button:visible:has-text('Train this')", 300)
            faults += someone.faults()
            someone.keys("Train this")
            someone.sees("text=expected on this machine")
            faults += someone.faults()
            assert not page.holds_torch
            someone.keys("Start training")
            someone.sees(".tz-badge:has-text('queued'), .tz-badge:has-text('running')")
            someone.page.wait_for_url("**run=*")
            someone.reload()
            someone.sees("button:visible:has-text('Try it')", 300)
            faults += someone.faults()
            someone.keys("css=.tz-steps [data-choice=results]")
            someone.sees(".tz-heat")
            someone.keys("css=#confusion [data-choice^='cell']")
            someone.sees("#cell figure")
            faults += someone.faults()
            someone.keys("Try it")
            someone.page.set_input_files("#ask input[type=file]", next((folder / "class_1").glob("*.png")))
            someone.sees("#answers .tz-answer")
            assert someone.page.inner_text("#answers .tz-answer h3") == HOSTILE["class_1"]
            someone.keys("css=#screen-try .tz-pick button")
            someone.sees("#answers .tz-answer .tz-badge")
            someone.keys("Where did it look?")
            someone.sees(".tz-maps figure >> nth=1", 300)
            faults += someone.faults()
            someone.page.fill("#truth input", HOSTILE["class_0"] + "!")
            someone.page.keyboard.press("Enter")
            someone.keys("Put it right")
            someone.sees("button:visible:has-text('Train again with it')")
            assert not page.holds_torch
            address = someone.page.url.removeprefix(page.url)
            someone.keys("css=.tz-steps [data-choice=share]", "Space")
            someone.sees("#formats button")
            faults += someone.faults()
            someone.keys("Make it")
            someone.sees("#takeout .tz-tiles", 300)
            someone.sees("#take")
            assert not page.holds_torch
            assert someone.page.evaluate("window.hacked") is None
        with visitor(page.url, at=address) as other:
            other.sees("button:visible:has-text('Try it')")
            other.follows(f"{page.url}/try{address.removeprefix('/')}", "#ask")
            other.page.set_input_files("#ask input[type=file]", next((folder / "class_1").glob("*.png")))
            other.sees("#answers .tz-answer")
            assert other.page.locator(".tz-steps, .tz-tour, .nav-holder:visible").count() == 0
            faults += other.faults()
            other.follows(f"{page.url}/try?run=none", "text=There is no classifier at this address")
    assert faults == []


@pytest.mark.parametrize("arguments", [("--host", "0.0.0.0"), ("--share",)])
def test_a_page_that_others_can_reach_needs_a_password(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "--home", str(tmp_path), *arguments]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    assert asked.returncode == 2
    assert "STUDIO_AUTH=name:secret" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1
    assert not any(Store(tmp_path).runs.iterdir())
