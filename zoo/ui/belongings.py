"""Files, conversations and their events on a page for several people: each for whoever gave or was given it.

Gradio serves an uploaded file or a result to anyone who knows its path, and takes any such path as input. Here what a
path, a conversation or an event leads to is not found by anyone else. The ledger lives as long as the page.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from zoo.ui.guard import LOGIN, PREVIEW, UPLOAD, App, Message, Receive, Send, answer

MOST = 50_000  # entries; the oldest go first
LONGEST = 4096  # characters of a path
PATHS = 4000  # in one request
REPLY = 4 << 20  # bytes of an answer that are looked through
NOT_FOUND = (404, "There is no such file here. Give it again.")
STRANGE = (400, "This request is not JSON.")


class Belongings:
    """Wraps the page's ASGI app, inside of the guard.

    Args:
        app: what to guard.
        asker: who asks, by the request's scope; None for nobody, who gets nothing.
        folder: where the page keeps files, uploads and results alike.
        bound: conversations and events are their beginner's, too. Not where people are told apart by an address, which
            may change under them.
    """

    def __init__(self, app: App, *, asker: Callable[[Message], str | None], folder: Path, bound: bool) -> None:
        self.app = app
        self.asker = asker
        self.folder = os.path.realpath(folder)
        self._name = Path(self.folder).name
        self.bound = bound
        self._ledger: OrderedDict[str, set[str]] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        who, path = self.asker(scope), scope["path"]
        asked = _asked_file(path)
        if asked is not None:
            inside = self._inside(asked)
            if not all(self._may(f"file {one}", who) for one in inside):
                return await answer(send, *NOT_FOUND)
            return await self.app(scope, receive, send)
        form = path == PREVIEW or path.rstrip("/").endswith((UPLOAD, LOGIN))
        if scope["method"] == "POST" and not form:
            body = await _whole(receive)
            refused = self._refused(body, who)
            if refused:
                return await answer(send, *refused)
            receive = _again(body, receive)
        if self.bound and not all(self._may(one, who, new=True) for one in _named(scope)):
            return await answer(send, *NOT_FOUND)
        return await self.app(scope, receive, self._noting(send, who, scope))

    def _refused(self, body: bytes, who: str | None) -> tuple[int, str] | None:
        """What stands against a request for its body's sake."""
        if not body:
            return None
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return STRANGE
        suspects = [text for text in _texts(value) if self._suspect(text)]
        if len(suspects) > PATHS:
            return STRANGE
        inside = [found for text in suspects for found in self._inside(text)]
        if not all(self._may(f"file {one}", who) for one in inside):
            return NOT_FOUND
        if not self.bound or not isinstance(value, dict):
            return None
        named = [f"{kind} {value[kind]}" for kind in ("session_hash", "event_id") if isinstance(value.get(kind), str)]
        return None if all(self._may(one, who, new=True) for one in named) else NOT_FOUND

    def _noting(self, send: Send, who: str | None, scope: Message) -> Send:
        """``send``, which notes first what it tells ``who``: that is theirs from then on."""
        rest, streamed, kept = b"", False, False
        uploads = scope["path"].rstrip("/").endswith(UPLOAD)

        async def noting(message: Message) -> None:
            nonlocal rest, streamed, kept
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                streamed = kind.startswith(b"text/event-stream")
                kept = streamed or (scope["method"] == "POST" and kind.startswith(b"application/json"))
            elif kept and who is not None:
                rest += message.get("body", b"")
                if streamed:
                    lines, _, rest = rest.rpartition(b"\n")
                    for line in lines.split(b"\n"):
                        self._note(line.removeprefix(b"data:"), who)
                elif not message.get("more_body"):
                    self._note(rest, who, uploads=uploads)
                rest = rest if len(rest) < REPLY else b""
            await send(message)

        return noting

    def _note(self, said: bytes, who: str, *, uploads: bool = False) -> None:
        """Only files that Gradio itself hands out become somebody's: not a path that an answer merely repeats."""
        if self._name.encode() not in said and b"event_id" not in said:
            return
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict) and isinstance(value.get("event_id"), str):
            self._may(f"event_id {value['event_id']}", who, new=True)
        for text in value if uploads and isinstance(value, list) else _handed(value):
            for found in self._inside(text) if isinstance(text, str) and self._suspect(text) else ():
                self._own(f"file {found}").add(who)

    def _may(self, what: str, who: str | None, *, new: bool = False) -> bool:
        """Whether ``what`` is theirs; ``new`` makes it so where it was nobody's."""
        if new and what not in self._ledger and who is not None:
            self._own(what).add(who)
        if new and who is None:
            return what not in self._ledger
        return who in self._ledger.get(what, ())

    def _own(self, what: str) -> set[str]:
        owners = self._ledger.setdefault(what, set())
        self._ledger.move_to_end(what)
        while len(self._ledger) > MOST:
            self._ledger.popitem(last=False)
        return owners

    def _suspect(self, text: str) -> bool:
        """Whether ``text`` may lead into the folder; looking at the disk for each text there is would take too long."""
        return len(text) <= LONGEST and (self._name in text or "/fd/" in text)

    def _inside(self, text: str) -> set[str]:
        """Paths in the folder that ``text`` may lead to: for the system, by "~", for Gradio ("..", by name)."""
        try:
            by_name, at_home = os.path.abspath(text), os.path.expanduser(text)  # noqa: PTH100, PTH111 - as Gradio does
            found = {os.path.realpath(way) for way in (text, by_name, at_home)}
        except (OSError, ValueError):
            return set()
        return {one for one in found if one == self.folder or one.startswith(self.folder + os.sep)}


def _asked_file(path: str) -> str | None:
    """What an address asks to read, in either of Gradio's forms; after the first, as Gradio reads it."""
    found = re.search(r"/file[=/](.*)", path, re.DOTALL)
    return found[1] if found else None


def _handed(value: Any) -> Iterator[Any]:
    """Paths of the files within an answer that Gradio marks as such."""
    for one in _within(value):
        kind = one.get("meta") if isinstance(one, dict) else None
        if isinstance(kind, dict) and kind.get("_type") == "gradio.FileData":
            yield one.get("path")


def _named(scope: Message) -> Iterator[str]:
    """Conversations and events that an address names."""
    for value in parse_qs(scope.get("query_string", b"").decode("latin1")).get("session_hash", []):
        yield f"session_hash {value}"
    parts = scope["path"].strip("/").split("/")
    if len(parts) > 2 and parts[-2] == "heartbeat":
        yield f"session_hash {parts[-1]}"
    if scope["method"] == "GET" and len(parts) > 3 and parts[1] == "call":
        yield f"event_id {parts[-1]}"


def _texts(value: Any) -> Iterator[str]:
    """Every text within a JSON value."""
    return (one for one in _within(value) if isinstance(one, str))


def _within(value: Any) -> Iterator[Any]:
    """A JSON value and all within it; without recursion, which a stranger's nesting would exhaust."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


async def _whole(receive: Receive) -> bytes:
    """A body, which the guard has capped."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more; then what else comes, so that a browser that leaves is noticed."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
