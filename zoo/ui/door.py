"""How a page is served: nothing leaves for another host, and nothing is open that a person did not ask for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from gradio.utils import LRUCache
from starlette.middleware import Middleware
from starlette.routing import Route

from zoo.settings import Settings, set_environment
from zoo.ui import front, guides, language
from zoo.ui.asking import known
from zoo.ui.belongings import Belongings
from zoo.ui.civil import Civil
from zoo.ui.guard import LOCAL, Guard
from zoo.ui.theme import MARK, STYLES, theme

WAITING = 64  # visitors' actions that may queue
CONVERSATIONS = 4000  # whose unread answers are known; Gradio keeps the answers themselves of half as many
REMEMBERED = 300  # sessions, some 0.7 MB each; a script that names none has a new one with every call
IDLE = (
    75  # seconds a connection may rest; longer than any client keeps one, so that none is closed while it is used again
)
SPACES = "https://huggingface.co https://*.hf.space"


def launch(
    page: gr.Blocks, settings: Settings, routes: Sequence[Route], *, host: str, port: int, share: bool, local: bool
) -> None:
    """Serve ``page``, and what ``routes`` add to it, until it is interrupted."""
    guard = Middleware(
        Guard,
        hosts=LOCAL if local else (),
        max_upload=settings.max_upload_mb << 20,
        framed_by=SPACES if settings.on_space else "'none'",
        proxied=settings.on_space,
        uploads=20 if settings.mode == "demo" else 120,
    )
    layers = [guard]
    if settings.mode != "single":
        folder = Path(gr.utils.get_upload_folder())
        layers.append(Middleware(Belongings, asker=known(settings), folder=folder, bound=settings.mode == "team"))
    layers += [Middleware(Civil), Middleware(front.Carded, proxied=settings.on_space)]
    queue(page)
    page.launch(
        server_name=host,
        server_port=port,
        share=share,
        auth=list(settings.auth) or None,
        app_kwargs={"middleware": layers, "routes": [language.route(), guides.route(), *front.routes(), *routes]},
        head=language.head(),
        mcp_server=settings.mcp,
        max_file_size=settings.max_upload_mb << 20,
        state_session_capacity=REMEMBERED,
        theme=theme(),
        css_paths=STYLES,
        favicon_path=MARK,
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        quiet=False,
        prevent_thread_lock=True,
    )
    if page.server is not None:
        page.server.config.timeout_keep_alive = IDLE
    page.block_thread()


def queue(page: gr.Blocks) -> None:
    """Let visitors' actions wait in turn, and nothing be kept of those that are past.

    Gradio notes its last 10,000 calls and makes a table of them all, with pandas, after every single one, for a
    dashboard that is off here; and of each conversation it keeps an empty set for ever.
    """
    set_environment(GRADIO_ANALYTICS_MAX_EVENTS="1", GRADIO_ANALYTICS_CACHE_FREQUENCY=str(sys.maxsize))
    page.queue(api_open=False, max_size=WAITING, default_concurrency_limit=4)
    page._queue.pending_event_ids_session = LRUCache(CONVERSATIONS)  # noqa: SLF001 - it has no switch
