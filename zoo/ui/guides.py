"""The guide in the page: ``/guide/NAME`` is ``zoo/guide/NAME.md`` as a person reads it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent.parent / "guide"
SCREENS = ("data", "compare", "train", "results", "try", "share")

FRAME = """<!doctype html><html lang="en"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · Transfer Zoo</title><style>
:root {{ color-scheme: light dark; --ink: light-dark(#1b2420, #e7ece8); --soft: light-dark(#56605a, #a5b1aa);
  --paper: light-dark(#f7f5f0, #111714); --line: light-dark(#e0dacd, #303a35); --main: light-dark(#0f6b54, #6fd0b0);
  --wash: light-dark(#efebe2, #222a26); }}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }}
nav, main {{ max-width: 72ch; margin: 0 auto; padding: 0 20px; }}
nav {{ padding-top: 20px; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 14.5px; }}
main {{ padding-bottom: 64px; }} h1 {{ font-size: 28px; line-height: 1.2; }} h2 {{ font-size: 20px; margin-top: 2em; }}
a {{ color: var(--main); }} a[aria-current] {{ color: var(--ink); font-weight: 600; text-decoration: none; }}
pre {{ background: var(--wash); padding: 12px 14px; border-radius: 8px; overflow-x: auto; font-size: 14px; }}
code {{ font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; font-size: .92em; }}
.table {{ overflow-x: auto; }} table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); }}
</style></head><body>
<nav aria-label="Guide"><a href="..">Transfer Zoo</a>{links}</nav><main>{body}</main></body></html>"""


def route() -> Route:
    """For the server's routes; a page that is not there is 404, in words."""
    return Route("/guide/{name}", _serve)


def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in names():
        return PlainTextResponse(f"There is no such page. The guide has: {', '.join(names())}.", status_code=404)
    return HTMLResponse(read(name))


@cache
def names() -> tuple[str, ...]:
    """Screens in their order, then the rest."""
    rest = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in SCREENS)
    return (*SCREENS, *rest)


@cache
def read(name: str) -> str:
    """The page of the guide as HTML, with links to the others."""
    from markdown_it import MarkdownIt

    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    body = re.sub(r'href="([\w-]+)\.md', r'href="\1', MarkdownIt().enable("table").render(text))
    body = body.replace("<table>", '<div class="table" tabindex="0"><table>').replace("</table>", "</table></div>")
    links = "".join(
        f'<a href="{other}"{" aria-current=page" if other == name else ""}>{other.replace("-", " ").capitalize()}</a>'
        for other in names()
    )
    return FRAME.format(title=text.partition("\n")[0].lstrip("# "), links=links, body=body)
