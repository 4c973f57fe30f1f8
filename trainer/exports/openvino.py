"""OpenVINO's own format, for Intel's processors and what else it runs on; Pillow prepares the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer import onefile, served
from trainer.card import card, model_front
from trainer.onegraph import FEATURES
from trainer.parcel import certified, golden, kept_if_good, program, result
from trainer.proof import Order
from zoo.store import write_bytes, write_json

USE = """```
pip install numpy pillow openvino
python predict.py picture.jpg
python verify.py          # that it answers here as it did where it was made
```

`model.xml` takes `pixels`, (1, 3, size, size) uint8 RGB, resized and cropped as `fit` in `predict.py` does it, because
OpenVINO's resize without Pillow's antialiasing would give other answers."""


class OpenVino:
    """The export ``openvino``."""

    name = "openvino"
    title = "OpenVINO"
    why = "For Intel's processors, graphics and NPUs, in a network that is usually quickest there."
    remote = False

    def write(self, order: Order) -> dict[str, Any]:
        with kept_if_good(order.to) as folder:
            _converted(served.body(order.store, order.classifier), folder / "model.xml")
            write_json(folder / "classifier.json", onefile.notes(order.classifier))
            program(folder, "predict.py")
            parity = certified(order, folder, "openvino")
            golden(order, folder)
            program(folder, "verify.py")
            told = card(order.classifier, parity, model_front(order.classifier), USE)
            write_bytes(folder / "README.md", told.encode())
            return result(folder, parity)


def _converted(network: bytes, path: Path) -> None:
    import openvino

    model = openvino.Core().read_model(network)
    shown = [output for output in model.outputs if FEATURES not in output.get_names()]
    model = openvino.Model([output.get_node().input_value(0) for output in shown], model.get_parameters(), "classifier")
    openvino.save_model(model, path, compress_to_fp16=False)


EXPORT = OpenVino()
