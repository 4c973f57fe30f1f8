"""A hub on loopback: it serves folders as dataset repositories, in just enough of the real protocol."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

SHA = "a" * 40


@contextmanager
def hub(repositories: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves ``repositories/OWNER/NAME`` as datasets; gives its address and the requests as they come."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            assert "authorization" not in {name.lower() for name in self.headers}
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[:2] == ["api", "datasets"]:
                self.about(repositories / parts[2] / parts[3], parts[4:], f"{parts[2]}/{parts[3]}")
            elif parts[0] == "datasets" and parts[3:4] == ["resolve"]:
                self.give(repositories / parts[1] / parts[2] / "/".join(parts[5:]))
            else:
                self.answer(404, b"{}")

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for
        do_POST = do_GET  # noqa: N815

        def about(self, folder: Path, rest: list[str], name: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            wanted = parse_qs(self.rfile.read(length).decode())
            if not folder.is_dir():
                self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            match rest[:1]:
                case [] | ["revision"]:
                    siblings = [{"rfilename": path.relative_to(folder).as_posix()} for path in files]
                    card = {"license": "cc0-1.0"}
                    value: Any = {"id": name, "sha": SHA, "siblings": siblings, "cardData": card, "tags": []}
                case ["tree"]:
                    top = folder / "/".join(rest[2:])
                    if not top.is_dir():
                        self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                        return
                    deep = "recursive=True" in self.path or "recursive=true" in self.path
                    value = [entry(path, folder) for path in sorted(top.rglob("*") if deep else top.iterdir())]
                case ["paths-info"]:
                    paths = [folder / path for path in wanted.get("paths", [])]
                    value = [entry(path, folder) for path in paths if path.exists()]
                case _:
                    self.answer(404, b"{}")
                    return
            self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def give(self, path: Path) -> None:
            if not path.is_file():
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            content = path.read_bytes()
            head = {"X-Repo-Commit": SHA, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
            if span := self.headers.get("Range"):
                first, _, last = span.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last or len(content) - 1), len(content) - 1)
                head["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
                self.answer(206, content[start : stop + 1], head)
            else:
                self.answer(200, content, head)

        def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def entry(path: Path, folder: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
    return {
        "type": "file",
        "path": name,
        "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
        "size": path.stat().st_size,
    }
