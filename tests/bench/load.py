"""Many at one page: viewers of a run and visitors who predict at once, an upload, a restart, a start as on a Space.

``python tests/bench/load.py`` prints the figures; ``--soak 600`` keeps the crowd there for ten minutes and tells how
the page's memory went; with ``--space``, a start with SPACE_ID set, two threads and 16 GB, and a visit to its end, all
exports included. Clients run on the same cores as the page. All is offline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
API = "/gradio_api"
MB = 1 << 20
FLAT = 0.05  # growth in ten minutes, as a share of the memory, that still is flat


@dataclass
class Page:
    """``python app.py`` on a port of its own, and the most memory that it and all it started took together."""

    home: Path
    space: bool
    port: int
    process: subprocess.Popen[bytes] | None = None
    peak: float = 0.0
    every: float = 0.3  # seconds between two looks at the memory of all; each look costs some of the processor
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        more = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2", "STUDIO_MODE": "single"}
        more |= {"SPACE_ID": "owner/zoo"} if self.space else {}
        command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(self.port), "--home", str(self.home)]
        with (self.home.parent / "page.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | more, stdout=log, stderr=log)
        if self.space:
            resource.prlimit(self.process.pid, resource.RLIMIT_DATA, (16 << 30, 16 << 30))
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                httpx.get(self.url, timeout=5)
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise SystemExit((self.home.parent / "page.log").read_text())

    def stop(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def own(self) -> float:
        """MiB of the page's process alone."""
        assert self.process
        return float(psutil.Process(self.process.pid).memory_info().rss / MB)

    def watch(self) -> None:
        """Note the most that all processes on this home take together, workers that outlive the page included."""
        while not self.done.wait(self.every):
            self.peak = max(self.peak, sum(map(_resident, psutil.process_iter()), 0.0))


def _resident(process: psutil.Process) -> float:
    """MiB, what is shared counted by share, of a process that belongs to the page under test."""
    try:
        if HOME and any(HOME in part for part in [*process.cmdline(), process.environ().get("STUDIO_HOME", "")]):
            return float(process.memory_full_info().pss / MB)
    except (psutil.Error, OSError):
        pass
    return 0.0


HOME = ""


async def call(client: httpx.AsyncClient, name: str, *data: Any, session: str | None = None) -> Any:
    """The last value that an endpoint gives; ``session`` is a browser tab's, else one of its own.

    Raises:
        RuntimeError: it gave an error.
    """
    asked = await client.post(f"{API}/call/{name}", json={"data": list(data), "session_hash": session})
    asked.raise_for_status()
    event, last = "", None
    async with client.stream("GET", f"{API}/call/{name}/{asked.json()['event_id']}") as answer:
        async for line in answer.aiter_lines():
            kind, _, rest = line.partition(": ")
            if kind == "event":
                event = rest
            elif kind == "data" and event == "error":
                raise RuntimeError(f"{name}: {rest}")
            elif kind == "data" and event in ("complete", "generating"):
                last = json.loads(rest)
    return last[0] if isinstance(last, list) and last else last


async def upload(client: httpx.AsyncClient, content: AsyncIterator[bytes], name: str) -> str:
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for part in content:
            yield part
        yield b"\r\n--b--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post(f"{API}/upload", content=body(), headers=kind, timeout=600)
    answer.raise_for_status()
    return str(answer.json()[0])


