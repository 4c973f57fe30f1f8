"""The page in Korean: nothing untranslated in the code, nothing English left on the screen, and the way back."""

from __future__ import annotations

import re

from zoo.speech import catalogue
from zoo.ui.language import pieces, said_by, said_by_script, templates, unused

HOLES = re.compile(r"\{(\d)!?\}")


def test_every_sentence_of_the_page_has_its_korean() -> None:
    missing = [f"{where[0]}: {one}" for one, where in templates().items() if one not in catalogue()]
    assert missing == [], f"python -m zoo.ui.language lists them: {len(missing)}"


def test_no_korean_stands_for_a_sentence_that_nobody_says_any_more() -> None:
    assert unused() == []


def test_what_korean_puts_in_is_what_the_english_has() -> None:
    wrong = {
        english: korean
        for english, korean in catalogue().items()
        if korean != english
        and ("{}" in korean or any(int(hole) >= english.count("{}") for hole in HOLES.findall(korean)))
    }
    assert wrong == {}


def test_korean_is_korean_and_ends_as_its_english_does() -> None:
    hangul = re.compile(r"[가-힣]")
    latin = {english for english, korean in catalogue().items() if korean != english and not hangul.search(korean)}
    assert {one for one in latin if len(re.findall(r"[a-z]{3,}", one.replace("{}", ""))) > 3} == set()
    loose = [one for one, korean in catalogue().items() if one.endswith(".") != korean.endswith(".") and len(one) > 40]
    assert loose == []


def test_a_sentence_is_found_wherever_it_stands() -> None:
    code = '''
"""Docstring of words."""
def f(n, name):
    """Another one of these."""
    x = f"<p class='a b'>{n} pictures of <b>{esc(name)}</b> are here. Look at them{' again' if n else ''}.</p>"
    raise BadUpload(f"There is no {name}.", "Give it again.")
    raise ValueError("this is for programmers only")
    gr.Button("Start", elem_id="not a sentence", variant="primary", label="Go on")
    plural(n, "class")
'''
    found = dict.fromkeys(said_by(code, screen=True))
    assert found.keys() - {"again"} == {
        *("{} pictures of", "are here.", "Look at them.", "Look at them again.", "There is no {}.", "Give it again."),
        *("Start", "Go on", "{} class", "{} classes"),
    }
    assert set(said_by_script("said.textContent = 'The camera is closed.'; at('.tz-a b')")) == {"The camera is closed."}
    assert list(pieces("grid-template-columns: 1fr", alone=False)) == []
