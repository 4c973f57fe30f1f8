"""The door by raw HTTP: what is turned away, and what every answer carries."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from tests.served import Served, served
from zoo.ui.civil import Civil
from zoo.ui.front import Carded
from zoo.ui.guard import Guard, Message, Receive, Send, address

JOIN = "/gradio_api/queue/join"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("guarded") / "home") as page:
        yield page


def asked(
    page: Served, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=30)
    connection.request(method, path, body, dict(headers or {}))
    return connection.getresponse()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_site_gets_nothing(page: Served, method: str) -> None:
    answer = asked(page, method, "/config", headers={"Origin": "https://elsewhere.example"})
    assert answer.status == 403
    assert answer.getheader("access-control-allow-origin") is None


def test_a_write_that_a_browser_calls_cross_site_is_refused(page: Served) -> None:
    assert asked(page, "POST", JOIN, b"{}", {"Sec-Fetch-Site": "cross-site"}).status == 403


def test_a_foreign_name_for_this_computer_is_refused(page: Served) -> None:
    assert asked(page, "GET", "/", headers={"Host": "rebound.example"}).status == 403


def test_the_page_itself_may_ask(page: Served) -> None:
    assert asked(page, "GET", "/config", headers={"Origin": page.url}).status == 200


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=https://elsewhere.example/x", "/gradio_api/proxy=https://e.example/"]
)
def test_the_server_fetches_nothing_for_a_visitor(page: Served, path: str) -> None:
    assert asked(page, "GET", path).status == 403


def test_a_huge_question_is_not_even_read(page: Served) -> None:
    connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=30)
    connection.putrequest("POST", JOIN)
    connection.putheader("Content-Length", str(1 << 30))
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_a_length_that_is_no_number_is_refused(page: Served) -> None:
    connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=30)
    connection.putrequest("POST", JOIN)
    connection.putheader("Content-Length", "-5")
    connection.endheaders()
    assert connection.getresponse().status == 400


def test_every_answer_forbids_other_hosts_and_guessing(page: Served) -> None:
    answer = asked(page, "GET", "/")
    assert answer.getheader("x-content-type-options") == "nosniff"
    policy = str(answer.getheader("content-security-policy"))
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_endpoints_of_the_screens_cannot_be_called_past_the_queue(page: Served) -> None:
    body = json.dumps({"data": []}).encode()
    for name in ("take", "start", "intake", "train"):
        answer = asked(page, "POST", f"/gradio_api/run/{name}", body, {"Content-Type": "application/json"})
        assert answer.status >= 400, name


def test_a_visitor_behind_the_hosts_proxies_is_who_came_last_from_outside() -> None:
    seen: list[str] = []

    async def page(scope: Message, _: Receive, send: Send) -> None:
        seen.append(address(scope))

    async def ask(guard: Guard, forwarded: bytes) -> None:
        headers = [(b"x-forwarded-for", forwarded)]
        scope: Message = {"type": "http", "path": "/", "method": "GET", "headers": headers, "client": ("10.0.0.9", 1)}

        async def nothing(*_: object) -> Message:
            return {}

        async def nowhere(_: Message) -> None:
            return None

        await guard(scope, nothing, nowhere)

    for forwarded in (b"8.8.8.8", b"1.1.1.1, 8.8.8.8, 10.1.2.3", b"made up"):
        asyncio.run(ask(Guard(page, proxied=True), forwarded))
        asyncio.run(ask(Guard(page), forwarded))
    assert seen == ["8.8.8.8", "10.0.0.9", "8.8.8.8", "10.0.0.9", "10.0.0.9", "10.0.0.9"]


def test_the_card_of_a_link_has_the_address_that_its_visitor_used(page: Served) -> None:
    port = urlsplit(page.url).port
    forged = {"Host": f"localhost:{port}", "X-Forwarded-Host": "elsewhere.example"}
    answer = asked(page, "GET", "/", headers=forged)
    said = answer.read().decode()
    assert answer.getheader("content-length") == str(len(said.encode()))
    assert f'<meta property="og:image" content="http://localhost:{port}/looks/card.png">' in said
    assert said.count('og:image"') == 1  # Gradio's own are gone
    assert "Click to try out" not in said

    async def shown(proxied: bool, host: bytes) -> bytes:
        parts: list[Message] = []

        async def inside(_: Message, __: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": b"<head><script>window.gradio_config</script></head>"})

        async def keep(message: Message) -> None:
            parts.append(message)

        async def nothing() -> Message:
            return {}

        headers = [(b"host", b"plain.example"), (b"x-forwarded-host", host), (b"x-forwarded-proto", b"https")]
        await Carded(inside, proxied=proxied)({"type": "http", "path": "/", "headers": headers}, nothing, keep)
        return bytes(parts[-1]["body"])

    assert b'"https://zoo.example/looks/card.png"' in asyncio.run(shown(True, b"zoo.example"))
    assert b'"http://plain.example/looks/card.png"' in asyncio.run(shown(False, b"zoo.example"))
    assert b'"/looks/card.png"' in asyncio.run(shown(True, b'x"><script>'))  # no address at all


def test_only_a_function_that_is_not_there_is_told_so() -> None:
    async def crashing(_: Message, __: Receive, ___: Send) -> None:
        raise KeyError("weights")

    async def nothing() -> Message:
        return {}

    async def nowhere(_: Message) -> None:
        raise AssertionError("a crash of ours is no function that is missing")

    for path in ("/gradio_api/call/check", "/gradio_api/call/v2/check", "/gradio_api/queue/join"):
        with pytest.raises(KeyError):
            asyncio.run(Civil(crashing)({"type": "http", "path": path}, nothing, nowhere))


def test_a_body_without_a_length_is_counted_while_it_comes() -> None:
    taken = 0

    async def greedy(_: Message, receive: Receive, __: Send) -> None:
        nonlocal taken
        more = True
        while more:
            message = await receive()
            taken += len(message["body"])
            more = message["more_body"]

    async def endless() -> Message:
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    scope: Message = {"type": "http", "path": JOIN, "method": "POST", "headers": []}
    asyncio.run(Guard(greedy, max_body=10_000)(scope, endless, send))
    assert said[0]["status"] == 413
    assert taken <= 10_000
