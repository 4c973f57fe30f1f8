"""What other programs show of the page: its icon, its colour, and the card of a link to it."""

from __future__ import annotations

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from zoo.ui.kit import SAID, esc
from zoo.ui.theme import HERE

TITLE = "Transfer Zoo"
CARD, ICON = HERE / "card.png", HERE / "icon.png"
# Gradio's client ends an upload's progress, which has ended by then, with a "close" that does nothing but warn.
HUSHED = """<script>(warn => { console.warn = (...said) => {
  if (said[0] !== 'Method not implemented.') warn(...said); }; })(console.warn.bind(console));</script>"""


def head() -> str:
    """Tags for browsers, search engines and whoever shows a link as a card."""
    named = {"description": SAID, "twitter:card": "summary_large_image", "twitter:title": TITLE}
    shown = {"og:type": "website", "og:title": TITLE, "og:description": SAID, "og:image:alt": SAID}
    card = {"og:image": "/looks/card.png", "og:image:width": "1200", "og:image:height": "630"}
    tags = [f'<meta name="{name}" content="{esc(said)}">' for name, said in named.items()]
    tags += [f'<meta property="{name}" content="{esc(said)}">' for name, said in (shown | card).items()]
    tags += [
        f'<meta name="theme-color" media="(prefers-color-scheme: {day})" content="{colour}">'
        for day, colour in (("light", "#f7f5f0"), ("dark", "#111714"))
    ]
    return "".join([*tags, '<link rel="apple-touch-icon" href="/looks/icon.png">', HUSHED])


def routes() -> list[Route]:
    """Where the two pictures are."""

    def answer(name: str) -> Route:
        def send(_: object) -> Response:
            return FileResponse(HERE / name, headers={"cache-control": "public, max-age=86400"})

        return Route(f"/looks/{name}", send)

    return [answer(one.name) for one in (CARD, ICON)]
