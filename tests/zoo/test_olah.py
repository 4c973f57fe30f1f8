"""A real hub on loopback: olah serves git repositories, read only, to the loaders that ask Hugging Face elsewhere.

It wants an older psutil than the studio, so it gets an environment of its own; where pip cannot make one, this is
skipped. What a slow, missing or lying hub does is in ``test_hub.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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