async def given(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def megabytes(count: int) -> AsyncIterator[bytes]:
    part = os.urandom(MB)
    for _ in range(count):
        yield part


async def repeated(what: Callable[[], Any], until: float, pause: float, took: list[float], errors: list[str]) -> None:
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            await what()
            took.append(time.monotonic() - begun)
        except (RuntimeError, httpx.HTTPError) as error:
            errors.append(repr(error)[:200])
        await asyncio.sleep(pause)


async def visit(client: httpx.AsyncClient, epochs: int) -> tuple[str, dict[str, Any]]:
    """From the sample to a finished run: its id, and the plan."""
    begun = time.monotonic()
    dataset = (await call(client, "intake", "sample"))["dataset"]
    await call(client, "check", dataset)
    found = await call(client, "compare", dataset, ["embedded/tf_efficientnet_lite0", "pixels/8x8"], 0)
    assert found["state"] == "finished", found["message"]
    plan = await call(client, "suggest", dataset, found["id"])
    run = await call(client, "train", plan)
    while (state := await call(client, "run", run))["state"] in ("queued", "running"):
        await asyncio.sleep(1)
    assert state["state"] == "finished", state["message"]
    print(
        f"visit: given, checked, compared, trained in {time.monotonic() - begun:.0f} s, {state['test']['accuracy']:.3f}"
    )
    return run, plan | {"epochs": epochs, "patience": 0, "strategy": "full"}


async def taken_away(client: httpx.AsyncClient, run: str) -> None:
    """The rest of a visit: a picture asked about, and every form that the Share screen makes."""
    begun = time.monotonic()
    picture = next((ROOT / "zoo/sample").rglob("*.*g")).read_bytes()
    (row,) = await call(client, "predict", run, [await upload(client, given(picture), "one.png")])
    assert row["label"], row
    sizes = {}
    for form in ("folder", "onnx", "openvino", "space", "web"):
        bundle = await call(client, "export", run, form)
        sizes[form] = round(Path(bundle["path"]).stat().st_size / 1e6)
    print(f"  asked, and taken away as {sizes} MB in {time.monotonic() - begun:.0f} s more")


def percentile(took: list[float], share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(share * len(took)))] if took else float("nan")


