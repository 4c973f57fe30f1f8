"""A page for a team, by raw HTTP and as scripts use it: who is not signed in gets nothing, nobody sees another's."""

from __future__ import annotations

import gc
import http.client
import io
import json
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.conftest import drawn
from tests.served import ROOT, Served, environment, served
from zoo.ui import door

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_AUTH", "anna:secret-a,bert:secret-b")
        patch.setenv("STUDIO_MAX_UPLOAD_MB", "3")
        with served(tmp_path_factory.mktemp("team") / "home") as page:
            yield page


@pytest.fixture(scope="module")
def both(page: Served) -> tuple[Client, Client]:
    """Two of a team, signed in once: ten logins a minute are tried."""
    people = (("anna", "secret-a"), ("bert", "secret-b"))
    anna, bert = (Client(page.url, auth=one, verbose=False) for one in people)
    return anna, bert


def asked(
    page: Served, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(page.url).netloc, timeout=30)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


@cache
def signed_in(page: Served, name: str, secret: str) -> dict[str, str]:
    """The cookie of one login."""
    return login(page, name, secret)[1]


def login(page: Served, name: str, secret: str) -> tuple[int, dict[str, str]]:
    form = urllib.parse.urlencode({"username": name, "password": secret}).encode()
    status, _, headers = asked(page, "POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    cookies = (one.partition(";")[0] for one in headers.get_all("set-cookie", []))
    return status, {"Cookie": "; ".join(cookies)}


def refused(client: Client, *values: Any, name: str) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(*values, api_name=name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/queue/data?session_hash=x"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/call/runs"),
        ("POST", "/gradio_api/run/runs"),
        ("POST", "/gradio_api/upload"),
    ],
)
def test_who_is_not_signed_in_gets_nothing(page: Served, method: str, path: str) -> None:
    forged = {"Cookie": "access-token-x=AAAA; access-token-unsecure-x=AAAA"}
    assert asked(page, method, path, b'{"data": []}' if method == "POST" else b"", JSON | forged)[0] == 401


def test_nobody_sees_anothers_things(page: Served, both: tuple[Client, Client]) -> None:
    anna, bert = both
    assert "cannot be read from here" in refused(anna, "/etc", name="/intake")  # though only this computer reaches it
    given = anna.predict("sample", api_name="/intake")["dataset"]
    plan = anna.predict(given, "", api_name="/suggest")
    compared = anna.submit(given, ["pixels/8x8"], 0, api_name="/compare").result()
    assert compared["dataset"] == given
    run = anna.predict(plan, api_name="/train")
    assert [one["id"] for one in anna.predict(api_name="/runs")] == [run]
    assert bert.predict(api_name="/runs") == []
    for values, name in (
        ((given,), "/check"),
        ((given, ""), "/suggest"),
        ((given, ["pixels/8x8"], 0), "/compare"),
        ((plan,), "/train"),
        ((run,), "/run"),
        ((run,), "/stop"),
        ((run,), "/resume"),
        ((run, "mine"), "/note"),
        ((run, 5), "/priority"),
        ((run,), "/delete"),
        ((run, {}), "/duplicate"),
        ((run,), "/replay"),
        ((run, run), "/diff"),
        ((run, []), "/predict"),
        ((run, "folder"), "/export"),
    ):
        assert "There is no" in refused(bert, *values, name=name), name
    assert anna.predict(run, api_name="/stop")["id"] == run
    assert bert.predict("sample", api_name="/intake")["dataset"] == given  # the same pictures, given by both
    assert "There is no run" in refused(bert, plan | {"backbone": f"folder/{run}"}, name="/train")
    assert "There is no run" in refused(bert, given, [f"folder/{run}"], 0, name="/compare")


def test_forged_functions_and_files_are_refused_and_the_page_goes_on(page: Served) -> None:
    status, cookie = login(page, "anna", "secret-a")
    assert status == 200
    for index in (-1, 10**6, "x", None, {"a": 1}):
        body = json.dumps({"data": [], "fn_index": index, "session_hash": "x"}).encode()
        assert asked(page, "POST", "/gradio_api/queue/join", body, JSON | cookie)[0] >= 400, index
    for path in ("/etc/passwd", f"{page.home}/owners", f"{ROOT}/app.py", "../../etc/passwd", "http://127.0.0.1:1/x"):
        assert asked(page, "GET", f"/gradio_api/file={path}", headers=cookie)[0] in (403, 404), path
    assert asked(page, "POST", "/gradio_api/queue/join", b"[" * 100_000, JSON | cookie)[0] in (400, 422)
    status, body, headers = asked(page, "GET", "/config", headers=cookie)
    assert status == 200
    assert b"secret-a" not in body
    assert "default-src 'self'" in headers["content-security-policy"]


