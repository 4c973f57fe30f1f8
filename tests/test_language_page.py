"""The page in Korean in a real browser: no English sentence is left, the switch works by keyboard, and leads back."""

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
ENGLISH = re.compile(r"[A-Za-z][a-z’']+,? [A-Za-z]*[a-z]{2,}|^[A-Z][a-z]{3,}$")
NAMES = re.compile(
    r"Transfer Zoo|\S+[/_.]\S+|\b(?:class_\d|MobileNet|EfficientNet|ResNet|ViT|ImageNet|LogME|Hugging Face|Parquet)\S*"
)


@pytest.mark.slow
@pytest.mark.browser
def test_no_english_sentence_is_left_in_korean_and_the_way_back_is_one_key(
    tmp_path: Path, picture_folder: PictureFolder
) -> None:
    bundle = zipped(picture_folder(3, 6))
    with served(tmp_path / "home") as page, visitor(page.url, at="/?lang=ko") as someone:
        someone.sees(".tz-language [data-language=ko][aria-pressed=true]")
        someone.sees("h2:has-text('사진으로 시작하기')")
        someone.page.set_input_files("#drop input[type=file]", bundle)
        someone.sees(".tz-class")
        left = {}
        for step in ("data", "compare", "train", "results", "try", "share"):
            someone.go(step)
            someone.sees(f".tz-steps [data-choice={step}][aria-current]")
            someone.page.wait_for_timeout(300)
            left |= {one: step for one in someone.page.evaluate(SAID) if ENGLISH.search(NAMES.sub("", one))}
        assert left == {}
        assert someone.page.get_attribute("html", "lang") == "ko"
        someone.page.focus("[data-language=en]")
        someone.page.keyboard.press("Enter")
        someone.go("data")
        someone.sees("text=Your own train, val and test folders, button:visible:has-text('Compare backbones')")
        assert not re.search(r"[가-힣]", someone.page.inner_text("body").replace("한국어", ""))
        someone.page.goto(page.url)  # the choice is remembered
        someone.sees("[data-language=en][aria-pressed=true]")
