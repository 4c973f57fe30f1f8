"""Signing in on a Space, by real HTTP against an OpenID provider on loopback: a name comes in, no token stays."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.served import Served, served

TOKEN = "token-that-nobody-may-keep"
SECRET = "client-secret-of-the-space"
KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)


class Provider(BaseHTTPRequestHandler):
    """Enough of OpenID Connect: discovery, a code for whoever asks, an id token signed with RS256."""

    name: ClassVar[str] = "anna"
    asked: ClassVar[dict[str, str]] = {}  # nonce by code
    secrets: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        address, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        if address.path == "/authorize":
            code = f"code-{len(self.asked)}"
            self.asked[code] = query["nonce"][0]
            self.send_response(302)
            back = query["redirect_uri"][0]
            self.send_header("Location", f"{back}{'&' if '?' in back else '?'}code={code}&state={query['state'][0]}")
            self.end_headers()
        elif address.path == "/jwks":
            self.say({"keys": [KEY.as_dict(private=False)]})
        else:
            here = f"http://{self.headers['Host']}"
            self.say(
                {"issuer": here, "jwks_uri": f"{here}/jwks", "id_token_signing_alg_values_supported": ["RS256"]}
                | {f"{what}_endpoint": f"{here}/{what}" for what in ("token", "userinfo")}
                | {"authorization_endpoint": f"{here}/authorize"}
            )

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.secrets.append(base64.b64decode(self.headers["Authorization"].partition(" ")[2]).decode())
        claims = {
            "iss": f"http://{self.headers['Host']}", "aud": "the-space", "sub": self.name, "name": self.name.title(),
            "preferred_username": self.name, "profile": "", "picture": "", "iat": int(time.time()),
            "exp": int(time.time()) + 600, "nonce": self.asked.pop(form["code"][0]),
        }  # fmt: skip
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
        self.say({"access_token": TOKEN, "token_type": "bearer", "expires_in": 600, "id_token": signed})

    def say(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
        """Say nothing."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "SYSTEM": "spaces", "SPACE_ID": "owner/zoo", "SPACE_AUTHOR_NAME": "owner", "STUDIO_MODE": "team",
            "OAUTH_CLIENT_ID": "the-space",
            "OAUTH_CLIENT_SECRET": SECRET, "OAUTH_SCOPES": "openid profile", "HF_HUB_OFFLINE": "1",
            "OPENID_PROVIDER_URL": f"http://127.0.0.1:{provider.server_port}",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        patch.delenv("STUDIO_AUTH", raising=False)
        with served(tmp_path_factory.mktemp("oauth") / "home", "--host", "127.0.0.1") as page:
            yield page
    provider.shutdown()
    provider.server_close()


def step(page: Served, address: str, cookies: dict[str, str]) -> httpx.Response:
    """One request of a browser; its cookies are for https only, which a Space's proxy speaks and this test does not."""
    sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    answer = httpx.get(httpx.URL(page.url).join(address), headers=sent, timeout=60)
    for line in answer.headers.get_list("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        cookies[name] = value
        assert "httponly" in line.lower()
    return answer


def signed_in(page: Served, name: str) -> dict[str, str]:
    Provider.name = name
    cookies: dict[str, str] = {}
    answer = step(page, "/login/huggingface", cookies)
    for _ in range(2):  # to the provider, and back with a code
        answer = step(page, answer.headers["location"], cookies)
    assert answer.headers["location"].startswith("/")
    return cookies


def call(page: Served, cookies: dict[str, str], name: str, *data: Any) -> Any:
    sent = {"Cookie": "; ".join(f"{one}={value}" for one, value in cookies.items())}
    with httpx.Client(base_url=f"{page.url}/gradio_api/call", headers=sent, timeout=120) as client:
        event = client.post(f"/{name}", json={"data": list(data)}).json()["event_id"]
        said = client.get(f"/{name}/{event}").text
    assert "event: complete" in said, said
    return json.loads(said.rpartition("data: ")[2])[0]


def test_who_signs_in_at_the_host_has_their_own_things_and_leaves_no_token(page: Served) -> None:
    anna, bert = signed_in(page, "anna"), signed_in(page, "bert")
    given = call(page, anna, "intake", "sample")["dataset"]
    run = call(page, anna, "train", call(page, anna, "suggest", given, ""))
    call(page, anna, "stop", run)
    assert [one["id"] for one in call(page, anna, "runs")] == [run]
    assert call(page, bert, "runs") == []
    assert call(page, {}, "runs") == []
    assert call(page, {"session": base64.b64encode(b'{"oauth_info": {}}').decode() + ".forged"}, "runs") == []
    assert {SECRET in one for one in Provider.secrets} == {True}  # the provider was really asked
    kept = base64.b64decode(anna["session"].partition(".")[0] + "==").decode()
    assert "anna" in kept
    assert TOKEN not in kept
    assert "id_token" not in kept
    files = [path for path in page.home.parent.rglob("*") if path.is_file()]
    assert [path for path in files if found(path)] == []


def found(path: Path) -> bool:
    content = path.read_bytes()
    return TOKEN.encode() in content or SECRET.encode() in content
