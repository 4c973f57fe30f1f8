"""Calls and uploads that do not fit: Gradio crashes over them, whoever called is told what to change.

Inside of the guard. Nothing of a crash is told that the caller did not send.
"""

from __future__ import annotations

import logging
import traceback

from zoo.ui.guard import UPLOAD, App, Message, Receive, Send, answer

CALL = "/gradio_api/call/"
JOIN = "/gradio_api/queue/join"
NAMED = "v2/"  # after CALL: values go by their names
FORM = (400, "This is no form with files. Send multipart/form-data with parts named files, each with its filename.")
MISREAD = (AttributeError, KeyError, TypeError)  # what Gradio's reader of forms trips over


class Civil:
    """Wraps the page's ASGI app.

    Args:
        app: what to guard.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        _, called, name = scope.get("path", "").partition(CALL)
        uploading = scope.get("path", "").rstrip("/").endswith(UPLOAD)
        joining = scope.get("path", "").rstrip("/").endswith(JOIN)
        if scope["type"] != "http" or not (called or uploading or joining):
            return await self.app(scope, receive, send)
        started = ended = False

        async def noting(message: Message) -> None:
            nonlocal started, ended
            started = started or message["type"] == "http.response.start"
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            told = _told(name, error) if not uploading else FORM if isinstance(error, MISREAD) else None
            if not started and told:
                await answer(send, *told)
            elif started and not ended and isinstance(error, RuntimeError):
                logging.getLogger(__name__).warning("A stream broke off: %s", error)
                await send({"type": "http.response.body", "body": b""})  # what was said before stands, unbroken
            else:
                raise


def _told(name: str, error: Exception) -> tuple[int, str] | None:
    """What is answered to a call that Gradio crashed over; None where the caller is not to blame."""
    if name.startswith(NAMED) and isinstance(error, TypeError):
        said = str(error).partition(" Please ")[0].rstrip(".")
        return 422, f"{said}. /gradio_api/info lists what each function takes."
    if _unknown(name, error):
        return 404, "There is no such function here. /gradio_api/info lists those there are."
    return None


def _unknown(name: str, error: Exception) -> bool:
    """Whether Gradio looked for the function that was asked for, by its name or its number, and found none."""
    if isinstance(error, KeyError):
        traces = list(traceback.walk_tb(error.__traceback__))
        by_number = bool(traces) and traces[-1][0].f_code.co_name == "get_fn"
        return by_number or error.args == (f"/{name.removeprefix(NAMED).rstrip('/')}",)
    return type(error).__name__ == "FnIndexInferError"
