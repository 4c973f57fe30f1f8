"""One ONNX file with everything inside, its program, golden pictures, a verifier, and int8 where that costs little."""

from __future__ import annotations

from typing import Any

from trainer.card import card, model_front
from trainer.parcel import kept_if_good, result, verified_file
from trainer.proof import Order
from trainer.quantized import quantized
from zoo.store import write_bytes

USE = """```
pip install numpy pillow onnxruntime
python predict.py picture.jpg
python verify.py          # that it answers here as it did where it was made
```

`model.onnx` takes `image`, (height, width, 3) uint8 RGB of any size, and gives `probabilities` and `novelty`; labels
and the rest are in its metadata under `studio`."""


class Onnx:
    """The export ``onnx``."""

    name = "onnx"
    title = "ONNX in one file"
    why = "For any language: the picture goes in as it is, resizing and everything else is inside."
    remote = False

    def write(self, order: Order) -> dict[str, Any]:
        with kept_if_good(order.to) as folder:
            parity = verified_file(order, folder)
            told = card(order.classifier, parity, model_front(order.classifier), USE)
            write_bytes(folder / "README.md", told.encode())
            more = {"int8": quantized(order, folder)} if order.int8 else {}
            return result(folder, parity, **more)


EXPORT = Onnx()
