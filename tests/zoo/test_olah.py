"""A real hub on loopback: olah serves git repositories, read only, to the loaders that ask Hugging Face elsewhere.

It wants an older psutil than the studio, so it gets an environment of its own; where pip cannot make one, this is
skipped. A proxy in front of it, on loopback too, makes its answers late, missing, short, long or false.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import PictureFolder
from tests.zoo.test_hub import compared
from tests.zoo.test_sources import TINY, give_vit, give_weights
from zoo.settings import Settings

pytestmark = pytest.mark.slow
OLAH = "olah>=0.5.4,<0.6"
CONFIG = """[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{top}/repos"
mirrors-path = ["{top}/mirrors"]

[accessibility]
offline = true
"""


@pytest.fixture(scope="module")
def olah(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in an environment of its own."""
    top = tmp_path_factory.mktemp("olah")
    if shutil.which("git") is None:
        pytest.skip("olah serves git repositories, and there is no git here")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", top], check=True)
    python = top / ("Scripts" if os.name == "nt" else "bin") / "python"
    line = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", OLAH]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install olah here: {done.stderr.strip().splitlines()[-1:]}")
    return python.with_name("olah-cli")


@pytest.fixture(scope="module")
def hub(olah: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a hub with a timm network and one of transformers."""
    top = tmp_path_factory.mktemp("hub")
    made = Settings(home=top / "made")
    give_weights(made, TINY[0])
    give_vit(made, "some/vit")
    (made.home / "models" / "some" / "vit" / "README.md").write_text("---\nlicense: mit\n---\n")
    repository(made.home / "models" / TINY[0], top / "mirrors" / "models" / "timm" / TINY[0])
    repository(made.home / "models" / "some" / "vit", top / "mirrors" / "models" / "some" / "vit")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (top / "olah.toml").write_text(CONFIG.format(port=port, top=top.as_posix()))
    with (top / "log").open("w") as log:
        server = subprocess.Popen([olah, "--config", top / "olah.toml"], stdout=log, stderr=log, cwd=top)
    try:
        until = time.monotonic() + 60
        while not answers(port):
            assert server.poll() is None, (top / "log").read_text()
            assert time.monotonic() < until, (top / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def answers(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def repository(source: Path, path: Path) -> None:
    """``source`` as the one commit of a git repository at ``path``."""
    shutil.copytree(source, path)
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-q", "-m", "weights")):
        subprocess.run(["git", "-C", path, *words], check=True, capture_output=True)


@pytest.mark.parametrize("backbone", [f"timm/{TINY[0]}", "transformers/some/vit"])
def test_a_backbone_is_fetched_from_a_real_hub(
    backbone: str, hub: str, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    data = picture_folder(2, 8)
    done = compared(data, tmp_path / "home", hub, backbone)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["backbones"][0]
    assert row["id"] == backbone
    assert list((tmp_path / "home" / "hf").rglob("model.safetensors"))


def test_what_a_real_hub_does_not_have_is_explained_in_one_line(
    hub: str, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    done = compared(picture_folder(2, 8), tmp_path / "home", hub, "transformers/nobody/nothing")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(".")


@pytest.fixture(scope="module")
def faulty(hub: str) -> Iterator[str]:
    """The address of that hub through a proxy; a request for ``/fault/NAME/FILE`` says what becomes of that file."""
    behind, wanted = urlsplit(hub), {"fault": "", "file": ""}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/fault/"):
                wanted["fault"], wanted["file"] = unquote(self.path).split("/")[2:]
                self.send_response(204)
                self.end_headers()
                return
            told = HTTPConnection(behind.hostname or "", behind.port)
            given = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            told.request(self.command, self.path, headers=given)
            answer = told.getresponse()
            headers, content = dict(answer.getheaders()), answer.read()
            told.close()
            mine = self.path.endswith(f"/{wanted['file']}")
            spoilt(self, wanted["fault"] if mine else "", answer.status, headers, content)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def spoilt(request: BaseHTTPRequestHandler, fault: str, status: int, headers: dict[str, str], content: bytes) -> None:
    """The hub's own answer, with ``fault`` in it."""
    match fault:
        case "late":
            time.sleep(0.2)
        case "gone":
            status, headers, content = 404, {}, b""
        case "broken" if content:
            status, headers, content = 500, {}, b""
        case "garbage":
            content = b"\xff" * len(content)
        case "a wrong size" if request.command == "HEAD":
            headers |= {"Content-Length": "77"}
    request.send_response(status)
    for name, value in headers.items():
        if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
            request.send_header(name, value)
    request.end_headers()
    try:
        if fault == "cut off":
            content = content[: len(content) // 2]
        if fault == "a trickle":
            for number in range(len(content)):
                request.wfile.write(content[number : number + 1])
                request.wfile.flush()
                time.sleep(0.1)
        request.wfile.write(content)
    except OSError:  # the client gave up, as it should
        pass
    request.close_connection = True


def test_slow_missing_and_garbage_answers_end_in_one_sentence_and_leave_nothing_behind(
    faulty: str, tmp_path: Path
) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "STUDIO_OFFLINE")}
    environ |= {"HF_ENDPOINT": faulty, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TINY": TINY[0]}
    line = [sys.executable, "-m", "tests.zoo.small_hub_loads", faulty, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(line, capture_output=True, text=True, cwd=root, env=environ, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["fault"] for row in rows if not row["said"]] == ["late", "late"]
    for row in rows:
        if row["said"]:
            problem, remedy = row["said"]
            assert problem.endswith("."), row
            assert remedy.startswith("Use an embedded backbone, or put "), row
            assert row["cached"] == [], row
