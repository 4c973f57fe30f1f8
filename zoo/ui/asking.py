"""Who asks: what the page knows of the person behind the function that runs right now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import HTTPConnection

from zoo.owners import Owners
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
                asker=signed_in,
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
    return _profile(_scope(request))


def stranger() -> str | None:
    """The network address that a visitor comes from; None for nobody."""
    request = _request()
    return address(_scope(request)) if request else None


def known(settings: Settings) -> Callable[[Any], str | None]:
    """Who asks, by a request's scope, before any function of the page runs; the same as those above say."""
    if settings.mode == "demo":
        return address
    return _holder if settings.auth else _profile


def _holder(scope: Any) -> str | None:
    """Whose sign-in a request's cookie proves, as Gradio knows it."""
    page, cookies = scope["app"], HTTPConnection(scope).cookies
    names = (f"access-token-{page.cookie_id}", f"access-token-unsecure-{page.cookie_id}")
    token = next((cookies[name] for name in names if cookies.get(name)), None)
    return page.tokens.get(token) if token else None


def _profile(scope: Any) -> str | None:
    """Who the Space's host says it is, out of the signed cookie."""
    told = (scope.get("session") or {}).get("oauth_info", {})
    name = told.get("userinfo", {}).get("preferred_username")
    return str(name) if name else None


def _request() -> gr.Request | None:
    found = LocalContext.request.get(None)
    return found if isinstance(found, gr.Request) else None


def _scope(request: gr.Request) -> Any:
    return request.request.scope if request.request is not None else {}
