"""Takes the README's picture: the sample drawings, compared by the real embedded backbones. Run it as a script."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.served import served, visitor

FOLDER = Path(__file__).parent / "screenshots"


def main() -> None:
    """Write ``tests/screenshots/compare.png``, 1280 pixels wide."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as page, visitor(page.url) as someone:
        someone.press("Use the sample drawings")
        someone.sees(".tz-class", 120)
        someone.press("Compare backbones")
        someone.press("Start comparing")
        someone.sees("button:visible:has-text('Train this')", 600)
        someone.page.wait_for_timeout(1000)
        someone.page.screenshot(path=FOLDER / "compare.png", full_page=True)


if __name__ == "__main__":
    main()
