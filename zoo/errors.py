"""Errors a person is meant to read.

StudioError               anything the studio can explain
├── BadUpload             the files given are not a usable dataset
├── BadPicture            one file is not a picture that can be shown
├── BackboneUnavailable   weights cannot be had here
├── BadPlan               a training plan that cannot be carried out
├── BadClassifier         a folder that is not a classifier, or a damaged one
├── BadExport             an export that disagrees with its classifier
├── Cancelled             long work that was asked to stop
└── NotFound              no dataset, run or classifier has that id
"""

from __future__ import annotations


class StudioError(Exception):
    """A problem in one sentence and what the person can do about it in another."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[StudioError], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


class BadUpload(StudioError):
    """The files given are not a usable dataset."""


class BadPicture(StudioError):
    """One file is not a picture that can be shown."""


class BackboneUnavailable(StudioError):
    """Weights cannot be had here."""


class TooShort(StudioError):
    """The seconds given are fewer than the work needs to begin."""


class BadPlan(StudioError):
    """A training plan that cannot be carried out."""


class BadClassifier(StudioError):
    """A folder that is not a classifier, or a damaged one."""


class BadExport(StudioError):
    """An export that disagrees with the classifier it was made from."""


class Cancelled(StudioError):
    """Long work was asked to stop. Whoever watches it raises this out of the callback that is told its progress."""

    def __init__(
        self, problem: str = "Stopped, as you asked.", remedy: str = "Start again to go on from what was kept."
    ) -> None:
        super().__init__(problem, remedy)


class NotFound(StudioError):
    """No dataset, run or classifier has that id."""
