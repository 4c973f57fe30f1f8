"""The Korean of what the studio says, and reports that speak both languages in one file."""

from __future__ import annotations

import json
import re
from functools import cache
from html import unescape
from pathlib import Path

HERE = Path(__file__).parent / "ui"
CATALOGUES = HERE / "korean"
SCRIPT = HERE / "language.js"
SWITCH = (
    '<p class="tongue" translate="no"><button type="button" data-language="en" lang="en">English</button> '
    '<button type="button" data-language="ko" lang="ko">한국어</button></p>'
)
STYLE = """.tongue { float: right; margin: 0 0 8px 16px; } .tongue button { font: inherit; font-size: 13px;
padding: 5px 10px; border: 1px solid #d3ccbe; border-radius: 7px; background: none; color: #56605a; cursor: pointer; }
.tongue [aria-pressed=true] { background: #e3f0ea; color: #1b2420; font-weight: 600; }
:lang(ko) body { word-break: keep-all; } @media print { .tongue { display: none; } }"""


@cache
def catalogue() -> dict[str, str]:
    """The Korean for every template."""
    merged: dict[str, str] = {}
    for path in sorted(CATALOGUES.glob("*.json")):
        merged |= json.loads(path.read_text(encoding="utf-8"))
    return merged


def bilingual(page: str) -> str:
    """An English page of HTML with a switch to Korean, which it carries: the templates that its words may be of."""
    said = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    names = re.findall(r'aria-label="([^"]*)"', page)
    text = " ".join([said, *map(unescape, names)])
    book = {one: korean for one, korean in catalogue().items() if all(part.strip() in text for part in one.split("{}"))}
    carried = json.dumps(book, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    script = SCRIPT.read_text(encoding="utf-8").replace("%VERSION%", "")
    head = f"<style>{STYLE}</style><script>window.studioBook = {carried};</script><script>{script}</script></head>"
    before, _, rest = page.partition("</head>")
    return before + head + re.sub(r"<main>|<body>(?!<main>)", lambda tag: tag[0] + SWITCH, rest, count=1)
