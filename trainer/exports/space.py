"""A Gradio Space: a folder that starts by itself, offline too, without torch; push it or run it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from trainer import onefile
from trainer.card import card, model_front
from trainer.parcel import examples, kept_if_good, program, result, verified_file
from trainer.proof import Order
from zoo.store import write_bytes

USE = """```
pip install -r requirements.txt
python app.py
python verify.py          # that it answers here as it did where it was made
```

As a Space: push this folder as it is."""
NEEDS = "gradio>=6.31,<7\nonnxruntime>=1.22,<2\nnumpy>=2,<3\npillow>=11.3,<13\n"  # as the studio itself, without torch


class Space:
    """The export ``space``."""

    name = "space"
    title = "Gradio Space"
    why = "For showing it: a page of its own with an API, ready to push to Hugging Face or to run anywhere."
    remote = False

    def write(self, order: Order) -> dict[str, Any]:
        with kept_if_good(order.to) as folder:
            parity = verified_file(order, folder)
            program(folder, "space.py", "app.py")
            write_bytes(folder / "requirements.txt", NEEDS.encode())
            front = {
                "title": onefile.notes(order.classifier)["title"][:60], "emoji": "🦒", "colorFrom": "green",
                "colorTo": "yellow", "sdk": "gradio", "sdk_version": version("gradio"), "python_version": "3.11",
                "app_file": "app.py", "pinned": False, "license": model_front(order.classifier)["license"],
            }  # fmt: skip
            shown = examples(order, folder)
            write_bytes(folder / "README.md", card(order.classifier, parity, front, USE, shown).encode())
            return result(folder, parity)


EXPORT = Space()
