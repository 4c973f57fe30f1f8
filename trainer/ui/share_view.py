"""What a person can take away, as tiles, and the certificate of one that was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from trainer.exports import Export
from trainer.takeouts import Takeout
from zoo.ui import kit
from zoo.ui.kit import esc, percent

COPY = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const address = new URL(button.dataset.copy, location.href).href;
  navigator.clipboard?.writeText(address).then(() => { button.textContent = 'Copied'; }, () => prompt('Copy this', address));
})"""  # noqa: E501 - one line of the browser's
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ALONE = "Only this computer opens this address. Open the page by one that phones reach, and a QR code stands here."
MARKS = {"ready": "ready to take", "making": "being made", "failed": "refused"}


def tiles_html(formats: Mapping[str, Export], states: Mapping[str, str], chosen: str) -> str:
    """A tile for each format, to be chosen."""
    cells = []
    for name, form in formats.items():
        mark = MARKS.get(states.get(name, ""), "")
        badge = f'<span class="tz-badge{" bad" if mark == "refused" else ""}">{mark}</span>' if mark else ""
        pressed = "true" if name == chosen else "false"
        cells.append(
            f'<button type="button" data-choice="{esc(name)}" aria-pressed="{pressed}"><b>{esc(form.title)}{badge}</b>'
            f"<span>{esc(form.why)}</span></button>"
        )
    return f'<div class="tz-formats">{"".join(cells)}</div>'


def takeout_html(form: Export, takeout: Takeout, run_id: str) -> str:
    """How one export stands: what it will be, that it is being made, its certificate, or why it was refused."""
    if form.remote:
        line = f"python -m trainer export {run_id} --format {form.name} --to OWNER/NAME"
        note = (
            "The page pushes nothing: your token stays yours, in HF_TOKEN or a login. Private unless you add --public."
        )
        return kit.panel(form.title, f'<pre class="tz-command" tabindex="0">{esc(line)}</pre>', note)
    match takeout.state:
        case "making":
            return kit.bar(0.5, "Being made, and asked about held-out pictures; the page can be closed meanwhile")
        case "failed":
            return kit.say(takeout.problem, "bad")
        case "ready":
            return _certificate(form, takeout.found)
        case _:
            return kit.say("It is made once and proven on held-out pictures; one that answers otherwise is refused.")


def _certificate(form: Export, found: Mapping[str, Any]) -> str:
    parity = found["parity"]
    gap = parity["max_abs_dp"]
    figures = [
        (percent(parity["agreement"], 0 if parity["agreement"] == 1 else 1), "same answer"),
        (f"{gap:.1e}" if gap < 0.001 else f"{gap:.4f}", "largest difference of a probability"),
        (str(parity["pictures"]), "held-out pictures asked"),
        (f"{parity['latency_ms']['p50']:.0f} ms", f"a picture (19 in 20 within {parity['latency_ms']['p95']:.0f} ms)"),
        (f"{found['size_mb']:.0f} MB", f"in {len(found['files'])} files"),
    ]
    return kit.panel(f"Proof that it answers the same: {form.title}", kit.tiles(figures), _note(form.name, parity))


def _note(name: str, parity: Mapping[str, Any]) -> str:
    asked = f"Asked as anyone would ask it, with {parity['engine']}, and compared with what the classifier says here."
    if name == "web":
        return f"{asked} Its page can check the browser it runs in: open it, then “Check this browser”."
    if name == "folder":
        return f"{asked} Its README is a model card in English and Korean."
    return f"{asked} A README in English and Korean and a passport lie beside it."


def link_html(run_id: str, here: str = "") -> str:
    """Where a classifier's own page is, to be copied; for a phone where ``here``, the page's address, is known."""
    address = f"try?run={esc(run_id)}"
    if here:
        phone = f'<details class="tz-phone"><summary>On a phone</summary>{code_html(here, address)}</details>'
        words = f'<p><a href="{address}" target="_blank">Its own page</a> shows the classifier and nothing else.</p>'
        return kit.panel("Show it to others", f'<div class="tz-given">{words}{_copied(address)}</div>{phone}')
    return (
        f'<p class="tz-note">To show it to others: <a href="{address}" target="_blank">its own page</a>, with the '
        f"classifier and nothing else. {_copied(address)}</p>"
    )


def _copied(address: str) -> str:
    return f'<button type="button" class="tz-do" data-copy="{esc(address)}">Copy the link</button>'


def given_html(address: str, here: str = "") -> str:
    """A link that opens for whoever has it, to be copied, and to be read by a phone."""
    words = (
        f'<p><a href="{esc(address)}" target="_blank">Whoever has this link</a> may ask this '
        "classifier, without signing in, until you make a new one.</p>"
    )
    code = code_html(here, address) if here else ""
    return kit.panel("Show it to others", f'<div class="tz-given">{words}{_copied(address)}</div>{code}')


def code_html(here: str, address: str) -> str:
    """``address``, relative to the page at ``here``, as a QR code; a sentence where only this computer can open it."""
    import segno

    whole = urljoin(here, address)
    host = urlsplit(whole).hostname or ""
    if host in LOOPBACK or host.endswith(".localhost"):
        return f'<p class="tz-note">{esc(ALONE)}</p>'
    drawn = segno.make_qr(whole, error="m").svg_inline(scale=4, dark="#000", light="#fff", svgclass=None)
    return (
        f'<figure class="tz-code"><div role="img" aria-label="QR code of the link">{drawn}</div>'
        "<figcaption>Point a phone’s camera at it.</figcaption></figure>"
    )
