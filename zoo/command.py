"""A command line's manners: one JSON document on standard output, one line for what a person can fix."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.errors import StudioError
from zoo.settings import Settings, wait_briefly

FIXABLE, INTERRUPTED = 2, 130


def _nothing(_: argparse.ArgumentParser) -> None:
    """A command without arguments of its own."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand.

    Attributes:
        call: does the work; what it returns is the document that ``--json`` prints, None for no document.
        show: the same for a person's eyes.
        arguments: adds the command's own arguments.
    """

    name: str
    help: str
    call: Callable[[argparse.Namespace, Settings], Any]
    show: Callable[[Any], str] = lambda value: json.dumps(value, ensure_ascii=False, indent=2)
    arguments: Callable[[argparse.ArgumentParser], None] = _nothing


def main(program: str, commands: Sequence[Command], argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names and return the exit status; a bug passes through as its traceback."""
    chosen = _parser(program, commands).parse_args(argv)
    command: Command = chosen.command
    try:
        wait_briefly()
        settings = Settings.read()
        if chosen.home:
            settings = replace(settings, home=chosen.home.expanduser().absolute())
        value = command.call(chosen, settings)
        if value is not None:
            print(json.dumps(value, ensure_ascii=False) if chosen.json else command.show(value), flush=True)
    except StudioError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return FIXABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `… | head` has read enough; Python would complain once more as it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def tell(line: str) -> None:
    """One line of progress, out of the way of the document."""
    print(line, file=sys.stderr, flush=True)


def positive(text: str) -> float:
    """A finite number above 0, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def whole(text: str) -> int:
    """0 or a whole number above it, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def counting(text: str) -> int:
    """A whole number above 0, for argparse; raises as ``whole`` does."""
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("0 is too few")
    return int(text)


def data(parser: argparse.ArgumentParser) -> None:
    """DATA, and the columns of a table ("" for one to be guessed) in ``image``, ``label``, ``split``, ``group``."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a folder of class folders, an archive of one, a .csv or .parquet, hf://datasets/OWNER/NAME, or: sample",
    )
    for name, what in (("image", "the pictures"), ("label", "the labels"), ("group", "what belongs together")):
        parser.add_argument(f"--{name}", default="", metavar="COLUMN", help=f"column of a table that holds {what}")
    parser.add_argument("--split", default="", metavar="COLUMN", help="column of a table that holds train, val or test")


def _parser(program: str, commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program)
    several = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        one = several.add_parser(command.name, help=command.help, description=command.help)
        one.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        one.add_argument("--home", type=Path, metavar="DIR", help="where the studio keeps its things (STUDIO_HOME)")
        command.arguments(one)
        one.set_defaults(command=command)
    return parser
