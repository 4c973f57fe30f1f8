"""The page in Korean in a real browser: no English sentence is left, a person's own words stay, and the way back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import PictureFolder
from tests.get_chromium import chromium
from tests.served import CHROMIUM, served, visitor, zipped
from tests.trainer.test_results import whole
from tests.zoo.test_reporting import comparison, row
from trainer import report
from zoo import reporting

SAID = """() => { const SHOWN = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
  const out = [], walk = document.createTreeWalker(document.body, 5);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const own = node.nodeType === 3 ? node.parentElement : node;
    if (!own?.checkVisibility() || own.closest('script,style,code,pre,[translate=no]')) continue;
    if (node.nodeType === 3) out.push(node.nodeValue);
    else if (node.matches('input[role=combobox]')) out.push(SHOWN.get.call(node));
    else for (const one of ['aria-label', 'title', 'placeholder', 'alt']) out.push(node.getAttribute(one) ?? '');
  } return [...new Set(out.map(one => one.trim()).filter(Boolean))]; }"""
READ = "[...document.querySelectorAll('input[role=combobox]')].map(one => one.value)"
CHANGED_AGAIN = "said => said.filter(one => /[가-힣]/.test(one) && studioLanguage.translate(one) !== one)"
ENGLISH = re.compile(r"[A-Za-z][a-z’']+,? [A-Za-z]*[a-z]{2,}|^[A-Z][a-z]{3,}$")
NAMES = re.compile(
    r"Transfer Zoo|Data, Share, pictures|\S+[/_.]\S+"
    r"|\b(?:MobileNet|EfficientNet|ResNet|ViT|ImageNet|LogME|Hugging Face|Parquet)\S*"
)
OWN = ["Data", "Share", "pictures"]  # classes called as the page's own words are


@pytest.mark.slow
@pytest.mark.browser
def test_no_english_sentence_is_left_in_korean_and_the_way_back_is_one_key(
    tmp_path: Path, picture_folder: PictureFolder
) -> None:
    bundle = zipped(picture_folder(3, 6), {f"class_{i}": name for i, name in enumerate(OWN)})
    with served(tmp_path / "home") as page, visitor(page.url, at="/?lang=ko") as someone:
        someone.sees("[data-language=ko][aria-pressed=true]")
        someone.sees("h2:has-text('사진으로 시작하기')")
        someone.page.set_input_files("#drop input[type=file]", bundle)
        someone.sees(".tz-class")
        assert sorted(someone.page.locator(".tz-class div > b").all_inner_texts()) == OWN
        said: dict[str, str] = {}
        for step in ("compare", "train", "results", "try", "share", "data"):
            someone.page.evaluate("step => document.querySelector(`.tz-steps [data-choice=${step}]`).click()", step)
            someone.sees(f".tz-steps [data-choice={step}][aria-current]")
            someone.sees(f"#screen-{step} >> text=/[가-힣]/")
            said |= dict.fromkeys(someone.page.evaluate(SAID), step)
        assert {one: step for one, step in said.items() if ENGLISH.search(NAMES.sub("", one))} == {}
        assert someone.page.evaluate(CHANGED_AGAIN, list(said)) == []  # what is Korean is left alone
        assert someone.page.get_attribute("html", "lang") == "ko"
        assert not re.search("[가-힣]", " ".join(someone.page.evaluate(READ)))  # what Gradio reads of them is English

        assert someone.page.get_attribute(".tz-guide", "href") == "guide/data?lang=ko"
        with someone.page.context.new_page() as guide:
            guide.goto(f"{page.url.rstrip('/')}/guide/train")  # asks for no language: it is the one that was chosen
            guide.wait_for_url("**/guide/train?lang=ko")
            assert guide.get_attribute("html", "lang") == "ko"
            assert "전략" in guide.inner_text("main")
            guide.click("[hreflang=en]")
            guide.wait_for_url("**/guide/train?lang=en")
            assert "Strategies" in guide.inner_text("main")

        someone.keys("css=[data-language=en]")
        someone.sees("[data-language=en][aria-pressed=true]")
        assert someone.page.get_attribute(".tz-guide", "href") == "guide/data?lang=en"
        someone.sees("button:has-text('Compare backbones')")
        assert not re.search(r"[가-힣]", someone.page.inner_text("body").replace("한국어", ""))
        someone.follows(page.url, "[data-language=en][aria-pressed=true]")  # the choice is remembered


@pytest.mark.browser
def test_a_report_is_korean_by_the_switch_it_carries(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    quadrant = {"cell": "little, alike", "sentence": "", "p_alike": 0.9, "p_large": 0.1}
    told = comparison(row("timm/a", 0.9, 40, taps=[]), quadrant=quadrant, sentence="", unavailable=[])
    pages = {"compared": reporting.as_html(told, "Share"), "results": report.as_html(whole(), "Share")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        for name, html in pages.items():
            (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
            tab = browser.new_page()
            tab.goto(f"file://{tmp_path}/{name}.html")
            english = tab.inner_text("main")
            tab.click("[data-language=ko]")
            tab.wait_for_selector("h2:has-text('읽는 법')")
            said = tab.evaluate(SAID)
            assert [one for one in said if ENGLISH.search(NAMES.sub("", one.replace("Share", "")))] == [], name
            assert "Share" in tab.inner_text("h1")  # a name of a person's own
            tab.click("[data-language=en]")
            assert tab.inner_text("main") == english
        browser.close()
