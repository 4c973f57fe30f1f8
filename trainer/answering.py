"""Answers of a classifier that only torch can run, for a page that does not import torch: a process of its own.

A question is a line of JSON, the picture's shape and what is asked, then its bytes; the answer is a line of JSON. The
process ends with the pipe, so that it never outlives who asks, and after a while of no questions.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from trainer.prediction import Prediction
from zoo.backbone import Picture
from zoo.background import ROOT
from zoo.errors import BadClassifier
from zoo.settings import child_environment

IDLE = 300  # seconds without a question after which the process ends


class Child:
    """A classifier in a process with torch, asked one picture at a time; ``threads`` are what it computes with."""

    def __init__(self, folder: Path, home: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trainer", "answer", str(folder), "--home", str(home)],
            cwd=ROOT,
            env=child_environment(OMP_NUM_THREADS=str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._turn = threading.Lock()

    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One answer a picture.

        Raises:
            BadClassifier: the process has ended, or never began.
        """
        return list(self.stream(pictures))

    def stream(self, pictures: Sequence[Picture]) -> Iterator[Prediction]:
        """The same, as they come."""
        for picture in pictures:
            yield self._asked(np.ascontiguousarray(picture))

    def inside(self, prepared: Picture, label: int) -> dict[str, Any]:
        """``trainer.attention.inside`` for a picture that is cut to the network's size already.

        Raises:
            BadClassifier: as ``predict``.
        """
        return self._told(np.ascontiguousarray(prepared), {"inside": label})

    @property
    def living(self) -> bool:
        """It has not ended by itself."""
        return self._process.poll() is None

    def close(self) -> None:
        """Let the process end."""
        with self._turn:
            if self._process.stdin:
                with suppress(BrokenPipeError):  # it ended by itself
                    self._process.stdin.close()
            self._process.wait(10)

    def _asked(self, picture: Picture) -> Prediction:
        row = self._told(picture, {})
        top = tuple((one["label"], one["probability"]) for one in row.pop("top"))
        return Prediction(**row | {"top": top, "set": tuple(row["set"])})

    def _told(self, picture: Picture, question: dict[str, Any]) -> dict[str, Any]:
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None
        assert answers is not None
        with self._turn:
            try:
                asks.write(json.dumps({"shape": picture.shape} | question).encode() + b"\n" + picture.tobytes())
                asks.flush()
                row: dict[str, Any] = json.loads(answers.readline())
            except (OSError, ValueError) as error:
                raise BadClassifier("The process that answers has ended.", "Choose the classifier again.") from error
        return row


def serve(folder: Path, threads: int) -> None:
    """Answer what comes on standard input until that ends."""
    from trainer.attention import inside
    from trainer.classifier import Classifier
    from zoo.forward import use_threads

    use_threads(threads)
    classifier = Classifier.load(folder)
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    while select.select([asked], [], [], IDLE)[0] and (line := asked.readline()):
        question = json.loads(line)
        height, width, _ = question["shape"]
        picture = np.frombuffer(asked.read(height * width * 3), dtype=np.uint8).reshape(height, width, 3)
        if "inside" in question:
            row = inside(classifier.network, picture, classifier.preprocessing, question["inside"])
            row["heat"] = None if row["heat"] is None else row["heat"].tolist()
        else:
            row = classifier.predict([picture])[0].as_json()
        said.write(json.dumps(row).encode() + b"\n")
        said.flush()
