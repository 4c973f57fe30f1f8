"""A link by which whoever has it may ask one classifier, without signing in; a new one ends the last."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from trainer.runs import Runs
from zoo.store import Store, checked_id, read_json, write_json


@dataclass(frozen=True)
class Links:
    """One key a run, 256 random bits, in a file that only the page's user reads."""

    store: Store
    runs: Runs

    def renew(self, run_id: str) -> str:
        """The address of a run's new link, from the page's own; earlier ones open nothing any more.

        Raises:
            NotFound: there is no such run, or it has no classifier.
            BadPlan: the page is a public one.
        """
        self.runs.classifier(run_id)
        self.store.owners.private("Giving links")
        key = secrets.token_urlsafe(32)
        self._place(run_id).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self._place(run_id), {"key": key})
        self._place(run_id).chmod(0o600)
        return f"preview?run={run_id}&key={key}"

    def drop(self, run_id: str) -> None:
        """Let no link lead to a run any more.

        Raises:
            NotFound: there is no such run.
        """
        self.runs.folder(run_id)
        self._place(run_id).unlink(missing_ok=True)

    def opens(self, run_id: str, key: str) -> bool:
        """Whether ``key`` is the run's, whoever asks.

        Raises:
            NotFound: the run's id has not the form of one.
        """
        kept = read_json(self._place(run_id)) or {}
        return secrets.compare_digest(str(kept.get("key", "")).encode(), key.encode()) and bool(kept.get("key"))

    def _place(self, run_id: str) -> Path:
        return self.store.root / "links" / f"{checked_id(run_id, 'run')}.json"
