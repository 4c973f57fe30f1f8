"""A camera that is asked twice a second, pictures taken with it, and pictures pasted; never mirrored."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import gradio as gr

from zoo.backbone import Picture
from zoo.decode import read_picture
from zoo.errors import BadPicture
from zoo.ui import kit

SCRIPT = (Path(__file__).parent / "live.js").read_text(encoding="utf-8")
FACE = """<div class="tz-live"><video playsinline muted aria-label="Camera"></video><div>
<button type="button" data-open class="tz-do">Open the camera</button>
<button type="button" data-take class="tz-do">Take this picture</button>
<button type="button" data-turn>Other camera</button><button type="button" data-close>Close</button></div>
<p class="tz-note" role="status"><span class="tz-keys">Or paste a picture with Ctrl+V. </span>
<span>Nothing is kept that you do not keep.</span></p></div>"""
JPEG = "data:image/jpeg;base64,"


def place() -> gr.HTML:
    """Lay the camera out: its ``click`` is a frame while it is open, its ``submit`` a picture taken or pasted."""
    return gr.HTML(FACE, js_on_load=SCRIPT, elem_id="live")


def frame(event: gr.EventData) -> bytes:
    """The JPEG that a browser sent.

    Raises:
        BadPicture: it sent none.
    """
    try:
        return base64.b64decode(kit.chosen(event).removeprefix(JPEG), validate=True)
    except binascii.Error:
        raise BadPicture("What came from the camera is no picture.", "Take it again.") from None


def seen(event: gr.EventData) -> Picture:
    """The same as pixels.

    Raises:
        BadPicture: it sent none.
    """
    return read_picture(frame(event))
