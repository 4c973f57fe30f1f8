"""The door of the studio: ``python app.py [--host H] [--port P] [--home DIR] [--share]``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from zoo.errors import BadPlan, StudioError
from zoo.settings import Settings, keep_paths_private

LOCAL = ("localhost", "127.0.0.1", "::1")


def main() -> int:
    """Serve the page until it is interrupted; 2 where a person must change something first."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve the studio's page.")
    parser.add_argument("--host", default="", help="address to listen on (127.0.0.1; 0.0.0.0 on a Space)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--home", type=Path, help="where datasets, runs and classifiers live")
    parser.add_argument("--share", action="store_true", help="also reach it through a public address of Gradio's")
    asked = parser.parse_args()
    try:
        settings = Settings.read()
        settings = replace(settings, home=asked.home.expanduser().absolute()) if asked.home else settings
        host = asked.host or ("0.0.0.0" if settings.on_space else LOCAL[1])  # noqa: S104 - a Space's own proxy stands in front
        local = host in LOCAL and not (asked.share or settings.on_space)
        if not (local or settings.on_space or settings.auth or settings.mode == "demo"):
            raise BadPlan("Anyone who reaches this page could use it.", "Set STUDIO_AUTH=name:secret first.")
        if settings.mode == "team" and not (settings.auth or settings.oauth):
            raise BadPlan("A team signs in.", "Set STUDIO_AUTH=name:secret, or hf_oauth in the Space's README.")
        if settings.mcp and (settings.auth or settings.oauth):
            raise BadPlan("Agents cannot sign in.", "Leave STUDIO_MCP out, or serve them a page of their own.")
    except StudioError as error:
        print(error, file=sys.stderr)
        return 2
    alone = local and settings.mode == "single"  # else a proxy may stand between this computer and its visitors
    settings = settings if alone else keep_paths_private(settings)
    from trainer.ui import preview
    from trainer.ui.page import build
    from zoo.ui.door import launch

    more = preview.routes(settings)
    launch(build(settings, local=alone), settings, more, host=host, port=asked.port, share=asked.share, local=local)
    return 0


if __name__ == "__main__":
    sys.exit(main())
