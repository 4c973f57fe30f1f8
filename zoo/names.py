"""Names that people and archives give, made safe to show: literal text, never markup, never a path."""

from __future__ import annotations

import hashlib
import unicodedata

LONGEST = 80


def clean(name: str, longest: int = LONGEST) -> str:
    """``name`` in NFC on one line, without characters that cannot be seen or that turn the text around.

    Control characters and halves of surrogate pairs are written as escapes, format characters (zero-width,
    right-to-left overrides) are left out, and what is longer than ``longest`` ends in an ellipsis and six hex digits
    that keep it distinct. HTML, Markdown and template syntax stay: whoever shows a name escapes it for its own medium.
    """
    if name.isascii() and name.isprintable() and len(name) <= longest:
        return name.strip()
    text = "".join(_shown(letter) for letter in unicodedata.normalize("NFC", name)).strip()
    text = unicodedata.normalize("NFC", text)
    if len(text) > longest:
        text = text[: longest - 7] + "…" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:6]
    return text


def _shown(letter: str) -> str:
    match unicodedata.category(letter):
        case "Cc" | "Cs" | "Zl" | "Zp":
            return letter.encode("unicode_escape").decode()
        case "Cf":
            return ""
        case _:
            return letter
