"""The page in Korean in a real browser: no English sentence is left, a person's own words stay, and the way back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import PictureFolder
from tests.served import served, visitor, zipped

SAID = """() => { const out = [], walk = document.createTreeWalker(document.body, 5);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const own = node.nodeType === 3 ? node.parentElement : node;
    if (!own?.checkVisibility() || own.closest('script,style,code,pre,[translate=no]')) continue;
    if (node.nodeType === 3) out.push(node.nodeValue);
    else for (const one of ['aria-label', 'title', 'placeholder', 'alt']) out.push(node.getAttribute(one) ?? '');
  } return [...new Set(out.map(one => one.trim()).filter(Boolean))]; }"""
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

        someone.keys("css=[data-language=en]")
        someone.sees("[data-language=en][aria-pressed=true]")
        someone.sees("button:has-text('Compare backbones')")
        assert not re.search(r"[가-힣]", someone.page.inner_text("body").replace("한국어", ""))
        someone.follows(page.url, "[data-language=en][aria-pressed=true]")  # the choice is remembered
