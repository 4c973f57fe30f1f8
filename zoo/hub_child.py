"""The process that reads a dataset from a hub: streamed, bounded, without tokens, and never running the hub's code.

One job comes as a JSON line on standard input, answers go as JSON lines to standard output; see ``zoo.hub_data``. What
it reads become numbered files; no picture is decoded here.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.columns import Columns
from zoo.confine import limit
from zoo.errors import BadUpload
from zoo.rows import Cells, Purse, Table, answers, arrow_table

MEMORY, CPU_SECONDS = 8 << 30, 4 * 3600
RETRIES = 3
ASIDE = frozenset(("", ".md", ".txt", ".json", ".gitattributes", ".gitignore", ".yaml", ".yml"))
BREATH = 10.0  # seconds between signs of life
HEAVY, LIGHT = 1000, 20_000  # rows shuffled at once: with pictures in them, with paths alone

_saying = threading.Lock()


def say(**answer: Any) -> None:
    with _saying:
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def stream(
    name: str, config: str, revision: str, columns: Mapping[str, str], into: str, most: int, most_bytes: int
) -> None:
    """Say the rows of every split of the dataset ``name``, at most ``most`` in all."""
    about = _about(name, revision)
    if archive := _lone_archive(about["files"]):
        say(archive=_downloaded(name, about["sha"], archive, Path(into), most_bytes))
        return
    import datasets

    datasets.config.STREAMING_READ_MAX_RETRIES = RETRIES
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0.1  # guards an orderly end, which this process never has
    splits = datasets.load_dataset(name, config or None, revision=about["sha"], streaming=True)
    heavy = any(file.endswith((".parquet", ".tar", ".arrow")) for file in about["files"])
    told, purse = Columns(**columns), Purse(Path(into), most_bytes, 0)
    shares = _shares({part: _count(rows, part) for part, rows in splits.items()}, most)
    for number, (part, rows) in enumerate(splits.items()):
        say(split=number, name=part, licence=about["licence"])
        cut = _count(rows, part) is None or shares[part] < (_count(rows, part) or 0)
        table = _table(rows, name, (HEAVY if heavy else LIGHT) if cut else 0)
        for answer in answers(table, told, {"name": part, "given": part}, purse):
            if answer.get("row", 0) > shares[part]:
                say(cut=shares[part], of=_count(rows, part) or "more", name=part)
                break
            if "chosen" in answer:
                told = Columns(**answer["chosen"])
            say(table=number, **answer)


def _about(name: str, revision: str) -> dict[str, Any]:
    """The dataset's commit, files and licence, asked for before anything is read.

    Raises:
        BadUpload: there is no such dataset for us, or it is code.
    """
    from huggingface_hub import HfApi

    info = HfApi().dataset_info(name, revision=revision or None, timeout=10)
    files = [one.rfilename for one in info.siblings or ()]
    if f"{name.rpartition('/')[2]}.py" in files:
        raise BadUpload(f"{name!r} comes as code, which is never run here.", "Look for a copy of it as Parquet.")
    licence = info.card_data.license if info.card_data else None
    return {"sha": info.sha, "files": files, "licence": str(licence or "")}


def _lone_archive(files: Sequence[str]) -> str:
    """The archive that is the whole dataset; "" where there are tables, loose pictures or several archives."""
    data = [file for file in files if PurePosixPath(file).suffix.lower() not in ASIDE]
    return data[0] if len(data) == 1 and data[0].lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")) else ""


def _downloaded(name: str, sha: str, archive: str, into: Path, most: int) -> str:
    from huggingface_hub import HfApi, hf_hub_download

    known = HfApi().get_paths_info(name, [archive], revision=sha, repo_type="dataset")
    size = sum(int(getattr(one, "size", 0)) for one in known)
    if size > most:
        raise BadUpload(f"{archive!r} of {name!r} has {size >> 20} MiB.", f"Choose one below {most >> 20} MiB.")
    return hf_hub_download(name, archive, repo_type="dataset", revision=sha, local_dir=into / "hub")


def _count(rows: Any, part: str) -> int | None:
    known = (rows.info.splits or {}).get(part)
    return known.num_examples if known and known.num_examples else None


def _shares(counts: Mapping[str, int | None], most: int) -> dict[str, int]:
    """How many rows of each split are read: all where that is not too many, else in proportion."""
    if all(counts.values()) and (total := sum(count or 0 for count in counts.values())) > most:
        return {part: max(1, most * (count or 0) // total) for part, count in counts.items()}
    if all(counts.values()):
        return {part: count or 0 for part, count in counts.items()}
    return dict.fromkeys(counts, most // len(counts))


def _table(rows: Any, name: str, shuffled: int) -> Table:
    """Rows of the dataset ``name`` as a table, its pictures as bytes; drawn from so many where ``shuffled``."""
    from datasets.utils.file_utils import xopen

    if rows.features is None:
        rows = rows._resolve_features()  # noqa: SLF001 - the one way to know the columns of a stream
    rows = rows.decode(False)
    ours = re.compile(rf"(zip://[^:]*::)?hf://datasets/{re.escape(name)}@")

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        drawn = rows.shuffle(seed=0, buffer_size=shuffled) if shuffled else rows
        for row in drawn.select_columns(list(wanted)).decode(False):  # again: a shuffle forgets it
            for column, cell in row.items():
                # Only files of this very dataset: a path out of a table may say anything.
                if isinstance(cell, dict) and not cell.get("bytes") and ours.match(str(cell.get("path"))):
                    with xopen(cell["path"], "rb") as file:
                        row[column] = {"bytes": file.read(), "path": cell["path"]}
            yield row

    return arrow_table(rows.features.arrow_schema, rows.features.to_dict(), cells)


def _explained(error: Exception, name: str) -> tuple[str, str]:
    """What an error of the hub's libraries means."""
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    text = str(error)
    elsewhere = "Try again later, or give a folder or an archive that is on this disk."
    if isinstance(error, GatedRepoError):
        return (
            f"{name!r} is only given to those whom its owner knows.",
            "Download it with your account, give the folder.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"The hub has no dataset {name!r} that everyone may read.", "Check its name: hf://datasets/OWNER/NAME."
    if isinstance(error, OfflineModeIsEnabled):
        return f"The studio is offline, and {name!r} is on a hub.", "Give a folder or an archive that is on this disk."
    if "Config name is missing" in text or "BuilderConfig" in text:
        names = re.findall(r"'([^']+)'", text.partition("[")[2])
        have = ", ".join(names[:10]) or "several"
        return f"{name!r} has more than one configuration: {have}.", f"Add one: hf://datasets/{name}/NAME."
    if "scripts are no longer supported" in text:
        return f"{name!r} comes as code, which is never run here.", "Look for a copy of it as Parquet."
    if isinstance(error, ConnectionError | TimeoutError) or "onnect" in type(error).__name__ or "imeout" in text:
        return f"No hub answers, so {name!r} cannot be read.", elsewhere
    first = text.strip().splitlines()[0][:160] if text.strip() else type(error).__name__
    return f"The hub would not give {name!r}: {first}", elsewhere


def _errors() -> tuple[type[Exception], ...]:
    from httpx2 import HTTPError
    from pyarrow import ArrowException

    return (HTTPError, ArrowException, OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError)


def _live() -> None:
    """Tell the parent now and then that this process lives, and end with it."""
    pulse = threading.Event()

    def beat() -> None:
        while not pulse.wait(BREATH):
            say(alive=True)

    def listen() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    for what in (beat, listen):
        threading.Thread(target=what, daemon=True).start()


def main() -> None:
    job = json.loads(sys.stdin.buffer.readline())
    _live()
    limit(MEMORY, job["most_bytes"], CPU_SECONDS)
    try:
        stream(**job)
        say(done=True)
    except BadUpload as bad:
        say(refused=[bad.problem, bad.remedy])
    except _errors() as error:
        say(refused=_explained(error, job["name"]))
    os._exit(0)  # the hub's libraries keep threads that wait for more


if __name__ == "__main__":
    main()
