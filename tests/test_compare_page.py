"""The Compare screen in a real browser: a comparison by its address, chosen from, explained, taken away."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import drawn
from tests.served import Served, Visitor, served, visitor
from tests.zoo.test_reporting import HOSTILE, comparison, row
from zoo.compare import Question
from zoo.comparisons import Comparisons
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

LITE = "embedded/tf_efficientnet_lite"
pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Shown:
    """A page whose home holds one comparison, of three that exist and one whose name is code."""

    page: Served
    comparison: str

    @property
    def address(self) -> str:
        return f"/?comparison={self.comparison}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    top = tmp_path_factory.mktemp("compare")
    for kind in range(2):
        (top / "pictures" / f"class_{kind}").mkdir(parents=True)
        for number in range(8):
            drawn(kind, number, (64, 48)).save(top / "pictures" / f"class_{kind}" / f"{number}.png")
    settings = Settings(home=top / "home", offline=True, threads=1)
    store = Store(settings.home)
    dataset = intake(top / "pictures", store, settings)
    rows = [row(f"{LITE}{number}", 0.7 + 0.1 * number, 10 * 3**number) for number in range(3)]
    rows.append(row(HOSTILE, 0.6, 40, commercial=None, licence="${window.hacked=1}"))
    place = {"gain": 0.0, "gain_interval": [-0.03, 0.02], "slope": 0.01}
    found = comparison(*rows, dataset=dataset.id)
    found["quadrant"] |= place
    comparisons = Comparisons(store, settings)
    comparisons.keep(Question(backbones=tuple(one["id"] for one in rows)), found)
    with served(settings.home) as page:
        yield Shown(page, comparisons.list()[0])


@pytest.fixture
def someone(shown: Shown) -> Iterator[Visitor]:
    with visitor(shown.page.url, at=shown.address) as someone:
        someone.sees(".tz-pareto")
        yield someone


def test_an_address_opens_its_comparison_in_a_browser_that_knows_nothing(shown: Shown, someone: Visitor) -> None:
    assert shown.address in someone.page.url
    assert someone.page.get_attribute(".tz-facts", "data-backbone") == f"{LITE}0"
    assert someone.page.evaluate("window.hacked") is None
    assert someone.page.locator(".tz-row .name b").all_inner_texts()[3].startswith(HOSTILE.partition("/")[2])


def test_an_address_of_no_comparison_opens_the_page_all_the_same(shown: Shown) -> None:
    with visitor(shown.page.url, at="/?comparison=../../etc") as someone:
        someone.sees(".tz-steps [data-choice=data][aria-current]")


def test_a_point_that_is_pressed_is_the_backbone_that_is_trained(someone: Visitor) -> None:
    someone.page.click(f".tz-pareto [data-choice='{LITE}2']")
    someone.sees(f".tz-facts[data-backbone='{LITE}2']")
    someone.sees(".tz-next-text:visible:has-text('lite2')")
    someone.reload()
    someone.sees(f".tz-facts[data-backbone='{LITE}2']")
    someone.press("Train this")
    someone.page.wait_for_function(f"[...document.querySelectorAll('input')].some(i => i.value === '{LITE}2')")


def test_a_point_is_reached_and_pressed_by_keyboard(someone: Visitor) -> None:
    someone.page.focus(f".tz-pareto [data-choice='{LITE}0']")
    someone.page.keyboard.press("Tab")
    someone.page.keyboard.press("Enter")
    someone.sees(f".tz-facts[data-backbone='{LITE}1']")


def test_a_term_is_explained_where_it_is_pressed(someone: Visitor) -> None:
    assert not someone.page.is_visible("#tz-term-knn")
    someone.page.click(".tz-facts .tz-term:has-text('kNN')")
    someone.sees("#tz-term-knn:has-text('nearest neighbours')")
    someone.page.keyboard.press("Escape")
    someone.page.wait_for_selector("#tz-term-knn", state="hidden")
    terms = someone.page.eval_on_selector_all(".tz-term", "all => all.map(one => one.popoverTargetElement !== null)")
    assert len(terms) > 10
    assert all(terms)


def test_a_comparison_is_taken_away_as_three_files(someone: Visitor, tmp_path: Path) -> None:
    kept = {}
    for ending in ("html", "csv", "json"):
        with someone.page.expect_download() as download:
            someone.page.click(f"a.tz-file[download$='.{ending}']")
        kept[ending] = tmp_path / f"it.{ending}"
        download.value.save_as(kept[ending])
    assert len(json.loads(kept["json"].read_text())["backbones"]) == 4
    lines = list(csv.DictReader(kept["csv"].read_text(encoding="utf-8-sig").splitlines()))
    assert [line["id"] for line in lines][3:] == [HOSTILE, "pixels/8x8"]
    page = someone.page.context.new_page()
    page.goto(kept["html"].as_uri())
    assert page.locator("tbody tr").count() >= 5
    assert page.evaluate("document.scripts.length") == 2  # the switch of languages, in the head: none of a stranger's
    assert page.evaluate("document.body.querySelectorAll('script').length") == 0


def test_the_catalog_is_narrowed_and_a_tick_never_hides(someone: Visitor) -> None:
    someone.press("Compare again")
    someone.press("Find more backbones")
    someone.page.uncheck("label:has-text('Here already') input")
    someone.sees("label:has-text('torchvision/googlenet')")
    someone.page.get_by_label("Search").fill("vgg")
    someone.page.wait_for_selector("label:has-text('torchvision/googlenet')", state="detached")
    assert someone.page.locator(".tz-catalog label:has-text('vgg16')").count() >= 1
    assert someone.page.locator(".tz-catalog input:checked").count() == 3


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
def test_the_screen_fits(shown: Shown, width: int, theme: str) -> None:
    with visitor(shown.page.url, width=width, theme=theme, at=shown.address) as someone:
        someone.sees(".tz-pareto")
        someone.page.click(".tz-more summary")
        assert someone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not shown.page.holds_torch
