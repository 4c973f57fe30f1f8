"""``python -m zoo COMMAND``: what you have, and how well it fits, from a shell."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from zoo.command import Command, main, tell
from zoo.settings import Settings
from zoo.store import Store


def check(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The health report of DATA."""
    from zoo.health import check as examine
    from zoo.intake import intake

    store = Store(settings.home)
    dataset = intake(arguments.data, store, settings, told)
    report = examine(dataset, store, settings, labels=not arguments.quick, on_progress=told)
    for sentence in report.sentences:
        tell(sentence)
    return report.as_json()


def told(stage: str, done: int, total: int) -> None:
    """Progress on standard error, ten lines a stage at most."""
    step = max(1, total // 10)
    if total and (done == total or done % step == 0):
        tell(f"{stage} {done}/{total}")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a .zip or .tar of one, or: sample")
    parser.add_argument("--quick", action="store_true", help="do not doubt labels, which needs two backbones' features")


COMMANDS = (Command(name="check", help="what is wrong with a dataset", call=check, arguments=_check_arguments),)

if __name__ == "__main__":
    sys.exit(main("python -m zoo", COMMANDS))
