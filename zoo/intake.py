"""A folder, an archive or the sample becomes a dataset: read safely, decoded once, everything passed over listed."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from zoo.archive import DAMAGED
from zoo.columns import Columns
from zoo.dataset import Dataset, Skipped
from zoo.duplicates import grouped, same_rows
from zoo.earlier import Earlier
from zoo.errors import BadUpload
from zoo.groups import MOVED, alike, by_name, by_time, same_key
from zoo.hub_data import SCHEME, fetch
from zoo.items import BLOCK, Block, Items
from zoo.layout import TABLES, Found, Gathered, Placed, Plain, arrange, explain, junk, walk
from zoo.lookalikes import lookalikes
from zoo.names import clean
from zoo.outcomes import Outcomes
from zoo.pictures import Files, Pictures
from zoo.resume import bench
from zoo.room import evict, owned
from zoo.sandbox import Progress, Sandbox
from zoo.settings import Settings
from zoo.store import Store, new_id
from zoo.tables import Beside, Shelf, TableFile, from_tables, is_table, part_of, saved
from zoo.texts import Texts

SAMPLE = Path(__file__).parent / "sample"
MOST_ENTRIES = 200_000
STALE = 24 * 3600  # seconds after which a half-made file belongs to nobody


@dataclass(frozen=True, slots=True)
class Desk:
    """What every step of one intake needs; ``room`` is an empty folder that is gone when the intake ends."""

    store: Store
    settings: Settings
    sandbox: Sandbox
    room: Path
    told: Progress


def intake(
    source: Path | str,
    store: Store,
    settings: Settings,
    on_progress: Progress = lambda _stage, _done, _total: None,
    columns: Columns | None = None,
) -> Dataset:
    """Read ``source``, save the dataset and return it.

    A source is a folder of class folders, a .zip, .tar or .tar.gz of one, a table (.csv, .tsv, .parquet), a folder or
    archive that has one beside its pictures, a folder that Hugging Face's ``datasets`` saved, hf://datasets/OWNER/NAME,
    or the text "sample".
    Progress is told as (stage, done, total), total 0 while it is not known; stages: unpack, read, fetch, decode, group.

    Args:
        columns: of a table; those not told are guessed, and ``Dataset.notes`` says which were taken.

    Raises:
        BadUpload: there is no usable dataset; the message says why and what layout is wanted.
    """
    with at_desk(store, settings, on_progress) as desk:
        dataset = keep(build(gather(source, desk, columns or Columns()), desk), desk)
    dataset.save(store)
    return dataset


@contextmanager
def at_desk(store: Store, settings: Settings, told: Progress) -> Iterator[Desk]:
    """Everything one intake needs, cleared away at its end."""
    _sweep(store)
    store.owners.allowed_disk(owned(store))
    room = store.datasets / f".draft-{new_id()}"
    room.mkdir()
    try:
        with Sandbox(settings.threads) as sandbox:
            yield Desk(store, settings, sandbox, room, told)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def gather(source: Path | str, desk: Desk, columns: Columns) -> Gathered:
    """The files of ``source`` and their classes, by name alone; none is decoded yet.

    Raises:
        BadUpload: there is nothing of that name, or it cannot be taken.
    """
    path = SAMPLE if source == "sample" else source
    if str(source).startswith(SCHEME):
        fetched = fetch(str(source), desk.room, desk.settings, columns, desk.told)
        if isinstance(fetched, Gathered):
            return fetched
        path = fetched
    path = _existing(path)
    if path.is_dir():
        if tables := saved(path):
            return _tables(tables, Shelf(()), path, path.name, desk, columns)
        found, skipped = walk(path)
        return _sorted(path, "Sample drawings" if path == SAMPLE else path.name, found, skipped, desk, columns)
    if path.suffix.lower() in TABLES:
        return _tables([TableFile(path, path.name)], Beside(path.parent), path.parent, path.stem, desk, columns)
    members = desk.sandbox.unpack(path, desk.room, desk.settings.max_upload_mb * 8 << 20, MOST_ENTRIES, desk.told)
    found = [Found(member.file, member.name) for member in members if member.file]
    passed_over = {member.name: member.why for member in members if not member.file}
    skipped = [Skipped(clean(name, 300), why, corrupt=why == DAMAGED) for name, why in passed_over.items()]
    title = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    return _sorted(desk.room, title, found, skipped, desk, columns)


def _sorted(
    root: Path, title: str, found: Sequence[Found], skipped: Sequence[Skipped], desk: Desk, columns: Columns
) -> Gathered:
    """Files below ``root`` by their folders; by tables among them where folders are no classes, or columns are told."""
    by_folders = from_files(root, title, found, skipped)
    tables = [one for one in found if one.name.lower().endswith(tuple(TABLES)) and is_table(one.path)]
    if not tables or (not columns and len({one.label for one in by_folders.placed}) > 1):
        return by_folders
    listed = [TableFile(root / one.file, str(one.path), part_of(one.path), one.path.parent) for one in tables]
    pictures = [one for one in found if one.path.suffix.lower() not in TABLES and not junk(one.path)]
    gathered = _tables(listed, Shelf(pictures), root, title, desk, columns)
    named = {one.file for one in gathered.found}
    unnamed = [Skipped(_shown(one.path), "No row of a table names it.") for one in pictures if one.file not in named]
    passed_over = _without_junk([one for one in found if one.path.suffix.lower() not in TABLES])[1]
    return replace(gathered, skipped=(*skipped, *passed_over, *gathered.skipped, *unnamed))


def _tables(
    tables: Sequence[TableFile], shelf: Shelf, root: Path, title: str, desk: Desk, columns: Columns
) -> Gathered:
    most = desk.settings.max_upload_mb * 8 << 20
    return from_tables(tables, shelf, root, title, desk.sandbox, desk.room, columns, most, desk.told)


def from_files(root: Path, title: str, found: Sequence[Found], skipped: Sequence[Skipped]) -> Gathered:
    """Files below ``root`` as pictures of the classes that their folders are."""
    candidates, passed_over = _without_junk(found)
    placed, loose = arrange([one.name for one in candidates])
    return Gathered(root, title, tuple(candidates), tuple(placed), (*skipped, *passed_over, *loose))


def _existing(source: Path | str) -> Path:
    path = Path(source)
    try:
        path = path.expanduser()
        kind = path.stat().st_mode if str(source).strip() else 0  # Path("") would be the folder one stands in
    except (OSError, ValueError, RuntimeError):  # the last for the home of someone unknown
        kind = 0
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise BadUpload(
            f"There is no folder or archive {clean(str(source), 200)!r}.", "Check the path, or give: sample."
        )
    if stat.S_ISDIR(kind) and not os.access(path, os.R_OK | os.X_OK):
        raise BadUpload(f"{clean(str(source), 200)!r} may not be read.", "Give yourself the right to read it.")
    return path.resolve()


def keep(dataset: Dataset, desk: Desk) -> Dataset:
    """Give those files of ``dataset`` that lie in the desk's room their lasting place and numbers for names."""
    if dataset.root != desk.room:
        return dataset
    fresh = desk.room / "kept"
    fresh.mkdir()

    def moved(block: Block, first: int) -> Block:
        files = list(block["file"])
        for place, file in enumerate(files):
            if not Path(file).is_absolute():
                files[place] = f"{first + place:07}"
                os.replace(dataset.root / file, fresh / files[place])
        return {**block, "file": files}

    items = Items(moved(block, number * BLOCK) for number, block in enumerate(dataset.held.blocks()))
    place = desk.store.datasets / dataset.id
    with desk.store.lock(f"dataset-{dataset.id}"):
        if not place.exists():  # the same pictures in the same order are the same files, so the first to come may stay
            os.replace(fresh, place)
    return replace(dataset, root=place, items=items)


