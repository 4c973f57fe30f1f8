"""Open files handed from the parent to a child that may open none itself.

Each file is one byte on a socket, with the open file beside it; a byte of its own says that a file cannot be opened.
Where a system cannot hand files over (Windows), the child is told paths instead.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from zoo.decode import open_file
from zoo.errors import BadPicture

CAN = hasattr(socket, "send_fds") and hasattr(socket, "AF_UNIX")

_FILE, _NONE = b"f", b"-"


def pair() -> tuple[socket.socket, socket.socket]:
    """The parent's end and the child's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def feed(
    channel: socket.socket,
    descriptors: Sequence[int],
    folder: Path | None,
    pictures: Sequence[Path],
    unopened: dict[int, BadPicture],
) -> None:
    """Hand over everything in this order, until nobody is at the other end.

    ``unopened`` is filled with what is wrong with pictures that cannot be opened, by their index.
    """
    try:
        for descriptor in descriptors:
            socket.send_fds(channel, [_FILE], [descriptor])
        if folder is not None:
            opened = os.open(folder, os.O_RDONLY)
            socket.send_fds(channel, [_FILE], [opened])
            os.close(opened)
        for index, path in enumerate(pictures):
            try:
                file = open_file(path)
            except BadPicture as bad:
                unopened[index] = bad
                channel.sendall(_NONE)
                continue
            with file:
                socket.send_fds(channel, [_FILE], [file.fileno()])
    except (BrokenPipeError, ConnectionResetError):
        return


def take(channel: socket.socket) -> int | None:
    """The descriptor that was handed over next; None for a file that could not be opened.

    Raises:
        EOFError: nobody is at the other end.
    """
    word, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not word:
        raise EOFError
    return None if word == _NONE else descriptors[0]
