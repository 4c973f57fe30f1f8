"""What other programs show of the page: its icon, its colour, and the card of a link to it."""

from __future__ import annotations

import re

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from zoo.ui.guard import App, Headers, Message, Receive, Send
from zoo.ui.kit import SAID, esc
from zoo.ui.theme import HERE

TITLE = "Transfer Zoo"
CARD, ICON = HERE / "card.png", HERE / "icon.png"
GRADIOS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
ADDRESS = re.compile(r"[\w.-]+(:\d+)?|\[[\da-fA-F:]+\](:\d+)?")
# Gradio's client ends an upload's progress, which has ended by then, with a "close" that does nothing but warn.
HUSHED = """<script>(warn => { console.warn = (...said) => {
  if (said[0] !== 'Method not implemented.') warn(...said); }; })(console.warn.bind(console));</script>"""


def tags(base: str) -> str:
    """For browsers, search engines and whoever shows a link as a card; ``base`` is the page's address, if known."""
    named = {"description": SAID, "twitter:card": "summary_large_image", "twitter:title": TITLE}
    shown = {"og:type": "website", "og:title": TITLE, "og:description": SAID, "og:image:alt": SAID}
    card = {"og:image": f"{base}/looks/card.png", "og:image:width": "1200", "og:image:height": "630"}
    written = [f"<title>{TITLE}</title>", '<link rel="apple-touch-icon" href="/looks/icon.png">', HUSHED]
    written += [f'<meta name="{name}" content="{esc(said)}">' for name, said in named.items()]
    written += [f'<meta property="{name}" content="{esc(said)}">' for name, said in (shown | card).items()]
    written += [
        f'<meta name="theme-color" media="(prefers-color-scheme: {day})" content="{colour}">'
        for day, colour in (("light", "#f7f5f0"), ("dark", "#111714"))
    ]
    return "".join(written)


def routes() -> list[Route]:
    """Where the two pictures are."""

    def answer(name: str) -> Route:
        def send(_: object) -> Response:
            return FileResponse(HERE / name, headers={"cache-control": "public, max-age=86400"})

        return Route(f"/looks/{name}", send)

    return [answer(one.name) for one in (CARD, ICON)]


class Carded:
    """Puts ``tags`` into the page that is sent, in place of Gradio's, which speak of Gradio: few read what scripts add.

    Args:
        app: the page's ASGI app.
        proxied: a proxy that the host trusts stands in front and tells the name and scheme that a visitor used.
    """

    def __init__(self, app: App, *, proxied: bool = False) -> None:
        self.app = app
        self.proxied = proxied

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/gradio_api/" in scope["path"]:
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def carded(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _plain_html(message):
                start = message
            elif start is None or message["type"] != "http.response.body":
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    given = _carded(body, _base(scope, self.proxied))
                    kept = [one for one in start["headers"] if one[0].lower() != b"content-length"]
                    await send({**start, "headers": [*kept, (b"content-length", str(len(given)).encode())]})
                    await send({"type": "http.response.body", "body": given})

        await self.app(scope, receive, carded)


def _carded(html: bytes, base: str) -> bytes:
    before, head, rest = html.partition(b"<head>")
    if b"window.gradio_config" not in rest:
        return html
    meta, end, body = rest.partition(b"</head>")
    return b"".join([before, head, tags(base).encode(), GRADIOS.sub(b"", meta), end, body])


def _plain_html(message: Message) -> bool:
    headers = {name.lower(): value for name, value in message["headers"]}
    return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers


def _base(scope: Message, proxied: bool) -> str:
    """Where the page is, as its visitor wrote it; "" where that is no address."""
    headers: Headers = {name.lower(): value.decode("latin1") for name, value in scope["headers"]}
    host, scheme = headers.get(b"host", ""), str(scope.get("scheme", "http"))
    if proxied:
        host = headers.get(b"x-forwarded-host", host).rpartition(",")[2].strip()
        scheme = headers.get(b"x-forwarded-proto", scheme).rpartition(",")[2].strip()
    return f"{scheme}://{host}" if scheme in ("http", "https") and ADDRESS.fullmatch(host) else ""
