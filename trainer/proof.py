"""What an export is made from and proven on: a classifier, where it goes, and pictures it has never learned from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.dataset import Dataset, Split, split
from zoo.errors import BadExport, NotFound
from zoo.store import Store, read_json

MOST = 200  # pictures of the proof
CALIBRATING = 64  # training pictures by which an int8 network finds its ranges


@dataclass(frozen=True)
class Proof:
    """Files of the test part with their labels, and of the training part; empty where the dataset is gone."""

    pictures: tuple[Path, ...] = ()
    labels: tuple[str, ...] = ()
    training: tuple[Path, ...] = ()

    @classmethod
    def of(cls, classifier: Path, store: Store) -> Proof:
        """What the dataset that the classifier was trained on holds out, classes taking turns."""
        found = trained_on((read_json(classifier / "studio.json") or {}).get("passport", {}), store)
        if found is None:
            return cls()
        dataset, parts = found
        held = [index for index in parts.of("test") if (dataset.root / dataset.items[index].file).is_file()][:MOST]
        training = parts.of("train")
        spread = training[:: max(1, len(training) // CALIBRATING)][:CALIBRATING]
        paths = [dataset.root / dataset.items[index].file for index in spread]
        return cls(
            tuple(dataset.root / dataset.items[index].file for index in held),
            tuple(dataset.classes[dataset.y[index]] for index in held),
            tuple(path for path in paths if path.is_file()),
        )

    def checked(self) -> Proof:
        """Itself.

        Raises:
            BadExport: there is nothing to prove an export on.
        """
        if not self.pictures:
            raise BadExport(
                "There is no held-out picture to prove the export on.", "Export where the dataset still is."
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked to take away.

    Attributes:
        to: the folder to write, which must not exist yet, or OWNER/NAME on a hub.
        examples: a held-out picture of each class, re-encoded, may go along.
        int8: a smaller, less exact variant goes along where what it costs is little.
        public: a repository on a hub is for everyone to see.
    """

    classifier: Path
    to: str
    store: Store
    proof: Proof
    examples: bool = True
    int8: bool = False
    public: bool = False


def trained_on(passport: dict[str, Any], store: Store) -> tuple[Dataset, Split] | None:
    """The dataset of a classifier's passport, and its split; None where it is not in this store."""
    try:
        dataset = Dataset.load(store, str(passport.get("dataset", "")))
    except NotFound:
        return None
    return dataset, split(dataset, int(passport.get("plan", {}).get("seed", 0)))
