"""A file from a model hub: fetched at a pace that ends, and kept only where it is what the hub says it is.

The hub's client compares sizes and no more. What comes is checked here against the hash by which the hub names it, for
whatever lies in the cache is believed from then on.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from zoo import weights
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

PATIENCE = 30.0  # seconds in which a hub that answers has to send something worth waiting for
PACE = 4_000  # bytes a second that are worth it
ETAG_SECONDS = 5
TRIES = 2
ERRORS = 2  # failures of a hub in a row after which it is asked once more, and not again


def fetch(repository: str, file: str, settings: Settings, remedy: str) -> Path:
    """``file`` of a hub's repository, downloaded where it is not on this disk.

    Raises:
        BackboneUnavailable: no hub answers, it has no such file, or what it gives is not what it says.
    """
    there = weights.cached(repository, file)
    if there is not None:
        return there
    what = "weights" if file == weights.WEIGHTS else file
    if settings.offline:
        raise BackboneUnavailable(f"The {what} of {repository} are not on this disk and the studio is offline.", remedy)
    for _ in range(TRIES):
        path = _downloaded(repository, file, what, remedy)
        if _intact(path):
            return path
        _forget(path)
    raise BackboneUnavailable(f"What the hub gives as {what} of {repository} is damaged.", remedy)


def paced(pieces: Iterable[bytes], slow: Callable[[], Exception]) -> Iterator[bytes]:
    """``pieces`` as they come; raises ``slow`` where fewer than ``PACE`` bytes a second came for ``PATIENCE``.

    A client's own time limit is for the next byte, so that a byte now and then would keep it waiting for days.
    """
    since, come = time.monotonic(), 0
    for piece in pieces:
        come += len(piece)
        yield piece
        waited = time.monotonic() - since
        if waited > PATIENCE:
            if come < PACE * waited:
                raise slow()
            since, come = time.monotonic(), 0


def _downloaded(repository: str, file: str, what: str, remedy: str) -> Path:
    from httpx2 import HTTPError  # huggingface_hub lets its own client's errors through
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    unreachable = _be_impatient()
    try:
        return Path(hf_hub_download(repository, file, etag_timeout=ETAG_SECONDS))
    except (LocalEntryNotFoundError, unreachable) as error:
        raise BackboneUnavailable(f"No hub answers, and {what} of {repository} is not on this disk.", remedy) from error
    except EntryNotFoundError as error:
        kind = "safetensors weights, and pickled ones are never read" if file == weights.WEIGHTS else what
        raise BackboneUnavailable(f"The hub's {repository} has no {kind}.", remedy) from error
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise BackboneUnavailable(f"The hub would not give the {what} of {repository}.", remedy) from error


@cache
def _be_impatient() -> type[Exception]:
    """Let huggingface_hub's client give up on a hub that trickles, fails or is not there; what it raises for the last.

    By itself it would look five times more, 23 seconds in all, for a hub at an address where nobody listens.
    """
    import httpx2
    from huggingface_hub import set_client_factory

    class Unreachable(httpx2.HTTPError):
        """Not one of the errors that huggingface_hub tries again for."""

    class Stream(httpx2.SyncByteStream):
        def __init__(self, given: httpx2.SyncByteStream) -> None:
            self._given = given

        def __iter__(self) -> Iterator[bytes]:
            return paced(self._given, lambda: httpx2.ReadError("slower than is worth waiting for"))

        def close(self) -> None:
            self._given.close()

    class Client(httpx2.Client):
        answered = False  # by anyone: whoever refuses a connection after that is likelier busy than absent
        failed = 0  # answers in a row that are the hub's own fault

        def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
            try:
                response = super().send(request, **more)
            except httpx2.ConnectError as error:
                if self.answered:
                    raise
                raise Unreachable(str(error)) from error
            self.answered = True
            self.failed = self.failed + 1 if response.is_server_error else 0
            if self.failed > ERRORS:
                response.close()
                raise httpx2.HTTPError(str(response.status_code))
            return response

    def hurry(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = Stream(response.stream)

    set_client_factory(lambda: Client(follow_redirects=True, timeout=None, event_hooks={"response": [hurry]}))
    return Unreachable


def _intact(path: Path) -> bool:
    """Whether a file of the hub's cache is what its name there promises.

    A large file lies there under its SHA-256, another under the hash that git gives it. Under another name nothing is
    promised, and it has to be readable at least.
    """
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return _digest(blob, hashlib.sha256()) == blob.name
    if re.fullmatch(r"[0-9a-f]{40}", blob.name):
        start = f"blob {blob.stat().st_size}\0".encode()
        return _digest(blob, hashlib.sha1(start, usedforsecurity=False)) == blob.name
    try:
        if path.name == weights.WEIGHTS:
            weights.shapes(path)
        elif path.suffix == ".json":
            weights.document(path)
    except BackboneUnavailable:
        return False
    return True


def _digest(path: Path, start: hashlib._Hash) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: start).hexdigest()


def _forget(path: Path) -> None:
    """Take a file out of the hub's cache, with what it points to."""
    blob = path.resolve()
    for one in (path, blob):
        with suppress(OSError):
            one.unlink(missing_ok=True)
