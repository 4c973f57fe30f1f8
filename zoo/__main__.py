"""``python -m zoo COMMAND``: what you have, and how well it fits, from a shell."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.command import Command, counting, data, main, positive, tell, whole
from zoo.settings import Settings
from zoo.store import Store, write_bytes

if TYPE_CHECKING:
    from zoo.columns import Columns
    from zoo.dataset import Dataset


def check(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The health report of DATA."""
    from zoo.health import check as examine
    from zoo.intake import intake
    from zoo.repair import repair_report

    store = Store(settings.home)
    dataset = intake(arguments.data, store, settings, told, _columns(arguments))
    report = examine(dataset, store, settings, labels=not arguments.quick, on_progress=told)
    for sentence in (*dataset.notes, *report.sentences):
        tell(sentence)
    return report.as_json() | {"repaired": repair_report(dataset)["repaired"], "notes": list(dataset.notes)}


def add_to(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """A dataset with more pictures, as a new revision."""
    from zoo.adding import add

    store = Store(settings.home)
    before = _dataset(chosen, store, settings)
    after = add(before, chosen.more, store, settings, told, _columns(chosen))
    return {"dataset": after.id, "parent": after.parent, "change": after.change, "pictures": len(after)} | {
        "classes": after.counts
    }


def export(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """A dataset and its split, written out."""
    from zoo.dataset import Split, split
    from zoo.takeout import take_out

    store = Store(settings.home)
    dataset = _dataset(chosen, store, settings)
    parted = Split.load(store, chosen.split_id) if chosen.split_id else split(dataset, chosen.seed)
    files = take_out(dataset, parted, chosen.to.expanduser().absolute(), chosen.format, told)
    parted.save(store)
    return {"dataset": dataset.id, "split": parted.id, "files": [str(file) for file in files]}


def repair(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any] | None:
    """What was read, repaired and passed over."""
    from zoo.repair import repair_csv, repair_report

    dataset = _dataset(chosen, Store(settings.home), settings)
    if chosen.csv:
        write_bytes(chosen.csv.expanduser().absolute(), repair_csv(dataset).encode("utf-8-sig"))
    return repair_report(dataset)


def _dataset(chosen: argparse.Namespace, store: Store, settings: Settings) -> Dataset:
    """DATA taken in, or the dataset of that id."""
    from zoo.dataset import Dataset
    from zoo.intake import intake

    if re.fullmatch(r"[0-9a-f]{16}", chosen.data) and not Path(chosen.data).exists():
        return Dataset.load(store, chosen.data)
    return intake(chosen.data, store, settings, told, _columns(chosen))


def _columns(chosen: argparse.Namespace) -> Columns:
    from zoo.columns import Columns

    return Columns(chosen.image, chosen.label, chosen.split, chosen.group)


def list_backbones(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """Every backbone that can be had here."""
    from zoo.catalog import Filters, add, catalog, readiness

    if chosen.add is not None:
        card = add(chosen.add, settings)
        tell(f"{card.id} is in the catalog: {readiness(card)}.")
    filters = Filters(
        source=chosen.source or "",
        licence=chosen.licence or "",
        family=chosen.family or "",
        search=chosen.search or "",
        commercial=chosen.commercial,
        max_params=chosen.max_params,
        max_gmacs=chosen.max_gmacs,
        offline=chosen.offline or settings.offline,
    )
    return [card.as_row() | {"readiness": readiness(card)} for card in catalog(settings, filters)]


def compare(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any] | None:
    """Backbones against each other on DATA; None in a process that only helped the first of its launch."""
    import time

    from zoo.compare import EMBEDDED, Question
    from zoo.compare import compare as tournament
    from zoo.comparisons import Comparisons, running
    from zoo.crew import follow, leading
    from zoo.intake import intake
    from zoo.nodes import joined
    from zoo.reporting import form, write

    begun = time.perf_counter()
    for file in chosen.report:
        form(file)  # before the work, not after it
    store = Store(settings.home)
    if follow(store, settings):
        return None
    with leading(store, settings) as crew:
        dataset = intake(chosen.data, store, settings, told, _columns(chosen))
        decode = time.perf_counter() - begun
        question = Question(
            backbones=tuple(chosen.backbones or EMBEDDED),
            budget=chosen.budget,
            limit=chosen.limit,
            seed=chosen.seed,
            fresh=chosen.fresh,
        )
        found: dict[str, Any] = {}
        with joined(replace(settings, engine=chosen.engine or settings.engine)) as nodes:
            for step in tournament(dataset, question, store, settings, told, running(), nodes or crew):
                found = step.as_json()
        for process, pictures in sorted(crew.seen.items()) if crew else ():
            tell(f"{process} looked at {pictures} pictures")
    for missing in found["unavailable"]:
        tell(f"{missing['id']}: {missing['problem']} {missing['remedy']}")
    Comparisons(store, settings).keep(question, found)
    found["seconds"] |= {"decode": decode, "total": found["seconds"]["total"] + decode}
    for file in chosen.report:
        write(found, file.expanduser().absolute(), dataset.title)
    return found


def answer(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process of one comparison that the page asked for."""
    from zoo.comparisons import answer as find

    find(chosen.folder, Store(settings.home), settings)


def look(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process of one thorough look that the page asked for."""
    from zoo.look import answer as find

    find(chosen.dataset, Store(settings.home), settings)


def nodes(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """The machines that compute here, and how busy they are."""
    from zoo.nodes import machines
    from zoo.store import write_json

    found = machines(settings)
    if chosen.file:
        write_json(chosen.file, found)
    return found


def _machines(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'node':<16} {'cores':>5} {'cards':>5} {'load':>5}  {'memory':>16}  kind"]
    for row in rows:
        memory = f"{row['memory_used'] / 1e9:.1f} of {row['memory'] / 1e9:.1f} GB"
        size = f"{row['cpus']:>5.0f} {row['gpus']:>5.0f} {row['load']:>5.0%}"
        lines.append(f"{row['node']:<16} {size}  {memory:>16}  {row['kind']}")
    return "\n".join(lines)


def _listed(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'backbone':<52} {'M params':>8} {'GMACs':>6} {'pixels':>6}  {'licence':<14} ready"]
    for row in rows:
        size = f"{row['params']:>8.1f} {row['gmacs']:>6.2f} {row['image_size']:>6}"
        lines.append(f"{row['id']:<52} {size}  {row['licence']:<14} {row['readiness']}")
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
    lines += [place[name]["sentence"] for name in ("d2", "d3") if place.get(name)]
    return "\n".join(lines)


def told(stage: str, done: int, total: int) -> None:
    """Progress on standard error, ten lines a stage at most."""
    step = max(1, total // 10)
    if total and (done == total or done % step == 0):
        tell(f"{stage} {done}/{total}")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("--quick", action="store_true", help="do not doubt labels, which needs two backbones' features")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("more", metavar="MORE", help="what to add, as DATA; DATA may be a dataset's id here")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("--format", choices=("folder", "parquet"), default="folder")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument("--seed", type=whole, default=0, metavar="S")
    parser.add_argument("--split-id", metavar="ID", help="a split that was exported before")


def _repair_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one line a file there, too")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("--backbones", nargs="+", metavar="ID", help="source/name; the embedded ones unless given")
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help="look at fewer pictures if it takes longer")
    parser.add_argument("--limit", type=counting, metavar="N", help="look at N pictures at most")
    parser.add_argument("--seed", type=whole, default=0, metavar="S")
    parser.add_argument("--fresh", action="store_true", help="compute features that are known anew")
    parser.add_argument("--engine", choices=("local", "ray"), help="this machine, or a cluster's (STUDIO_ENGINE)")
    told = "write it there too: .html, .csv or .json; may be given again"
    parser.add_argument("--report", type=Path, action="append", default=[], metavar="FILE", help=told)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--licence", metavar="L", help="only this licence, such as apache-2.0")
    parser.add_argument("--max-params", type=float, metavar="M", help="only up to M million parameters")
    parser.add_argument("--max-gmacs", type=float, metavar="G", help="only up to G billion multiply-adds a picture")
    parser.add_argument("--source", metavar="S", help="only this source")
    parser.add_argument("--family", metavar="F", help="only this family, such as ResNet")
    parser.add_argument("--commercial", action="store_true", help="only licences known to allow commercial use")
    parser.add_argument("--search", metavar="TEXT", help="only ids or families with TEXT, in whole registries")
    parser.add_argument("--add", metavar="ID", help="put this backbone into the catalog")
    parser.add_argument("--offline", action="store_true", help="only what needs no download")


def _answer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER")


def _nodes_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="write it there, too")


def _look_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET")


COMMANDS = (
    Command(name="check", help="what is wrong with a dataset", call=check, arguments=_check_arguments),
    Command(name="repaired", help="what was read, repaired, skipped", call=repair, arguments=_repair_arguments),
    Command(name="add", help="more pictures or classes for DATA", call=add_to, arguments=_add_arguments),
    Command(name="export", help="DATA back out with its split", call=export, arguments=_export_arguments),
    Command(name="list", help="what backbones there are", call=list_backbones, show=_listed, arguments=_list_arguments),
    Command(name="compare", help="which fits DATA best", call=compare, show=_compared, arguments=_compare_arguments),
    Command(name="answer", help="be the process of one comparison", call=answer, arguments=_answer_arguments),
    Command(name="nodes", help="machines, busy how", call=nodes, show=_machines, arguments=_nodes_arguments),
    Command(name="look", help="be the process of one thorough look", call=look, arguments=_look_arguments),
)

if __name__ == "__main__":
    sys.exit(main("python -m zoo", COMMANDS))
