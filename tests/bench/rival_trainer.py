"""A rival of tests/bench/rivals.py: transformers' Trainer with the defaults of AutoTrain's image classification.

Those defaults, as AutoTrain Advanced 0.8's ImageClassificationParams and process_data state them: rate 5e-5, 3 epochs,
batches of 8, warm-up 0.1, linear schedule, AdamW without weight decay, gradients clipped at 1, full precision, seed 42
(here the split's), no validation part; random resized crops, quarter turns, mirroring, brightness and contrast. Reads
and writes what tests/bench/rival_fastai.py does; "folder" in the job is the network as from_pretrained takes it.

    python tests/bench/rival_trainer.py JOB.json ANSWER.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any


def main(job_file: str, answer_file: str) -> None:
    warnings.filterwarnings("ignore")
    import albumentations  # type: ignore[import-not-found]
    import numpy as np
    import torch
    from PIL import Image
    from transformers import AutoModelForImageClassification, Trainer, TrainingArguments

    job = json.loads(Path(job_file).read_text())
    side, normal = (job["size"], job["size"]), albumentations.Normalize(mean=job["mean"], std=job["std"])
    shown = {
        "train": [
            albumentations.RandomResizedCrop(size=side),
            albumentations.RandomRotate90(),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.RandomBrightnessContrast(p=0.2),
            normal,
        ],
        "test": [albumentations.Resize(*side), normal],
    }

    class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __init__(self, part: str) -> None:
            self.rows, self.transform = job[part], albumentations.Compose(shown[part])

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, index: int) -> dict[str, Any]:
            file, label = self.rows[index]
            picture = self.transform(image=np.array(Image.open(file).convert("RGB")))["image"]
            return {
                "pixel_values": picture.transpose(2, 0, 1).astype(np.float32),
                "labels": job["classes"].index(label),
            }

    with tempfile.TemporaryDirectory() as scratch:
        how = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=16,
            learning_rate=5e-5,
            num_train_epochs=job["epochs"],
            warmup_steps=round(0.1 * job["epochs"] * -(-len(job["train"]) // 8)),
            lr_scheduler_type="linear",
            optim="adamw_torch",
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=job["seed"],
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        network = AutoModelForImageClassification.from_pretrained(job["folder"])
        trainer = Trainer(model=network, args=how, train_dataset=Pictures("train"))
        trainer.train()
        scores = np.asarray(trainer.predict(Pictures("test")).predictions)
    Path(answer_file).write_text(json.dumps([job["classes"][index] for index in scores.argmax(axis=1).tolist()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
