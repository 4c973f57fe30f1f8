"""A rival of tests/bench/rivals.py: fastai's vision_learner and fine_tune as its documentation's quick start has them.

Reads a job (JSON: train and test files with labels, classes, timm's name of the network, its weights, size, seed,
epochs) and writes the test pictures' predicted labels. The weights are the very file the studio starts from.

    python tests/bench/rival_fastai.py JOB.json ANSWER.json
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path


def main(job_file: str, answer_file: str) -> None:
    warnings.filterwarnings("ignore")
    from fastai.vision.all import (  # type: ignore[import-not-found]
        CategoryBlock,
        ColReader,
        DataBlock,
        ImageBlock,
        RandomSplitter,
        Resize,
        accuracy,
        set_seed,
        vision_learner,
    )
    from pandas import DataFrame

    job = json.loads(Path(job_file).read_text())
    set_seed(job["seed"])
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=job["classes"])),
        get_x=ColReader("file"),
        get_y=ColReader("label"),
        splitter=RandomSplitter(0.2, seed=job["seed"]),  # its default share held out to watch
        item_tfms=Resize(job["size"]),
    )
    rows = DataFrame(job["train"], columns=["file", "label"])
    loaders = block.dataloaders(rows, num_workers=0)  # one process, so that all of its CPU time is seen
    weights = {"pretrained_cfg_overlay": {"file": job["weights"], "mean": job["mean"], "std": job["std"]}}
    learner = vision_learner(loaders, job["network"], metrics=accuracy, **weights)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(job["epochs"])
        test = loaders.test_dl([file for file, _ in job["test"]], num_workers=0)
        scores, _ = learner.get_preds(dl=test)
    Path(answer_file).write_text(json.dumps([job["classes"][index] for index in scores.argmax(dim=1).tolist()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
