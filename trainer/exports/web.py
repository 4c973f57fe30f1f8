"""A static page that classifies in the browser alone, its engine included; any web server serves it."""

from __future__ import annotations

from typing import Any

from trainer import onefile
from trainer.card import card
from trainer.parcel import browser_engine, golden, kept_if_good, one_file, program, result
from trainer.proof import Order
from zoo.store import write_bytes, write_json

USE = """```
python -m http.server 8000     # then open localhost:8000 in a browser
```

As a static Space: push this folder as it is. The page asks no other host for anything; no picture leaves the device."""


class Web:
    """The export ``web``."""

    name = "web"
    title = "Page for the browser"
    why = "For a phone or a website: runs in the browser alone, so no picture leaves the device."
    remote = False

    def write(self, order: Order) -> dict[str, Any]:
        with kept_if_good(order.to) as folder:
            parity = one_file(order, folder)
            (folder / "predict.py").unlink()  # it proved the model; the page has a check of its own
            golden(order, folder)
            browser_engine(folder)
            write_json(folder / "classifier.json", onefile.notes(order.classifier))
            program(folder, "page.html", "index.html")
            for name in ("page.js", "page.css"):
                program(folder, name)
            front = {
                "title": onefile.notes(order.classifier)["title"][:60], "emoji": "🦒", "colorFrom": "green",
                "colorTo": "yellow", "sdk": "static", "pinned": False,
            }  # fmt: skip
            write_bytes(folder / "README.md", card(order.classifier, parity, front, USE).encode())
            return result(folder, parity)


EXPORT = Web()
