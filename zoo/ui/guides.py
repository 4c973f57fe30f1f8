"""The guide in the page: ``/guide/NAME`` is ``zoo/guide/NAME.md``, or ``ko/NAME.md`` for whoever reads Korean.

Which of the two follows the page's rule (``language.js``): what the address asks for (``?lang=``), else what was chosen
before, else the browser's first language. A server cannot know what was chosen: ``guides.js`` sees to that.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from zoo.speech import catalogue

FOLDER = Path(__file__).parent.parent / "guide"
SCRIPT = Path(__file__).parent / "guides.js"
SCREENS = ("data", "compare", "train", "results", "try", "share")
LANGUAGES = {"en": "English", "ko": "한국어"}

FRAME = """<!doctype html><html lang="{language}"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · Transfer Zoo</title><script>{script}</script><style>
:root {{ color-scheme: light dark; --ink: light-dark(#1b2420, #e7ece8); --soft: light-dark(#56605a, #a5b1aa);
  --paper: light-dark(#f7f5f0, #111714); --line: light-dark(#e0dacd, #303a35); --main: light-dark(#0f6b54, #6fd0b0);
  --wash: light-dark(#efebe2, #222a26); }}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }}
nav, main {{ max-width: 640px; margin: 0 auto; padding: 0 20px; }}
nav {{ padding-top: 20px; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 14.5px; }}
main {{ padding-bottom: 64px; }} h1 {{ font-size: 28px; line-height: 1.2; }} h2 {{ font-size: 20px; margin-top: 2em; }}
a {{ color: var(--main); }} a[aria-current] {{ color: var(--ink); font-weight: 600; text-decoration: none; }}
pre {{ background: var(--wash); padding: 12px 14px; border-radius: 8px; overflow-x: auto; font-size: 14px; }}
code {{ font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; font-size: .92em; }}
.table {{ overflow-x: auto; }} table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); }}
:lang(ko) :is(nav, main) {{ word-break: keep-all; overflow-wrap: break-word; }} nav [hreflang] {{ margin-left: auto; }}
:lang(ko) :is(th, td:first-child) {{ min-width: 6em; }} :lang(ko) em {{ font-style: normal; font-weight: 600; }}
</style></head><body>
<nav aria-label="{guide}"><a href="..">Transfer Zoo</a>{links}</nav><main>{body}</main></body></html>"""


def route() -> Route:
    """For the server's routes; a page that is not there is 404, in words."""
    return Route("/guide/{name}", _serve)


def _serve(request: Request) -> Response:
    name, language = request.path_params["name"], _language(request)
    if name not in names():
        said = " ".join(_said(one, language) for one in ("There is no such page.", "The guide has:"))
        return PlainTextResponse(f"{said} {', '.join(names())}.", status_code=404)
    return HTMLResponse(read(name, language), headers={"vary": "accept-language"})


def _language(request: Request) -> str:
    asked = request.query_params.get("lang") or request.query_params.get("__lang")
    first = asked or request.headers.get("accept-language", "")
    return "ko" if re.match(r"ko\b", first, re.IGNORECASE) else "en"


def _said(sentence: str, language: str) -> str:
    return catalogue()[sentence] if language == "ko" else sentence


@cache
def names() -> tuple[str, ...]:
    """Screens in their order, then the rest."""
    rest = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in SCREENS)
    return (*SCREENS, *rest)


def source(name: str, language: str) -> Path:
    """The file of a page: English lies in the guide's folder, every other language in one of its own."""
    return FOLDER / ("" if language == "en" else language) / f"{name}.md"


@cache
def read(name: str, language: str) -> str:
    """The page of the guide as HTML, with links to the others and to itself in the other language."""
    from markdown_it import MarkdownIt

    body = MarkdownIt().enable("table").render(source(name, language).read_text(encoding="utf-8"))
    body = re.sub(r'href="([\w-]+)\.md', rf'href="\1?lang={language}', body)
    body = body.replace("<table>", '<div class="table" tabindex="0"><table>').replace("</table>", "</table></div>")
    return FRAME.format(
        language=language,
        title=_title(name, language),
        script=SCRIPT.read_text(encoding="utf-8"),
        guide=_said("Guide", language),
        links=_links(name, language),
        body=body,
    )


def _title(name: str, language: str) -> str:
    return source(name, language).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def _links(here: str, language: str) -> str:
    pages = "".join(
        f'<a href="{name}?lang={language}"{" aria-current=page" if name == here else ""}>'
        f"{_title(name, language).partition(':')[0]}</a>"
        for name in names()
    )
    others = (
        f'<a href="?lang={code}" hreflang="{code}" lang="{code}">{own}</a>'
        for code, own in LANGUAGES.items()
        if code != language
    )
    return pages + "".join(others)