def build(gathered: Gathered, desk: Desk, before: Dataset | None = None) -> Dataset:
    """Decode what was gathered and make the dataset, its pixels stored, itself not yet saved.

    Where the first files of ``gathered`` are those of ``before``, only the others are decoded.
    """
    root, title, candidates = gathered.root, gathered.title, gathered.found
    skipped = list(gathered.skipped)
    desk.store.owners.allowed_pictures(len(candidates))
    if len({one.label for one in gathered.placed}) < 2:
        raise explain(title, gathered.placed, len(candidates), skipped)
    placed = sorted(  # by the parts of their names
        gathered.placed, key=lambda one: (one.label, one.given, candidates[one.index].name.replace("/", "\0"))
    )
    files = Files(root, Texts.of(candidates[one.index].file for one in placed))
    own = root == desk.room
    with bench(desk.store, title if own else str(root), own) as here:
        outcomes = here.decode(files, desk.sandbox, desk.told, _earlier(before, placed, desk))
        skipped += _damaged(placed, candidates, outcomes)
        good = [placed[index] for index in outcomes.good().tolist()]
        if len({one.label for one in good}) < 2:
            raise explain(title, good, len(candidates), skipped)
        pictures = here.finish(outcomes)
    evict(desk.store, desk.settings.cache_gb * 10**9)
    desk.told("group", 0, len(good))
    names = [candidates[one.index].name for one in good]
    groups = _groups(pictures, outcomes, good, names, desk.told)
    desk.told("group", len(good), len(good))
    classes = sorted({one.label for one in good})
    number = {label: index for index, label in enumerate(classes)}
    items = Items(_blocks(outcomes, good, groups, candidates, number))
    return Dataset(
        root=root, title=clean(title), classes=tuple(classes), items=items, skipped=tuple(skipped), notes=gathered.notes
    )


