"""Takes the README's pictures and draws the card and the icon that other sites show. Run it as a script."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.get_chromium import chromium
from tests.served import CHROMIUM, Visitor, served, visitor
from zoo.ui.front import CARD, ICON, TITLE
from zoo.ui.kit import SAID
from zoo.ui.theme import MARK, SANS

FOLDER = Path(__file__).parent / "screenshots"
BARS = "".join(f'<i style="height:{height}px"></i>' for height in (92, 148, 196, 238, 262, 270))
DRAWN = f"""<body style="margin:0;background:#f7f5f0;color:#1b2420;font-family:{",".join(SANS)}">
<style>svg {{ width: 132px; height: 132px }} i {{ width: 62px; border-radius: 10px 10px 0 0; background: #b4d8c9 }}
i:last-child {{ background: #0f6b54 }} i:nth-child(5) {{ background: #52a488 }}</style>
<div style="padding:84px 90px 0;display:flex;gap:34px;align-items:center">{MARK.read_text()}
<b style="font-size:86px;letter-spacing:-3px">{TITLE}</b></div>
<p style="margin:44px 90px;width:560px;font-size:37px;line-height:1.35;color:#56605a">{SAID}</p>
<div style="position:absolute;right:90px;bottom:0;display:flex;gap:12px;align-items:flex-end">{BARS}</div></body>"""


def kept(picture: bytes, path: Path, colours: int = 128) -> None:
    """Write a small PNG: flat drawings need few colours."""
    path.parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(colours).save(path, optimize=True)


def drawn() -> None:
    """Write the card of a link to the page and the icon for home screens."""
    from playwright.sync_api import sync_playwright

    icon = (
        f'<body style="margin:0"><style>svg {{ width: 180px; height: 180px; display: block }}</style>{MARK.read_text()}'
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        for words, path, size in ((DRAWN, CARD, (1200, 630)), (icon, ICON, (180, 180))):
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.set_content(words)
            kept(page.screenshot(), path, 64)
        browser.close()


def taken(someone: Visitor, name: str, *, whole: bool = False) -> None:
    someone.page.wait_for_timeout(1500)
    kept(someone.page.screenshot(full_page=whole), FOLDER / f"{name}.png")


def main() -> None:
    """Write ``tests/screenshots``, 1280 pixels wide: a visit with the sample drawings and the embedded backbones."""
    drawn()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as page, visitor(page.url) as someone:
        someone.press("Not now")
        someone.press("Use the sample drawings")
        someone.sees("#overview .tz-class", 120)
        taken(someone, "data")
        someone.press("Compare backbones")
        someone.press("Start comparing")
        someone.sees("button:visible:has-text('Train this')", 600)
        taken(someone, "compare", whole=True)
        someone.press("Train this")
        someone.press("Start training")
        someone.sees("button:visible:has-text('Try it')", 600)
        taken(someone, "train")
        someone.go("try")
        someone.page.locator(".tz-pick button:visible").first.click()
        someone.sees("#answers .tz-answer", 60)
        taken(someone, "try")


if __name__ == "__main__":
    drawn() if sys.argv[1:] == ["card"] else main()
