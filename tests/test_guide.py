"""The guide is true, and the same in both languages: its commands run one after the other, its links lead somewhere."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.applications import Starlette
from starlette.testclient import TestClient

from zoo.ui import guides

TOP = Path(__file__).parent.parent
PAGES = sorted(guides.FOLDER.glob("*.md"))
KOREAN = guides.FOLDER / "ko"
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
STAMP = re.compile(r"\n<!-- of the English ([0-9a-f]{8}) -->\n$")


def test_every_screen_has_a_page() -> None:
    assert set(guides.SCREENS) <= {path.stem for path in PAGES}


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted(KOREAN.glob("*.md"))], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    named = re.findall(r"`((?:zoo|trainer|tests)/[\w/.]+)`", text)
    assert [link for link in linked if not (page.parent / link).exists()] == []
    assert [name for name in named if not (TOP / name).exists()] == []
    shown = guides.read(page.stem, "ko" if page.parent == KOREAN else "en")
    assert ".md" not in "".join(re.findall(r'href="([^"]*)"', shown))
    assert f"aria-current=page>{text.partition(chr(10))[0][2:].partition(':')[0]}<" in shown


def test_every_page_has_its_korean_and_no_korean_is_of_a_page_that_is_gone() -> None:
    assert {path.name for path in KOREAN.glob("*")} == {path.name for path in PAGES}


@pytest.mark.parametrize("english", PAGES, ids=lambda path: path.stem)
def test_a_korean_page_says_what_the_english_one_says_now(english: Path) -> None:
    theirs, ours = (path.read_text(encoding="utf-8") for path in (english, KOREAN / english.name))
    stamp, now = STAMP.search(ours), hashlib.sha256(" ".join(theirs.split()).encode()).hexdigest()[:8]
    assert stamp, f"It has to end: <!-- of the English {now} -->"
    assert stamp[1] == now, f"The English has changed: mend the Korean, then let it end <!-- of the English {now} -->"
    blocks = zip(kept(STAMP.sub("", ours)), kept(theirs), strict=True)
    assert [both for both in blocks if both[0] != both[1]] == []
    assert latin(STAMP.sub("", ours)) - latin(theirs) == set(), "no word that the English has not"


def kept(text: str) -> list[tuple[object, ...]]:
    """Block by block what translating leaves alone: kinds, code, links, emphasis, numbers, signs of formulas."""
    return [_block(token) for token in MarkdownIt().enable("table").parse(text)]


def _block(token: Token) -> tuple[object, ...]:
    inner = token.children or []
    said = "".join(one.content for one in inner if one.type == "text")
    return (
        (token.type, token.tag, token.info, token.content if token.type in ("fence", "code_block") else ""),
        Counter(one.type for one in inner if one.type not in ("text", "softbreak")),
        Counter(one.content for one in inner if one.type == "code_inline"),
        [one.attrGet("href") for one in inner if one.type == "link_open"],
        Counter(re.findall(r"\d+(?:[.,]\d+)*", said)),
        Counter(re.findall(r"[^\x00-\x7f가-힣]", said)),
    )


def latin(text: str) -> set[str]:
    """The words in Latin letters, outside code: names and terms that have no Korean of their own."""
    tokens = MarkdownIt().enable("table").parse(text)
    said = " ".join(one.content for token in tokens for one in token.children or [] if one.type == "text")
    return set(re.findall(r"[a-z]+", said.lower()))


def test_the_guide_speaks_the_language_of_whoever_reads_it() -> None:
    page = TestClient(Starlette(routes=[guides.route()]))

    def language(address: str, browser: str) -> str:
        answer = page.get(f"/guide/{address}", headers={"accept-language": browser})
        shown, other = ("ko", "en") if "<h1>비교:" in answer.text else ("en", "ko")
        assert answer.text.startswith(f'<!doctype html><html lang="{shown}">')
        assert f'<a href="?lang={other}" hreflang="{other}"' in answer.text
        assert f'<a href="train?lang={shown}">' in answer.text.partition("<main>")[2]
        assert answer.headers["vary"] == "accept-language"
        return shown

    assert [language("compare", browser) for browser in ("ko-KR,ko;q=0.9,en;q=0.8", "ko", "en-US,ko;q=0.5", "")] == [
        *("ko", "ko", "en", "en"),
    ]
    assert language("compare?lang=en", "ko") == language("compare?lang=fr", "ko") == "en"
    assert language("compare?lang=ko", "en") == language("compare?__lang=ko", "en") == "ko"
    missing = page.get("/guide/nothing?lang=ko")
    assert missing.status_code == 404
    assert missing.text.startswith("그런 페이지는 없습니다. 안내에 있는 것: data, compare,")


@pytest.mark.slow
def test_the_commands_of_the_guide_run_as_they_stand(tmp_path: Path) -> None:
    screens = [guides.FOLDER / f"{name}.md" for name in guides.SCREENS]
    script = "".join(block for page in screens for block in SHELL.findall(page.read_text(encoding="utf-8")))
    assert script.count("python -m") > 10
    (tmp_path / "out").mkdir()
    environment = {
        **os.environ,
        "STUDIO_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(TOP),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    shell = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(
        shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"comparison.html", "results.html", "answers.json", "looked.png"} <= made
    assert any(name.startswith("onnx/") and name.endswith(".onnx") for name in made)
