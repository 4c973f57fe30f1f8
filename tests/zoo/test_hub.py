"""Weights from a model hub. The hub here is a stand-in on loopback that speaks just enough of the real protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import PictureFolder
from tests.zoo.test_sources import TINY, give_vit, give_weights
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

pytestmark = pytest.mark.slow  # the hub's client tries a dead hub again and again

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a stand-in hub that answers every request with the function given; returns its address."""
    servers = []

    def start(answer: Answer) -> str:
        class Hub(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def compared(data: Path, home: Path, hub: str, backbone: str = f"timm/{TINY[0]}") -> subprocess.CompletedProcess[str]:
    """The command, against that hub alone."""
    environ = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "STUDIO_OFFLINE")}
    environ |= {"HF_ENDPOINT": hub, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1"}
    line = [sys.executable, "-m", "zoo", "compare", str(data), "--backbones", backbone]
    return subprocess.run(
        [*line, "--json", "--home", str(home)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environ,
        check=False,
        timeout=120,
    )


def test_a_hub_that_answers_is_asked_once(
    picture_folder: PictureFolder, tmp_path: Path, serve: Callable[[Answer], str]
) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere")
    give_weights(elsewhere, TINY[0])
    weights = (elsewhere.home / "models" / TINY[0] / "model.safetensors").read_bytes()
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(f"{request.command} {request.path}")
        request.send_response(200 if request.path.endswith("/resolve/main/model.safetensors") else 404)
        request.send_header("X-Repo-Commit", "a" * 40)
        request.send_header("ETag", f'"{hashlib.sha256(weights).hexdigest()}"')
        request.send_header("Content-Length", str(len(weights)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(weights)

    hub, data = serve(answer), picture_folder(2, 8)
    done = compared(data, tmp_path / "home", hub)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backbones"][0]["id"] == f"timm/{TINY[0]}"
    assert any(line.startswith(f"GET /timm/{TINY[0]}/resolve/") for line in asked)
    before = len(asked)
    assert compared(data, tmp_path / "home", hub).returncode == 0
    assert len(asked) == before


def garbage(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    request.wfile.write(b"<html>log in first</html>")


def missing(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def broken(request: BaseHTTPRequestHandler) -> None:
    request.send_error(500)


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x16\x03\x01 this is another protocol\r\n\r\n")
    request.close_connection = True


def cut_short(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("X-Repo-Commit", "a" * 40)
    request.send_header("ETag", f'"{"b" * 64}"')
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(b"\0" * 1000)
    request.close_connection = True


@pytest.mark.parametrize("answer", [garbage, missing, broken, no_http, cut_short])
def test_a_hub_that_gives_no_weights_is_explained_in_one_line(
    answer: Answer, picture_folder: PictureFolder, tmp_path: Path, serve: Callable[[Answer], str]
) -> None:
    asked: list[str] = []

    def noted(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        answer(request)

    done = compared(picture_folder(2, 8), tmp_path / "home", serve(noted))
    assert done.returncode == 2, done.stderr
    assert 0 < len(asked) <= (8 if answer is cut_short else 5), asked  # not on and on
    assert "Traceback" not in done.stderr
    assert "embedded backbone" in done.stderr.splitlines()[-1]


def test_a_hub_that_is_down_is_explained_in_one_line(picture_folder: PictureFolder, tmp_path: Path) -> None:
    done = compared(picture_folder(2, 8), tmp_path / "home", "http://127.0.0.1:9")
    assert done.returncode == 2, done.stderr
    assert "embedded backbone" in done.stderr.splitlines()[-1]


def test_a_repository_of_transformers_is_fetched_file_by_file_and_asked_once(
    picture_folder: PictureFolder, tmp_path: Path, serve: Callable[[Answer], str]
) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere")
    give_vit(elsewhere, "some/vit")
    folder = elsewhere.home / "models" / "some" / "vit"
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(f"{request.command} {request.path}")
        path = folder / request.path.rpartition("/")[2]
        there = request.path.startswith("/some/vit/resolve/") and path.is_file()
        content = path.read_bytes() if there else b""
        time.sleep(0.2)  # a slow one
        request.send_response(200 if there else 404)
        request.send_header("X-Repo-Commit", "a" * 40)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)

    hub, data = serve(answer), picture_folder(2, 8)
    done = compared(data, tmp_path / "home", hub, "transformers/some/vit")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["backbones"][0]
    assert (row["id"], row["licence"]) == ("transformers/some/vit", "mit")
    fetched = {line.rpartition("/")[2] for line in asked if line.startswith("GET") and "/resolve/" in line}
    assert fetched == {"config.json", "preprocessor_config.json", "README.md", "model.safetensors"}
    before = len(asked)
    assert compared(data, tmp_path / "home", hub, "transformers/some/vit").returncode == 0
    assert len(asked) == before


@pytest.mark.parametrize("answer", [garbage, missing, cut_short])
def test_a_hub_that_gives_no_description_is_explained_in_one_line(
    answer: Answer, picture_folder: PictureFolder, tmp_path: Path, serve: Callable[[Answer], str]
) -> None:
    done = compared(picture_folder(2, 8), tmp_path / "home", serve(answer), "transformers/some/vit")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(".")


@pytest.mark.parametrize("kind", ["whole", "changed", "missing", "down"])
def test_torchvision_s_weights_are_fetched_and_proven_by_their_name(
    kind: str, tmp_path: Path, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torchvision import models

    from zoo import sources
    from zoo.settings import torch_cache
    from zoo.sources import torchvision as source

    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "weights")
    content = (tmp_path / "weights").read_bytes()
    file = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(404 if kind == "missing" else 200)
        request.end_headers()
        request.wfile.write(content if kind == "whole" else b"<html>log in first</html>")

    hub = "http://127.0.0.1:9" if kind == "down" else serve(answer)
    told = replace(source._published("resnet18"), url=f"{hub}/{file}", file=file)
    monkeypatch.setattr(source, "_published", lambda name: told)
    monkeypatch.setattr(source, "CATALOG", ())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    online = Settings(home=tmp_path / "home")
    if kind == "whole":
        assert sources.load("torchvision/resnet18", online).card.ready == "cached"
        assert (torch_cache() / file).read_bytes() == content
    else:
        with pytest.raises(
            BackboneUnavailable, match="another SHA-256" if kind == "changed" else "could not be fetched"
        ):
            sources.load("torchvision/resnet18", online)
        assert list(torch_cache().iterdir()) == []


def test_only_a_hub_that_never_answered_is_called_absent(serve: Callable[[Answer], str]) -> None:
    def fine(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    code = (
        "import socket, sys, httpx2; from huggingface_hub import get_session; from zoo.fetching import _be_impatient\n"
        "unreachable = _be_impatient()\n"
        "with socket.create_server(('127.0.0.1', 0)) as free: gone = f'http://127.0.0.1:{free.getsockname()[1]}'\n"
        "def said():\n"
        "    try: get_session().get(gone)\n"
        "    except Exception as error: return type(error) is unreachable\n"
        "first = said(); get_session().get(sys.argv[1]); print(first, said())"
    )
    environ = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "STUDIO_OFFLINE")}
    line = [sys.executable, "-c", code, serve(fine)]
    done = subprocess.run(line, capture_output=True, text=True, env=environ, check=False)
    assert done.stdout.split() == ["True", "False"], done.stderr
