"""Who asks: what the page knows of the person behind the function that runs right now."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import LocalContext

from zoo.owners import Owners, everyone
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui.guard import address


def visited(settings: Settings) -> Store:
    """The store as the visitors of a page may use it."""
    root = settings.home / "owners"
    match settings.mode:
        case "single":
            return Store(settings.home)
        case "demo":
            owners = Owners(root=root, asker=stranger, public=True)
        case _:
            owners = Owners(
                root=root,
                asker=signed_in if settings.auth or settings.oauth else everyone,
                keeper=settings.keeper or "\0",
                most_bytes=settings.owner_gb * 10**9,
                most_seconds=settings.owner_hours * 3600.0,
            )
    return Store(settings.home, owners)


def signed_in() -> str | None:
    """The name somebody signed in with; None for nobody."""
    request = _request()
    if request is None:
        return None
    if request.username:
        return str(request.username)
    session: dict[str, Any] = _scope(request).get("session") or {}
    name = session.get("oauth_info", {}).get("userinfo", {}).get("preferred_username")
    return str(name) if name else None


def stranger() -> str | None:
    """The network address that a visitor comes from; None for nobody."""
    request = _request()
    return address(_scope(request)) if request else None


def _request() -> gr.Request | None:
    found = LocalContext.request.get(None)
    return found if isinstance(found, gr.Request) else None


def _scope(request: gr.Request) -> Any:
    return request.request.scope if request.request is not None else {}
