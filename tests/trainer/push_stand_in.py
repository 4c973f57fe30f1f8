"""A stand-in for a model hub that takes uploads: it calls itself that, runs on loopback, and keeps what it is given."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """Where the stand-in listens, and what it was given."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    private: bool | None = None


@contextmanager
def hub(token: str) -> Iterator[Received]:
    """Accepts one commit into any repository from whoever shows ``token``; 403 for others."""
    received = Received("")

    class StandIn(BaseHTTPRequestHandler):
        server_version = "stand-in-hub"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {token}":
                return self.answer(403, {"error": "this stand-in does not know you"})
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                received.private = asked.get("visibility") == "private" or asked.get("private") is True
                return self.answer(200, {"url": f"{received.url}/someone/things"})
            if "/preupload/" in self.path:
                wanted = json.loads(body)["files"]
                rows = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in wanted]
                return self.answer(200, {"files": rows})
            if "/commit/" not in self.path:
                return self.answer(200, {"errors": [], "warnings": []})  # it checks no card
            for line in body.decode().splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    received.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            made = {"commitUrl": f"{received.url}/someone/things/commit/1", "commitOid": "1" * 40, "success": True}
            return self.answer(200, made)

        def do_GET(self) -> None:
            self.answer(200, {"id": "someone/things", "sha": "0" * 40, "siblings": []})

        def answer(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    received.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
