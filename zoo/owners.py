"""Who asks, what is theirs, and what they may use of this machine. Whoever asks by command line asks for everything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.errors import BadPlan, NotFound

Kind = Literal["datasets", "comparisons", "races", "runs"]
NAMES: dict[Kind, str] = {"datasets": "dataset", "comparisons": "comparison", "races": "race", "runs": "run"}
PUBLIC_PICTURES = 2000  # of a dataset on a public page
PUBLIC_BACKBONES = 6  # of a comparison
PUBLIC_SECONDS = 120.0
PUBLIC_AN_HOUR = 12  # comparisons of one visitor
HOUR = 3600.0


def everyone() -> str:
    """Who asks where nobody has to say who they are."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Marks below ``root``, one for each thing of each owner: the same pictures given twice are two people's.

    Attributes:
        asker: who asks right now; "" for one who may see everything, None where that is not known, who sees nothing.
        keeper: whose the things without an owner are; "" for everybody's.
        public: strangers ask: they compare small things and try, and change nothing of the host's.
        most_bytes: what the things of one owner may take on the disk; 0 for no limit.
        most_seconds: how long one owner's runs may take within a day; 0 for no limit.
    """

    root: Path
    asker: Callable[[], str | None] = everyone
    keeper: str = ""
    public: bool = False
    most_bytes: int = 0
    most_seconds: float = 0.0

    def claim(self, kind: Kind, name: str) -> None:
        """Let ``name`` be the asker's too.

        Raises:
            BadPlan: nobody knows who asks.
        """
        asker = self.asker()
        if asker is None:
            raise BadPlan("It is not known who asks.", "Sign in first.")
        if not asker:
            return
        for mark in (self.root / kind / name, self._place(asker) / kind / name):  # somebody's, then this one's
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def holds(self, kind: Kind, name: str) -> bool:
        """Whether the asker may know of ``name``, which has the form of an id."""
        asker = self.asker()
        if not asker:
            return asker == ""
        if (self._place(asker) / kind / name).exists():
            return True
        return self.keeper in ("", asker) and not (self.root / kind / name).exists()

    def check(self, kind: Kind, name: str) -> None:
        """See that ``name`` is the asker's to know.

        Raises:
            NotFound: it is not, in the words used for what is not there at all.
        """
        if not self.holds(kind, name):
            what = NAMES[kind]
            raise NotFound(f"There is no {what} {name!r}.", f"Choose a {what} from the list.")

    def check_backbone(self, backbone: str, runs: Path) -> None:
        """See that the run is the asker's to know, if ``backbone`` is the classifier of one of ``runs``.

        Raises:
            NotFound: it is not.
        """
        source, _, name = backbone.partition("/")
        if source == "folder" and "/" not in name and (runs / name).exists():
            self.check("runs", name)

    def own(self, kind: Kind) -> list[str]:
        """What the asker claimed; nothing for one who may see everything."""
        asker = self.asker()
        if not asker or not (self._place(asker) / kind).is_dir():
            return []
        return sorted(mark.name for mark in (self._place(asker) / kind).iterdir())

    def private(self, what: str) -> None:
        """See that the page is not for strangers.

        Raises:
            BadPlan: it is; ``what`` begins the sentence.
        """
        if self.public and self.asker() != "":
            raise BadPlan(
                f"{what} is switched off on this public page.", "Run the studio yourself, or duplicate its Space."
            )

    def allowed_pictures(self, count: int) -> None:
        """See that a dataset of ``count`` pictures may be given.

        Raises:
            BadPlan: it is too big for a public page.
        """
        if self.public and count > PUBLIC_PICTURES:
            raise BadPlan(
                f"These are {count:,} pictures.",
                f"This public page takes {PUBLIC_PICTURES:,}; run the studio yourself.",
            )

    def allowed_disk(self, paths: Iterable[Path]) -> None:
        """See that what lies at ``paths``, the asker's, leaves them room.

        Raises:
            BadPlan: it does not.
        """
        if not self.most_bytes or not self.asker():
            return
        used = sum(_length(path) for path in paths)
        if used >= self.most_bytes:
            raise BadPlan(
                f"Your datasets and runs take {used / 1e9:.1f} GB; {self.most_bytes / 1e9:.1f} GB are yours.",
                "Delete runs for good that you no longer need, or ask whoever keeps this page.",
            )

    def allowed_time(self, seconds: float) -> None:
        """See that ``seconds`` of running within a day leave the asker time.

        Raises:
            BadPlan: they do not.
        """
        if self.most_seconds and self.asker() and seconds >= self.most_seconds:
            raise BadPlan(
                f"Your runs took {seconds / 3600:.1f} hours today; {self.most_seconds / 3600:.1f} are yours.",
                "Wait until tomorrow, or ask whoever keeps this page.",
            )

    def _place(self, name: str) -> Path:
        return self.root / hashlib.sha256(name.encode()).hexdigest()[:24]


def _length(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())
