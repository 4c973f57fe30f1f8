"""The page's door: foreign origins, bodies that are too big and unknown hosts are turned away before Gradio sees them.

Pure ASGI, because middleware that buffers breaks server-sent events and hides a browser that went away.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = dict[bytes, str]

LOCAL = ("localhost", "127.0.0.1", "::1")
POLICY = (  # Gradio's own bundle needs the two unsafe- words; what matters is that nothing leaves for another host
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {}"
)
FETCHING = ("file=http", "/proxy=", "/vibe-")  # paths by which a visitor could make this server fetch or write for them
REFLECTED = (b"access-control-allow-origin", b"access-control-allow-credentials")
UPLOAD = "/gradio_api/upload"
LOGIN = "/login"
PREVIEW = "/preview"  # what a link to one classifier opens, signed in or not
PHOTO = 32 << 20  # bytes of one picture, which is read into memory
MINUTE = 60.0


class TooBig(Exception):
    """A body went on past its cap."""


class Guard:
    """Wraps the page's ASGI app.

    Args:
        app: what to guard.
        hosts: host names the page answers to, any where empty. Naming them keeps a page on localhost safe from
            a foreign name that was made to resolve to 127.0.0.1.
        max_upload: bytes that a file upload may have.
        max_body: bytes that any other request may have; Gradio itself caps neither JSON nor form fields.
        framed_by: who may show the page in a frame, as CSP's frame-ancestors.
        proxied: a proxy that the host trusts stands in front and names who asks.
        logins, uploads: of one address within a minute.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Iterable[str] = (),
        max_upload: int = 2 << 30,
        max_body: int = 8 << 20,
        framed_by: str = "'none'",
        proxied: bool = False,
        logins: int = 10,
        uploads: int = 120,
    ) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.max_upload = max_upload
        self.max_body = max_body
        self.policy = POLICY.format(framed_by).encode()
        self.proxied = proxied
        self.rates = {LOGIN: Rate(logins), UPLOAD: Rate(uploads), PREVIEW: Rate(uploads)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # the page uses none
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.lower(): value.decode("latin1") for name, value in scope["headers"]}
        scope["studio.address"] = _from(scope, headers) if self.proxied else _from(scope, {})
        caps = {UPLOAD: self.max_upload, PREVIEW: PHOTO}
        cap = next((most for end, most in caps.items() if scope["path"].rstrip("/").endswith(end)), self.max_body)
        refused = self._refused(scope, headers) or _oversized(headers, cap)
        if refused:
            return await answer(send, *refused)
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _forget_tokens(scope.get("session"))
                message = {**message, "headers": self._hardened(message["headers"])}
            await send(message)

        try:
            await self.app(scope, _counted(receive, cap), with_headers)
        except TooBig:
            if not started:
                await answer(send, 413, "This request is too big.")

    def _refused(self, scope: Message, headers: Headers) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if self.hosts and urlsplit(f"//{host}").hostname not in self.hosts:
            return 403, "This page answers to its own address only."
        origin = headers.get(
            b"origin"
        )  # a browser sends it with every write and every foreign read; a script sends none
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Requests from other sites are refused."
        reads = scope["method"] in ("GET", "HEAD", "OPTIONS")
        if not reads and headers.get(b"sec-fetch-site") == "cross-site":
            return 403, "Requests from other sites are refused."
        path = scope["path"].lower().rstrip("/")
        if any(part in path for part in FETCHING):
            return 403, "This address is switched off."
        rate = self.rates.get(path)
        if rate and scope["method"] == "POST" and not rate.allows(address(scope)):
            return 429, "These were too many within a minute. Wait a little."
        return None

    def _hardened(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kept = [(name, value) for name, value in headers if name.lower() not in REFLECTED]
        return [
            *kept,
            (b"content-security-policy", self.policy),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]


class Rate:
    """How often each address did something within the last minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._seen: dict[str, deque[float]] = {}

    def allows(self, who: str) -> bool:
        """Whether ``who`` may once more; counts it."""
        now = time.monotonic()
        if len(self._seen) > 10_000:
            self._seen = {one: times for one, times in self._seen.items() if times and now - times[-1] < MINUTE}
        times = self._seen.setdefault(who, deque(maxlen=self.most))
        if len(times) == self.most and now - times[0] < MINUTE:
            return False
        times.append(now)
        return True


def address(scope: Message) -> str:
    """Where a request that the guard let in comes from."""
    return str(scope.get("studio.address", "?"))


def _from(scope: Message, headers: Headers) -> str:
    """The last hop outside of the host's own network; those before it anyone can write."""
    hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", "").split(",")]
    outside = [hop for hop in hops if _public(hop)]
    return outside[-1] if outside else str((scope.get("client") or ("?",))[0])


def _public(hop: str) -> bool:
    try:
        return ipaddress.ip_address(hop).is_global
    except ValueError:
        return False


def _forget_tokens(session: Any) -> None:
    """Of who signed in keep the name, before it is written into a cookie: nothing here asks the host for more."""
    told = session.get("oauth_info") if session else None
    if told and "access_token" in told:
        who = {name: told["userinfo"].get(name) for name in ("name", "preferred_username", "profile", "picture")}
        session["oauth_info"] = {"userinfo": who, "expires_at": told.get("expires_at")}


def _oversized(headers: Headers, cap: int) -> tuple[int, str] | None:
    length = headers.get(b"content-length", "0")
    if not length.isdecimal():
        return 400, "The length of this request is not a number."
    return (413, f"This request is bigger than {cap >> 20} MiB.") if int(length) > cap else None


def _counted(receive: Receive, cap: int) -> Receive:
    """``receive``, until more than ``cap`` bytes came: a chunked body declares no length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > cap:
            raise TooBig
        return message

    return counted


async def answer(send: Send, status: int, sentence: str) -> None:
    """Answer a request with a sentence instead of the page."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
    )
    await send({"type": "http.response.body", "body": sentence.encode()})
