"""The page as programs use it: the guide's pieces run as they stand, and agents find their tools."""

from __future__ import annotations

import asyncio
import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gradio_client import Client

from tests.conftest import drawn
from tests.served import CHROMIUM, ROOT, Served, served

GUIDE = (ROOT / "zoo" / "guide" / "programs.md").read_text(encoding="utf-8")
THERE = "http://127.0.0.1:7860"
TOOLS = {"intake", "check", "compare", "suggest", "train", "run", "runs", "stop", "resume", "diff", "predict", "export"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_MCP", "1")
        with served(tmp_path_factory.mktemp("programs") / "home") as page:
            yield page


def pieces(language: str, page: Served) -> list[str]:
    """The guide's code in a language, with the address that the page has here."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert found
    return [piece.replace(THERE, page.url) for piece in found]


def ran(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_the_guide_names_every_function(page: Served) -> None:
    described = Client(page.url, verbose=False).view_api(return_format="dict", print_info=False)
    named = set(re.findall(r"`/([a-z]+)`", GUIDE))
    assert named == {name.strip("/") for name in described["named_endpoints"]}
    code = "".join(pieces("python", page) + pieces("sh", page) + pieces("js", page))
    assert {name for name in named if name not in code} <= {"delete", "restore", "resume"}


def test_python_and_curl_as_the_guide_has_them(page: Served, tmp_path: Path) -> None:
    first = pieces("python", page)[0]
    said = ran([sys.executable, "-c", first], tmp_path)
    assert re.search(r"\d+ pictures\n(queued|running) 1\n", said)
    heard = ran(["bash", "-e", "-o", "pipefail", "-c", pieces("sh", page)[0]], tmp_path)
    assert heard.count("event: complete") == 2
    assert '"dataset"' in heard


def asked(page: Served, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=60)
    connection.request("GET" if body is None else "POST", f"/gradio_api/{path}", body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_call_that_does_not_fit_gets_a_sentence(page: Served) -> None:
    assert asked(page, "call/v2/suggest", b"{}") == (
        422, "No value provided for required argument: dataset. /gradio_api/info lists what each function takes.",
    )  # fmt: skip
    status, said = asked(page, "call/v2/train", b'{"plans": {}}')
    assert (status, "plans" in said) == (422, True)
    for body in (b"{}", b'{"data": []}'):
        assert asked(page, "call/v2/nothing", body)[0] == 404
    assert asked(page, "call/nothing", b'{"data": []}')[0] == 404
    assert asked(page, "call/check/none")[1].startswith("event: error")  # and it ends
    bare = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n'
    assert asked(page, "upload", bare, "multipart/form-data; boundary=b")[0] == 400


@pytest.mark.slow
def test_what_the_page_says_of_its_api_is_so_also_for_odd_values(page: Served, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(asked(page, "openapi.json")[1])
    options = ["--url", page.url, "--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--seed", "1"]
    few = ["--include-method", "POST", "--max-examples", "3", "--max-time", "25", "--workers", "2", "--no-color"]
    said = ran([sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", *options, *few], tmp_path)
    tested = re.search(r"Tested: +(\d+)", said)
    assert tested, said
    assert int(tested[1]) > 0
    assert "Traceback" not in (page.home.parent / "page.log").read_text()


@pytest.mark.browser
def test_javascript_as_the_guide_has_it(page: Served) -> None:
    from playwright.sync_api import sync_playwright

    from tests.get_chromium import chromium

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        tab = browser.new_page()
        tab.goto(f"{page.url}/gradio_api/openapi.json")  # any page of this origin
        counted = tab.evaluate(f"async () => {{ {pieces('js', page)[0]} }}")
        browser.close()
    assert counted > 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_finished_run_as_the_guide_has_it(page: Served, tmp_path: Path) -> None:
    client = Client(page.url, verbose=False)
    plan = client.predict(client.predict("sample", api_name="/intake")["dataset"], "", api_name="/suggest")
    run = client.predict(plan, api_name="/train")
    end = time.monotonic() + 600
    while (state := client.predict(run, api_name="/run"))["state"] in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(1)
    assert state["state"] == "finished", state["message"]
    drawn(1, 777).save(tmp_path / "picture.png")
    piece = pieces("python", page)[1].replace("picture.png", str(tmp_path / "picture.png"))
    assert ".zip" in ran([sys.executable, "-c", piece], tmp_path)


def test_agents_find_the_useful_tools_and_use_them(page: Served) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def visit() -> tuple[dict[str, Any], str]:
        address = f"{page.url}/gradio_api/mcp/"
        async with streamablehttp_client(address) as (reading, writing, _), ClientSession(reading, writing) as agent:
            await agent.initialize()
            tools = {tool.name: tool for tool in (await agent.list_tools()).tools}
            answer = await agent.call_tool("intake", {"source": "sample"})
            assert not answer.isError
            refused = await agent.call_tool("check", {"dataset": "../../etc/passwd"})
            assert refused.isError
            assert "Traceback" not in str(refused.content)
            return tools, str(answer.content)

    tools, said = asyncio.run(visit())
    assert set(tools) == TOOLS
    assert all(len(tool.description or "") > 20 for tool in tools.values())
    assert "dataset" in said
