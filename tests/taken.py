"""Exports as those who took them away use them: a static page and a Gradio page, each in a real Chromium."""

from __future__ import annotations

import base64
import functools
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tests.get_chromium import chromium
from tests.served import CHROMIUM, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
DEAD = "http://127.0.0.1:9"  # a proxy that is not there: whatever is fetched through it fails
ASK = """async (bytes) => {
  const file = new Blob([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))]);
  const { probabilities, ms } = await window.classifier.classifyFile(file);
  return [probabilities, ms];
}"""


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server, as anyone would use for a static page."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
        """Say nothing."""


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """``folder`` served on loopback by a plain server; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def space(folder: Path) -> Iterator[tuple[str, int]]:
    """``python app.py`` in ``folder``, without a way to any other host; gives its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cut_off = {"http_proxy": DEAD, "https_proxy": DEAD, "no_proxy": "127.0.0.1,localhost", "PYTHONPATH": ""}
    page = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, env=os.environ | cut_off | {"GRADIO_SERVER_PORT": str(port)}
    )
    url, end = f"http://127.0.0.1:{port}/", time.monotonic() + 120
    try:
        while time.monotonic() < end and page.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
        yield url, page.pid
    finally:
        page.terminate()
        page.wait(20)


CLIENTS_OWN = "console: Method not implemented."  # Gradio's own client warns so after each upload


@contextmanager
def opened(url: str, locale: str = "en-US") -> Iterator[Visitor]:
    """A visitor with a camera; afterwards there must be nothing to complain of, no request elsewhere either."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*CHROMIUM, *CAMERA])
        someone = Visitor(browser.new_context(locale=locale).new_page())
        someone.page.set_default_timeout(120_000)
        someone.watch(url)
        someone.page.goto(url)
        yield someone
        browser.close()
    said = [one for one in someone.complaints if one != CLIENTS_OWN]
    assert said == [], said


def answers(page: Page, paths: Sequence[Path]) -> tuple[NDArray[np.float64], list[float]]:
    """(N, C) probabilities and seconds as the static page gives them for picture files."""
    said = [page.evaluate(ASK, base64.b64encode(path.read_bytes()).decode()) for path in paths]
    return np.array([row for row, _ in said]), [ms / 1000 for _, ms in said]
