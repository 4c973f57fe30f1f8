"""A camera that takes pictures of one class while a button is held: one burst, one group, never parted by a split."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import gradio as gr

from zoo.bursts import burst, held
from zoo.errors import BadUpload
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.kit import QUIET, plural
from zoo.ui.theme import HERE

SCRIPT = (HERE / "camera.js").read_text()
FACE = """<div class="tz-camera"><video playsinline muted aria-label="Camera"></video><div>
<label>These pictures show <input type="text" maxlength="100" placeholder="mug"></label>
<div><button type="button" data-open>Open the camera</button><button type="button" data-hold class="tz-do">Hold to take
pictures</button><button type="button" data-close>Close</button></div><p class="tz-note" role="status">Hold, and turn
the thing about: eight pictures a second, six seconds at most.</p></div></div>"""
JPEG = "data:image/jpeg;base64,"


def place(store: Store) -> tuple[gr.State, gr.HTML]:
    """Lay the camera out; gives the tray's id and the list of what lies in it."""
    tray = gr.State("")
    camera = gr.HTML(FACE, js_on_load=SCRIPT)
    lying = gr.HTML(_held({}))

    @kit.spoken()
    def taken(tray_id: str, event: gr.EventData) -> tuple[str, str]:
        label, frames = _said(kit.chosen(event))
        filled = burst(store, label, frames, tray_id)
        return filled, _held(held(store, filled))

    camera.click(taken, tray, [tray, lying], **QUIET)
    return tray, lying


def _said(text: str) -> tuple[str, list[bytes]]:
    """The class and the frames that a browser sent.

    Raises:
        BadUpload: it is nothing of that form.
    """
    try:
        found: Any = json.loads(text)
        frames = [base64.b64decode(one.removeprefix(JPEG), validate=True) for one in found["frames"]]
        return str(found["label"]), frames
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise BadUpload("That is no burst of pictures.", "Capture it again.") from None


def _held(counts: dict[str, int]) -> str:
    if not counts:
        return ""
    listed = "".join(f"<li><b>{count}</b> {kit.own(name)}</li>" for name, count in counts.items())
    total = plural(sum(counts.values()), "picture")
    return f'<p class="tz-note">Taken so far, {total}:</p><ul class="tz-held">{listed}</ul>'
