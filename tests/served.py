"""The real page in a process of its own, and a visitor in a real Chromium who notes whatever should not happen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.get_chromium import chromium
from tests.trainer.conftest import end_everything
from zoo.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WARNED = ("error", "warning")
# null: not there yet; else whether the focus can be seen.
REACHED = """what => {
  const at = document.activeElement, words = what.startsWith('css=') ? null : what;
  const here = at && (words ? at.matches('button, a') && at.textContent.includes(words) : at.matches(what.slice(4)));
  if (!here) return null;
  const drawn = getComputedStyle(at);
  return (drawn.outlineStyle !== 'none' && parseFloat(drawn.outlineWidth) > 0) || drawn.boxShadow !== 'none';
}"""
# How many stops of the Tab key lie before it at least: what else takes the focus, such as fields, comes on top.
AHEAD = """what => {
  const can = [...document.querySelectorAll('button:enabled, a[href]')].filter(one => one.tabIndex >= 0
    && one.checkVisibility({ visibilityProperty: true }));
  const words = what.startsWith('css=') ? null : what, at = document.activeElement;
  const after = can.filter(one => at.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
  return after.findIndex(one => words ? one.textContent.includes(words) : one.matches(what.slice(4)));
}"""
AXE = """async night => {
  document.body.classList.toggle('dark', night);
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (const fading of document.getAnimations()) { try { fading.finish(); } catch { fading.cancel(); } }
  const found = await axe.run(document, { resultTypes: ['violations'] });
  const bad = found.violations.filter(one => ['serious', 'critical'].includes(one.impact));
  return {
    passed: found.passes.length,
    faults: bad.flatMap(one => one.nodes.map(node => `${one.id}: ${node.target.join(' ')} ${node.html.slice(0, 160)}`)),
  };
}"""


@dataclass(frozen=True)
class Served:
    """A page that answers at ``url``."""

    url: str
    pid: int
    home: Path
    seconds: float  # from its start to its first answer

    @property
    def holds_torch(self) -> bool:
        return "libtorch" in Path(f"/proc/{self.pid}/maps").read_text()


@contextmanager
def served(home: Path, *arguments: str) -> Iterator[Served]:
    """``python app.py`` on a free port, until the block ends; what it started ends with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--home", str(home), *arguments]
    begun = time.monotonic()
    with (home.parent / "page.log").open("wb") as log:
        page = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, page, home.parent / "page.log")
        yield Served(url, page.pid, home, time.monotonic() - begun)
    finally:
        page.send_signal(signal.SIGINT)
        try:
            page.wait(10)
        except subprocess.TimeoutExpired:
            page.kill()
            page.wait()
        end_everything(Store(home))


def _wait(url: str, page: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 180  # other tests may be at work
    while time.monotonic() < end and page.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"the page did not answer:\n{log.read_text()}")


@dataclass
class Visitor:
    """A browser tab with a note of what the console warns of, each failed answer and request to another host."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self, url: str) -> None:
        self.page.on("console", lambda said: self._note(said.type in WARNED, f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self._note(True, f"script: {error}"))
        self.page.on("response", lambda answer: self._note(answer.status >= 400, f"{answer.status}: {answer.url}"))
        own = (url, "data:", "blob:")
        self.page.on("request", lambda asked: self._note(not asked.url.startswith(own), f"elsewhere: {asked.url}"))

    def go(self, step: str) -> None:
        self.page.click(f".tz-steps [data-choice={step}]")

    def press(self, words: str) -> None:
        self.page.click(f"button:visible:has-text({words!r})")

    def keys(self, what: str, key: str = "Enter") -> None:
        """As ``press``, but with the keyboard alone; ``what`` are a button's words, or a selector after "css="."""
        shown = what.removeprefix("css=") if what.startswith("css=") else f"button:visible:has-text({what!r})"
        self.sees(shown)
        for _ in range(self.page.evaluate(AHEAD, what) - 1):
            self.page.keyboard.press("Tab")
        for _ in range(400):
            self.page.keyboard.press("Tab")
            ring = self.page.evaluate(REACHED, what)
            if ring is not None:
                assert ring, f"whoever comes to {what} with the keyboard does not see it"
                self.page.keyboard.press(key)
                return
        raise AssertionError(f"no way to {what} with the keyboard")

    def faults(self) -> list[str]:
        """What axe finds that is serious, as it looks by day on a desk and by night on a phone."""
        import axe_playwright_python

        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
        before, found = self.page.viewport_size, []
        dark = self.page.evaluate("document.body.classList.contains('dark')")
        for width, night in ((1280, False), (390, True)):
            self.page.set_viewport_size({"width": width, "height": 860})
            told = self.page.evaluate(AXE, night)
            assert told["passed"] > 10
            found += [f"{width} px, {'night' if night else 'day'}: {one}" for one in told["faults"]]
        self.page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        if before:
            self.page.set_viewport_size(before)
        return found

    def sees(self, what: str, seconds: float = 90) -> None:
        """Waits until one such element can be seen; every screen is in the page, all but one of them hidden."""
        self.page.wait_for_selector(f"{what} >> visible=true", timeout=1000 * seconds)

    def reload(self) -> None:
        """Load the page again."""
        self._leave(self.page.reload, ".tz-steps button")

    def follows(self, address: str, what: str) -> None:
        """Go from this page to another address, until ``what`` is seen there."""
        self._leave(lambda: self.page.goto(address), what)

    def _leave(self, go: Callable[[], object], what: str) -> None:
        """What the browser says of requests that leaving a page cut off is nothing to complain of."""
        before = list(self.complaints)
        go()
        self.sees(what)
        cut_off = (
            "console: AbortError",
            "console: Unexpected error Connection errored out",
            "console: TypeError: network",
        )
        self.complaints[:] = before + [one for one in self.complaints[len(before) :] if not one.startswith(cut_off)]

    def _note(self, wrong: bool, what: str) -> None:
        if wrong:
            self.complaints.append(what)


@contextmanager
def visitor(url: str, *, width: int = 1280, height: int = 860, theme: str = "light", at: str = "") -> Iterator[Visitor]:
    """Someone new at the page, with a memory of their own; afterwards there must be nothing to complain of."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
        )
        context.set_default_timeout(90_000)  # a busy machine is no fault of the page
        someone = Visitor(context.new_page())
        someone.watch(url)
        someone.page.goto(url + at)
        someone.sees(".tz-steps button")
        yield someone
        browser.close()
    assert someone.complaints == [], someone.complaints


def zipped(folder: Path, names: dict[str, str] | None = None) -> Path:
    """``folder`` as a zip beside it, its class folders renamed as ``names`` says."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as bundle:
        for file in sorted(folder.rglob("*.*")):
            label, _, rest = file.relative_to(folder).as_posix().partition("/")
            bundle.write(file, f"{(names or {}).get(label, label)}/{rest}")
    return path


def environment(**more: str) -> dict[str, str]:
    """This process's environment with ``more`` in it."""
    return os.environ | more
