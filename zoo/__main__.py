"""``python -m zoo COMMAND``: what you have, and how well it fits, from a shell."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from zoo.command import Command, counting, main, positive, tell, whole
from zoo.errors import BackboneUnavailable
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


def list_backbones(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """Every backbone that can be had here."""
    from zoo.sources import sources

    if chosen.source is not None and chosen.source not in sources():
        raise BackboneUnavailable(f"There is no source {chosen.source!r}.", f"Choose from {', '.join(sources())}.")
    named = [chosen.source] if chosen.source else list(sources())
    rows = [card.as_row() for name in named for card in sources()[name].cards(settings)]
    return [
        row
        for row in rows
        if (chosen.licence is None or row["licence"] == chosen.licence.lower())
        and (chosen.max_params is None or row["params"] <= chosen.max_params)
        and (not (chosen.offline or settings.offline) or row["ready"] != "download")
    ]


def compare(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Backbones against each other on DATA."""
    import time

    from zoo.compare import EMBEDDED, Question
    from zoo.compare import compare as tournament
    from zoo.comparisons import Comparisons
    from zoo.intake import intake

    begun = time.perf_counter()
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings, told)
    decode = time.perf_counter() - begun
    question = Question(
        backbones=tuple(chosen.backbones or EMBEDDED),
        budget=chosen.budget,
        limit=chosen.limit,
        seed=chosen.seed,
        fresh=chosen.fresh,
    )
    found: dict[str, Any] = {}
    for step in tournament(dataset, question, store, settings, told):
        found = step.as_json()
    for missing in found["unavailable"]:
        tell(f"{missing['id']}: {missing['problem']} {missing['remedy']}")
    Comparisons(store, settings).keep(question, found)
    found["seconds"] |= {"decode": decode, "total": found["seconds"]["total"] + decode}
    return found


def answer(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process of one comparison that the page asked for."""
    from zoo.comparisons import answer as find

    find(chosen.folder, Store(settings.home), settings)


def _listed(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'backbone':<52} {'M params':>8} {'GMACs':>6} {'pixels':>6}  {'licence':<14} ready"]
    for row in rows:
        size = f"{row['params']:>8.1f} {row['gmacs']:>6.2f} {row['image_size']:>6}"
        lines.append(f"{row['id']:<52} {size}  {row['licence']:<14} {row['ready']}")
    return "\n".join(lines)


def _compared(found: dict[str, Any]) -> str:
    lines = [
        f"{'backbone':<36} {'right':>7}  {'95 % interval':<15} {'ms/picture':>10}  {'best tap':<10} {'p(best)':>7}"
    ]
    for row in [*found["backbones"], found["baseline"]]:
        low, high = (f"{bound:.1%}" for bound in row["interval"])
        chance = f"{row['p_best']:.0%}" if row["p_best"] is not None else "–"
        lines.append(
            f"{row['id']:<36} {row['accuracy']:>7.1%}  {f'{low}–{high}':<15} {row['ms_per_picture']:>10.1f}"
            f"  {row['best_tap']:<10} {chance:>7}"
        )
    place = found["quadrant"]
    lines += ["", found["sentence"], f"On the map: {place['cell']}. {place['sentence']}"]
    return "\n".join(lines)


def told(stage: str, done: int, total: int) -> None:
    """Progress on standard error, ten lines a stage at most."""
    step = max(1, total // 10)
    if total and (done == total or done % step == 0):
        tell(f"{stage} {done}/{total}")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _data(parser)
    parser.add_argument("--quick", action="store_true", help="do not doubt labels, which needs two backbones' features")


def _data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a .zip or .tar of one, or: sample")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    _data(parser)
    parser.add_argument("--backbones", nargs="+", metavar="ID", help="source/name; the embedded ones unless given")
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help="look at fewer pictures if it takes longer")
    parser.add_argument("--limit", type=counting, metavar="N", help="look at N pictures at most")
    parser.add_argument("--seed", type=whole, default=0, metavar="S")
    parser.add_argument("--fresh", action="store_true", help="compute features that are known anew")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--licence", metavar="L", help="only this licence, such as apache-2.0")
    parser.add_argument("--max-params", type=float, metavar="M", help="only up to M million parameters")
    parser.add_argument("--source", metavar="S", help="only this source")
    parser.add_argument("--offline", action="store_true", help="only what needs no download")


def _answer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER")


COMMANDS = (
    Command(name="check", help="what is wrong with a dataset", call=check, arguments=_check_arguments),
    Command(name="list", help="what backbones there are", call=list_backbones, show=_listed, arguments=_list_arguments),
    Command(name="compare", help="which fits DATA best", call=compare, show=_compared, arguments=_compare_arguments),
    Command(name="answer", help="be the process of one comparison", call=answer, arguments=_answer_arguments),
)

if __name__ == "__main__":
    sys.exit(main("python -m zoo", COMMANDS))