def uploaded(page: Served, cookie: dict[str, str], content: bytes) -> str:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="one.png"\r\n\r\n'
    status, body, _ = asked(page, "POST", "/gradio_api/upload", head + content + b"\r\n--b--\r\n", kind | cookie)
    assert status == 200
    return str(json.loads(body)[0])


def test_files_conversations_and_events_are_their_owners_alone(page: Served) -> None:
    anna, bert = signed_in(page, "anna", "secret-a"), signed_in(page, "bert", "secret-b")
    path = uploaded(page, anna, b"anna's picture")
    folder, _, name = path.rpartition("/")
    ways = (
        path,
        f"{folder}/../{folder.rpartition('/')[2]}/{name}",
        f"/proc/self/root{path}",
        f"/bin/..{path}",  # where /bin is a link, the system goes elsewhere; Gradio takes ".." by name
        f"{folder}/file=/../{name}",
    )
    for one in ways:
        for route in ("file=", "file/"):
            assert asked(page, "GET", f"/gradio_api/{route}{urllib.parse.quote(one)}", headers=bert)[0] == 404, one
    assert asked(page, "GET", f"/gradio_api/file={path}", headers=anna)[:2] == (200, b"anna's picture")
    for value in (path, {"path": path, "meta": {"_type": "gradio.FileData"}}, f"/tmp/..{path}"):
        body = json.dumps({"data": ["x", [value]]}).encode()
        assert asked(page, "POST", "/gradio_api/call/predict", body, JSON | bert)[0] == 404, value
    uploaded(page, bert, b"anna's picture")  # who has the same picture has it
    assert asked(page, "GET", f"/gradio_api/file={path}", headers=bert)[0] == 200
    body = json.dumps({"data": [], "session_hash": "annas"}).encode()
    event = json.loads(asked(page, "POST", "/gradio_api/call/runs", body, JSON | anna)[1])["event_id"]
    assert asked(page, "GET", f"/gradio_api/call/runs/{event}", headers=bert)[0] == 404
    assert asked(page, "GET", "/gradio_api/queue/data?session_hash=annas", headers=bert)[0] == 404
    assert asked(page, "POST", "/gradio_api/call/runs", body, JSON | bert)[0] == 404
    assert asked(page, "POST", "/gradio_api/cancel", json.dumps({"event_id": event}).encode(), JSON | bert)[0] == 404
    assert b"complete" in asked(page, "GET", f"/gradio_api/call/runs/{event}", headers=anna)[1]


def test_what_is_too_big_is_refused_whatever_it_is(page: Served) -> None:
    cookie = signed_in(page, "anna", "secret-a")
    form = b"username=anna&password=" + b"x" * (9 << 20)
    assert asked(page, "POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 413
    assert (
        asked(page, "POST", "/gradio_api/queue/join", b'{"data": ["' + b"x" * (9 << 20) + b'"]}', JSON | cookie)[0]
        == 413
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.zip"\r\n\r\n'
        + b"x" * (4 << 20)
        + b"\r\n--b--\r\n"
    )
    assert asked(page, "POST", "/gradio_api/upload", body, kind | cookie)[0] == 413


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "${7*7}{{7*7}}",
    "../../../etc/cron.d/x",
    "a\u202egpj.png",
    "CON",
    "x" * 9000,
    ".",
]


def test_hostile_names_of_uploads_stay_names(page: Served) -> None:
    cookie = signed_in(page, "anna", "secret-a")
    folders = set()
    for name in HOSTILE:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        status, body, headers = asked(page, "POST", "/gradio_api/upload", head + b"x\r\n--b--\r\n", kind | cookie)
        assert status in (200, 413), (name, body)
        if status == 200:
            path = Path(json.loads(body)[0])
            assert "json" in headers["content-type"]
            assert ".." not in path.parts
            folders.add(path.parent.parent)
    assert len(folders) == 1  # all of them where uploads lie