def _earlier(before: Dataset | None, placed: Sequence[Placed], desk: Desk) -> Earlier | None:
    """What is known of the files ``placed`` of which ``before`` was made."""
    row = np.array([one.index for one in placed], dtype=np.int64)
    return Earlier.of(desk.store, before, np.where(row < len(before or ()), row, -1))


def _blocks(
    outcomes: Outcomes,
    good: Sequence[Placed],
    groups: Sequence[int],
    candidates: Sequence[Found],
    number: Mapping[str, int],
) -> Iterator[Block]:
    """The columns of the dataset's items, block by block."""
    rows = outcomes.good()
    for first in range(0, len(good), BLOCK):
        part = slice(first, first + BLOCK)
        some, chosen = good[part], rows[part]
        size = outcomes.column("size")[chosen].tolist()
        yield {
            "file": [candidates[one.index].file for one in some],
            "name": [clean(candidates[one.index].name, 300) for one in some],
            "label": [number[one.label] for one in some],
            "sha": [sha.tobytes().hex() for sha in outcomes.column("sha")[chosen]],
            "given": [one.given for one in some],
            "group": groups[part],
            "width": [width for width, _ in size],
            "height": [height for _, height in size],
            "length": outcomes.column("bytes")[chosen].tolist(),
            "taken": outcomes.column("taken")[chosen].tolist(),
            "quality": outcomes.column("quality")[chosen].tolist(),
            "mode": [outcomes.word(code) for code in outcomes.column("mode")[chosen].tolist()],
            "repaired": [outcomes.word(code) for code in outcomes.column("repaired")[chosen].tolist()],
        }


def _without_junk(found: Sequence[Found]) -> tuple[list[Found], list[Skipped]]:
    candidates, skipped = [], {}
    plain = Plain()
    for one in found:
        if plain(one.name):
            candidates.append(one)
        elif one.path.suffix.lower() in TABLES:
            skipped[str(one.path)] = Skipped(_shown(one.path), "A table; the folders say the classes.")
        elif passed_over := junk(one.path):
            path, why = passed_over
            skipped[path] = Skipped(_shown(PurePosixPath(path)) + "/" * path.endswith("/"), why)
        else:
            candidates.append(one)
    return candidates, list(skipped.values())


def _damaged(placed: Sequence[Placed], candidates: Sequence[Found], outcomes: Outcomes) -> list[Skipped]:
    """Files that could not be read, then classes of which none could."""
    damaged = []
    for index, bad in outcomes.bad():
        path = _shown(candidates[placed[index].index].path)
        damaged.append(Skipped(path, f"{bad.problem} {bad.remedy}", corrupt=True))
    whole = {placed[index].label for index in outcomes.good().tolist()}
    empty = sorted({one.label for one in placed} - whole)
    return damaged + [Skipped(f"{label}/", "None of its pictures can be read.") for label in empty]


def _groups(
    pictures: Pictures, outcomes: Outcomes, good: Sequence[Placed], names: Sequence[str], told: Progress
) -> list[int]:
    """What no split may part: the same picture twice, to the byte or to the eye; bursts; what the person says."""
    rows = outcomes.good()
    labels = [one.label for one in good]
    pairs = same_rows(outcomes.column("sha")[rows])
    hashes = np.ascontiguousarray(outcomes.column("hash")[rows])
    pairs += lookalikes(pictures, hashes, told=lambda done, total: told("group", done, total))
    pairs += same_key([one.group for one in good])
    sure, unsure = by_name(names, labels)
    bursts = by_time(outcomes.column("taken")[rows].tolist(), labels)
    return grouped(len(rows), pairs + sure + alike(pictures, unsure) + alike(pictures, bursts, MOVED))


def _shown(path: PurePosixPath) -> str:
    return clean(str(path), 300)


def _sweep(store: Store) -> None:
    """Remove what an intake that was killed left half made."""
    for folder in (store.datasets, store.pictures):
        for draft in folder.glob(".draft-*"):
            try:
                if time.time() - draft.stat().st_mtime > STALE:
                    shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
            except FileNotFoundError:  # another intake was faster
                continue
