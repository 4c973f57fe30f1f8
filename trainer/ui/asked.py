"""One picture asked about on a screen: kept, with its file, for as long as a visitor may ask more about it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.asking import levels, narrowed
from trainer.prediction import Prediction
from trainer.runs import Runs
from trainer.ui.shelf import Shelf
from trainer.ui.try_view import answer_html
from zoo.backbone import Picture
from zoo.dataset import Dataset, split
from zoo.decode import encode_jpeg, read_file, read_picture
from zoo.errors import NotFound
from zoo.store import Store

MOST_KEPT = 20 << 20  # bytes of a file; a larger one is kept as a JPEG of the same pixels
PLAIN = (b"\xff\xd8\xff", b"\x89PNG")
EXAMPLES = 14


@dataclass(frozen=True, eq=False)
class Asked:
    """A picture, the file it came in, and what the classifier of ``run`` said; ``truth`` is its label where known."""

    run: str
    picture: Picture
    content: bytes
    answer: Prediction
    truth: str = ""

    def html(self, runs: Runs, miss: float | None) -> str:
        """The answer, its set as it must be to lack the truth no more often than ``miss``."""
        miss, threshold = level(runs.classifier(self.run), miss)
        return answer_html(self.picture, narrowed(self.answer, threshold), miss, self.truth)


def level(folder: Path, miss: float | None) -> tuple[float | None, float | None]:
    """``miss`` and its threshold, or the default's; Nones where calibration was too small to promise anything."""
    known = levels(folder)
    if not known:
        return None, None
    chosen = miss if miss in known else 0.1 if 0.1 in known else next(iter(known))
    return chosen, known[chosen]


def ask(runs: Runs, shelf: Shelf, run_id: str, content: bytes, truth: str = "") -> Asked:
    """Ask the classifier of a run about the picture in a file.

    Raises:
        BadPicture: it is none.
        NotFound, BadClassifier: nothing answers.
    """
    picture = read_picture(content)
    answer = shelf.get(runs.classifier(run_id)).predict([picture])[0]
    return Asked(run_id, picture, _kept(picture, content), answer, truth)


def ask_file(runs: Runs, shelf: Shelf, run_id: str, path: str) -> Asked:
    """The same of a file on disk."""
    return ask(runs, shelf, run_id, read_file(Path(path)))


def ask_example(runs: Runs, shelf: Shelf, store: Store, run_id: str, choice: str) -> Asked | None:
    """The same of a picture of the run's test part, whose label is known; None for one that is not on show."""
    dataset, indices = test_pictures(runs, store, run_id)
    if not choice.isdecimal() or int(choice) not in indices:
        return None
    item = dataset.items[int(choice)]
    return ask(runs, shelf, run_id, read_file(dataset.root / item.file), dataset.classes[item.label])


def test_pictures(runs: Runs, store: Store, run_id: str) -> tuple[Dataset, list[int]]:
    """The dataset of a run and a few indices of its test part, classes taking turns.

    Raises:
        NotFound: its plan or its dataset is gone.
    """
    plan = runs.read(run_id).plan
    if plan is None:
        raise NotFound("The plan of this run cannot be read.", "Choose another classifier.")
    dataset = Dataset.load(store, plan.dataset)
    test = split(dataset, plan.seed).of("test")
    turns = np.zeros(len(test), dtype=np.int64)  # how many of its class came before
    for label in np.unique(dataset.y[test]):
        members = dataset.y[test] == label
        turns[members] = np.arange(members.sum())
    order = np.argsort(turns, kind="stable")
    return dataset, [int(index) for index in test[order][:EXAMPLES]]


def png(picture: Picture) -> bytes:
    """``picture`` as a file that loses nothing."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png", compress_level=1)
    return content.getvalue()


def _kept(picture: Picture, content: bytes) -> bytes:
    if len(content) > MOST_KEPT:
        return encode_jpeg(picture, 95)
    return content if content.startswith(PLAIN) else png(picture)