async def crowd(page: Page, run: str, plan: dict[str, Any], asked: argparse.Namespace) -> None:
    picture = next((ROOT / "zoo/sample").rglob("*.*g")).read_bytes()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=page.url, timeout=60, limits=limits) as client:
        try:
            watched = await call(client, "train", plan)
        except RuntimeError:
            watched = run
        path = await upload(client, given(picture), "one.png")
        await call(client, "predict", run, [path])
        seen: list[float] = []
        answered: list[float] = []
        errors: list[str] = []
        until = time.monotonic() + asked.seconds
        jobs = [
            repeated(partial(call, client, "run", watched, session=f"v{one}"), until, 1.5, seen, errors)
            for one in range(asked.viewers)
        ] + [
            repeated(partial(call, client, "predict", run, [path], session=f"p{one}"), until, 1.0, answered, errors)
            for one in range(asked.visitors)
        ]
        memory: list[tuple[float, float]] = []
        begun = time.monotonic()

        async def measure() -> None:
            minute = 0
            while time.monotonic() < until:
                memory.append((time.monotonic() - begun, page.own))
                if asked.soak and memory[-1][0] >= 60 * minute:
                    print(f"  minute {minute:2d}: {memory[-1][1]:.0f} MiB, {len(errors)} errors", flush=True)
                    minute += 1
                await asyncio.sleep(2 if asked.soak else max(0.5, asked.seconds / 40))

        await asyncio.gather(*jobs, measure())
        if watched != run:
            await call(client, "stop", watched)
    for name, took in (
        (f"{asked.viewers} viewers of a run", seen),
        (f"{asked.visitors} visitors predicting", answered),
    ):
        print(f"{name}: {len(took)} answers, median {percentile(took, 0.5):.2f} s, p95 {percentile(took, 0.95):.2f} s")
    print(f"errors: {len(errors)} {sorted(set(errors))[:3] if errors else ''}")
    if asked.soak:
        print(settled(memory))
        return
    own = [one for _, one in memory]
    quarter = max(1, len(own) // 4)
    first, last = statistics.median(own[quarter : 2 * quarter] or own), statistics.median(own[-quarter:])
    print(f"memory of the page over {asked.seconds} s: second quarter {first:.0f} MiB, last {last:.0f} MiB")
    print("  each tenth:", *(f"{one:.0f}" for one in own[:: max(1, len(own) // 10)]))


def settled(memory: list[tuple[float, float]]) -> str:
    """Whether the memory (seconds, MiB) of a soak was flat once its caches were full: the slope of the second half.

    Neighbouring looks are alike, so that the line goes through means of half a minute; the interval is Student's.
    """
    from scipy.stats import t

    half = memory[-1][0] / 2
    parts: dict[int, list[float]] = {}
    for second, mib in memory:
        if second >= half:
            parts.setdefault(int(second // 30), []).append(mib)
    minutes, means = [one / 2 for one in parts], [statistics.fmean(one) for one in parts.values()]
    ends = f"memory of the page: {memory[0][1]:.0f} MiB at the start, {memory[-1][1]:.0f} at the end, "
    if len(means) < 5:
        return ends + "too short a soak to tell more"
    slope, intercept = statistics.linear_regression(minutes, means)
    off = sum((mean - slope * minute - intercept) ** 2 for minute, mean in zip(minutes, means, strict=True))
    spread = sum((minute - statistics.fmean(minutes)) ** 2 for minute in minutes)
    wide = float(t.ppf(0.975, len(means) - 2)) * (off / (len(means) - 2) / spread) ** 0.5
    middle = statistics.median(means)
    most = 10 * (slope + wide)
    word = "flat" if most <= FLAT * middle else "not shown to be flat" if slope <= wide else "growing"
    return (
        f"{ends}most {max(one for _, one in memory):.0f}; {word}: second half {middle:.0f} MiB, slope "
        f"{slope:+.2f} MiB a minute ({slope - wide:+.2f} to {slope + wide:+.2f}), "
        f"at most {most:+.1f} in ten minutes (flat: {FLAT * middle:.0f})"
    )


async def big(page: Page, count: int) -> None:
    before, most, done = page.own, page.own, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, page.own)
            await asyncio.sleep(0.05)

    async with httpx.AsyncClient(base_url=page.url) as client:
        watching, begun = asyncio.create_task(watch()), time.monotonic()
        path = await upload(client, megabytes(count), "big.zip")
        done.set()
        await watching
    size = Path(path).stat().st_size / MB
    took = time.monotonic() - begun
    print(f"upload of {size:.0f} MiB in {took:.0f} s: memory of the page {before:.0f} to {most:.0f} MiB")
    Path(path).unlink()


def reconnects(page: Page) -> None:
    """A browser's page stays open while the server is killed and started again, and then still works."""
    from playwright.sync_api import sync_playwright

    from tests.get_chromium import chromium
    from tests.served import CHROMIUM

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        tab = browser.new_page()
        tab.goto(page.url)
        tab.wait_for_selector(".tz-steps button")
        page.stop()
        page.start()
        begun = time.monotonic()
        working = False
        while not working and time.monotonic() - begun < 60:
            tab.click(".tz-steps [data-choice=train]", force=True)
            try:
                tab.wait_for_selector(".tz-steps [data-choice=train][aria-current=step]", timeout=2000)
                working = True
            except Exception:  # noqa: BLE001 - not yet
                continue
        took, words = time.monotonic() - begun, "works again" if working else "does NOT work"
        print(f"restart: an open page {words} after {took:.1f} s")
        browser.close()


def main() -> None:
    global HOME  # noqa: PLW0603
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=40)
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60, help="of the crowd")
    parser.add_argument("--soak", type=int, default=0, metavar="SECONDS", help="the crowd alone, for as long")
    parser.add_argument("--upload-mb", type=int, default=1024, help="0 for none")
    parser.add_argument("--space", action="store_true", help="start as a Space would: SPACE_ID, 2 threads, 16 GB")
    asked = parser.parse_args()
    if asked.soak:
        asked.seconds, asked.upload_mb = asked.soak, 0
    with tempfile.TemporaryDirectory(prefix="load-") as scratch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page = Page(Path(scratch) / "home", asked.space, free.getsockname()[1], every=2 if asked.soak else 0.3)
        free.close()
        page.home.mkdir()
        HOME = str(page.home)
        page.start()
        watching = threading.Thread(target=page.watch, daemon=True)
        watching.start()
        try:
            asyncio.run(everything(page, asked))
            if not asked.soak:
                reconnects(page)
        finally:
            page.stop()
            page.done.set()
            watching.join()
            from tests.trainer.conftest import end_everything
            from zoo.store import Store

            end_everything(Store(page.home))
        print(f"most memory of all processes together, a full training included: {page.peak:.0f} MiB")


async def everything(page: Page, asked: argparse.Namespace) -> None:
    async with httpx.AsyncClient(base_url=page.url, timeout=600) as client:
        run, plan = await visit(client, epochs=200 if asked.soak else 60)  # longer than the crowd stays
        print(f"  most memory of all processes together until then: {page.peak:.0f} MiB", flush=True)
        if asked.space:
            await taken_away(client, run)
            print(f"  most memory of all processes together in the whole visit: {page.peak:.0f} MiB", flush=True)
    await crowd(page, run, plan, asked)
    if asked.upload_mb:
        await big(page, asked.upload_mb)


if __name__ == "__main__":
    main()