def test_a_foreign_page_cannot_write_with_a_team_members_cookie(page: Served) -> None:
    cookie = signed_in(page, "anna", "secret-a")
    foreign = cookie | {"Origin": "https://elsewhere.example"}
    for path in ("/gradio_api/call/runs", "/gradio_api/queue/join", "/gradio_api/upload", "/login", "/preview"):
        assert asked(page, "POST", path, b'{"data": []}', JSON | foreign)[0] == 403, path


def picture(page: Served, address: str) -> tuple[int, str]:
    """What whoever has a link, and has not signed in, gets for a picture."""
    content = io.BytesIO()
    drawn(1, 777).save(content, "png")
    head = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, body, _ = asked(page, "POST", f"/{address}", head + content.getvalue() + b"\r\n--b--\r\n", kind)
    return status, body.decode()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_link_lets_a_stranger_ask_one_classifier_until_a_new_one_is_made(
    page: Served, both: tuple[Client, Client]
) -> None:
    anna, bert = both
    plan = anna.predict(anna.predict("sample", api_name="/intake")["dataset"], "", api_name="/suggest")
    run = anna.predict(plan | {"strategy": "linear_head"}, api_name="/train")
    assert "no classifier" in refused(anna, run, "new", name="/link")
    end = time.monotonic() + 600
    while (state := anna.predict(run, api_name="/run"))["state"] in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(1)
    assert state["state"] == "finished", state["message"]
    assert "There is no run" in refused(bert, run, "new", name="/link")
    assert asked(page, "GET", f"/preview?run={run}&key=")[0] == 404  # before there is one
    first = anna.predict(run, "new", api_name="/link")
    assert "tells apart" in asked(page, "GET", f"/{first}")[1].decode()
    status, said = picture(page, first)
    assert (status, "tz-answer" in said) == (200, True)
    assert picture(page, first.replace("key=", "key=x"))[0] == 404
    assert asked(page, "GET", "/config")[0] == 401  # nothing else opens
    assert "There is no run" in refused(bert, run, "none", name="/link")
    second = anna.predict(run, "new", api_name="/link")
    assert (picture(page, first)[0], picture(page, second)[0]) == (404, 200)
    anna.predict(run, "none", api_name="/link")
    assert picture(page, second)[0] == 404


@pytest.mark.parametrize("query", ["", "?run=../../etc&key=x", "?run=none&key=", "?run=0123456789abcdef&key=x"])
def test_no_link_is_guessed(page: Served, query: str) -> None:
    status, body, _ = asked(page, "GET", f"/preview{query}")
    assert (status, b"Nothing to try here" in body) == (404, True)


def test_guessing_passwords_is_slow(page: Served) -> None:
    answers = [login(page, "anna", f"guess-{count}")[0] for count in range(12)]
    assert answers[0] == 400
    assert answers[-1] == 429
    assert "secret" not in (page.home.parent / "page.log").read_text()


def test_a_team_without_a_login_is_not_served(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "--home", str(tmp_path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(STUDIO_MODE="team", STUDIO_AUTH=""),
        check=False,
    )
    assert done.returncode == 2
    assert "signs in" in done.stderr


def test_calls_that_are_over_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(number: int) -> int:
        """Gives it back."""
        return number

    monkeypatch.setattr(door, "CONVERSATIONS", 10)
    with gr.Blocks() as page:
        gr.api(echo, api_name="echo")
    door.queue(page)
    waiting = page._queue
    waiting.pending_messages_per_session.max_size = 10  # what is bounded by itself
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, state_session_capacity=10)
    line = http.client.HTTPConnection(urllib.parse.urlsplit(page.local_url or "").netloc, timeout=30)

    def ask(times: int) -> int:
        """Everything that lives after so many calls, each a conversation of its own, as a script's are."""
        for number in range(times):
            line.request("POST", "/gradio_api/call/echo", json.dumps({"data": [number]}), JSON)
            event = json.loads(line.getresponse().read())["event_id"]
            line.request("GET", f"/gradio_api/call/echo/{event}")
            assert f"complete\ndata: [{number}]".encode() in line.getresponse().read()
        gc.collect()
        return len(gc.get_objects())

    try:
        lives = [ask(40) for _ in range(4)]
        assert min(np.diff(lives)) < 40, lives  # not even one object of a call's; others in this process make some too
        assert len(waiting.event_analytics) == 1
    finally:
        line.close()
        page.close(verbose=False)
