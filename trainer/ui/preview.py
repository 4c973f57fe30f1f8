"""What a link opens, ``/preview?run=ID&key=KEY``: one classifier to ask, for people who are not signed in.

No part of Gradio's page, whose functions all stand behind the login: a form, one picture, and the answer.
"""

from __future__ import annotations

from functools import cache, partial

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from trainer.links import Links
from trainer.runs import Runs
from trainer.ui.asked import ask
from trainer.ui.present import UNKNOWN, words
from trainer.ui.shelf import shared
from zoo.errors import StudioError
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit, language
from zoo.ui.guard import PREVIEW
from zoo.ui.kit import esc
from zoo.ui.theme import STYLES

AT_ONCE = 2  # questions
FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>{title}</title><style>{style}
body {{ margin: 0 auto; max-width: 720px; padding: 20px; background: var(--tz-paper); color: var(--tz-ink);
  font: 16px/1.5 -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; }}
form {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }}</style>{script}</head><body>
<header class="tz-mast tz-alone"><div><h1>{title}</h1><p>{sentence}</p></div>{languages}</header>
<main>{body}</main></body></html>"""


def routes(settings: Settings) -> list[Route]:
    """For the server's routes."""
    store = Store(settings.home)  # the key says who may
    runs, turns = Runs(store, settings), CapacityLimiter(AT_ONCE)  # those who wait hold no thread
    links, shelf = Links(store, runs), shared(settings)

    def shown(run_id: str, key: str, content: bytes | None) -> Response:
        try:
            if not links.opens(run_id, key):
                return _page("Nothing to try here", UNKNOWN, status=404)
            title, sentence = words(runs, store, run_id)
        except StudioError:
            return _page("Nothing to try here", UNKNOWN, status=404)
        if content is None:
            return _page(title, sentence, _form())
        try:
            said = ask(runs, shelf, run_id, content).html(runs, None)
        except StudioError as error:
            return _page(title, sentence, kit.say(str(error), "bad") + _form(), status=400)
        return _page(title, sentence, said + _form())

    async def preview(request: Request) -> Response:
        content = None
        if request.method == "POST":
            async with request.form(max_files=1, max_fields=2) as form:
                file = form.get("picture")
                content = await file.read() if isinstance(file, UploadFile) else b""
        named = request.query_params
        answer = partial(shown, named.get("run", ""), named.get("key", ""), content)
        return await to_thread.run_sync(answer, limiter=turns)

    return [Route(PREVIEW, preview, methods=["GET", "POST"])]


def _form() -> str:
    return (
        '<form method="post" enctype="multipart/form-data"><input type="file" name="picture" accept="image/*" '
        f'aria-label="{esc("A picture")}" required><button class="tz-do">{esc("Ask")}</button></form>'
    )


@cache
def _style() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in STYLES)


def _page(title: str, sentence: str, body: str = "", status: int = 200) -> Response:
    text = FRAME.format(
        title=esc(title), sentence=esc(sentence), body=body, script=language.head(), languages=kit.languages(),
        style=_style(),
    )  # fmt: skip
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})
