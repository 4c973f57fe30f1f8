"""Every sentence of the page as a template, read from the code, and the Korean for each: ``python -m zoo.ui.language``.

English stays in the code and is what the studio speaks; ``language.js`` puts the Korean in its place in the browser.

A template is one sentence as it stands in the code, with ``{}`` for each expression. What is collected:

* every string of two English words or more, of a screen or of the code behind it, split where tags and sentences end;
* a single word where the page shows it: between two tags, or as a label, a button or a cell of a screen;
* both branches of an ``x if a else y`` inside a sentence, and what ``plural`` and ``count`` make of a noun.

What is no sentence of the page and stays as it is: docstrings, names for machines (ids, classes, styles, addresses,
keys, scripts), errors that only a programmer can mend (``ValueError`` and its like), and whole modules: command lines
and their help, the log, the API's own refusals, programs and cards that leave the studio, see ``SILENT``.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zoo.speech import CATALOGUES, SCRIPT, catalogue

TOP = Path(__file__).parents[2]

SILENT = (
    *("zoo/__main__.py", "trainer/__main__.py", "trainer/commands.py", "zoo/command.py", "zoo/settings.py"),
    *("zoo/ui/api.py", "trainer/ui/api.py", "trainer/ui/api_runs.py", "zoo/ui/guard.py", "zoo/ui/civil.py"),
    *("zoo/ui/theme.py", "zoo/ui/door.py"),
    *("trainer/card.py", "trainer/cardwords.py", "trainer/takeaway/", "zoo/ui/language.py", "zoo/speech.py"),
)  # fmt: skip
REPORTS = ("zoo/reporting.py", "trainer/report.py")  # pages, though no screens


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MACHINE = _words(
    "elem_id elem_classes variant js js_on_load api_name api_visibility api_description show_progress trigger_mode "
    "type sources file_types kind severity encoding mode storage_key secret concurrency_id key size help prog metavar "
    "dest "
    "action errors prefix suffix pattern file_count image_mode format dtype id family license source url path css head "
    "template html_template css_template component model"
)
PROGRAMMERS = _words(
    "ValueError TypeError RuntimeError AssertionError KeyError NotImplementedError OSError print compile match search "
    "sub fullmatch findall finditer split add_argument ArgumentParser add_parser getLogger debug info warning error "
    "exception startswith endswith removeprefix removesuffix get getattr setattr hasattr Literal cast TypeVar execute "
    "einsum import_module partition rpartition find index urlopen encode decode strftime strptime"
)
SHOWN = _words(
    "label info placeholder value title says sentence note name text message problem remedy why reason description"
)
TAG = re.compile(r"<[^<>]*>|&(?:[a-z]+|#\d+);(?=\s*$)")
SEEN = re.compile(r"""\b(?:aria-label|title|alt|placeholder)=(?:"([^"]*)"|'([^']*)')""")
ENDS = re.compile(r"(?<=[.!?:]) (?=[A-Z“\"{(])")
WORDS = re.compile(r"[A-Za-z][a-z’']+(?:-[a-z]+)*[,;]? [A-Za-z“]?[a-z]+|\b[a-z]{2,} \{\}|\{\} [a-z]{3,}")
WORD = re.compile(r"[A-Z]?[a-z]{2,}")
CODE = re.compile(
    r"^[\w.:/*#~?=&%,@+-]*$|^\w+(?:[-_.:/]\w+)+$|[;{=]\s*$|(?<!\{)\}\s*$|=>|\(\)|^\W*$"
    r"|^\s*[.#@:][\w-]+[ {.>:,]|var\(--|^--|\bpx\b"
)
HOLE = "\x00"
MOST = 8  # variants of one sentence

Variants = list[str]


@cache
def templates() -> dict[str, tuple[str, ...]]:
    """Every template, in the order of the code, with the modules that say it."""
    found: dict[str, list[str]] = {}
    for path in sorted((*TOP.glob("zoo/**/*.py"), *TOP.glob("trainer/**/*.py"))):
        name = str(path.relative_to(TOP))
        if not name.startswith(SILENT):
            for one in said_by(path.read_text(encoding="utf-8"), screen="/ui/" in name or name in REPORTS):
                found.setdefault(one, []).append(name)
    for path in sorted((*TOP.glob("zoo/ui/*.js"), *TOP.glob("trainer/ui/*.js"))):
        if path != SCRIPT:
            for one in said_by_script(path.read_text(encoding="utf-8")):
                found.setdefault(one, []).append(str(path.relative_to(TOP)))
    return {one: tuple(dict.fromkeys(where)) for one, where in found.items()}


def said_by(code: str, *, screen: bool) -> Iterator[str]:
    """The templates of one module; ``screen`` says that single words of it may be shown."""
    for text, shown in _Strings(screen).of(ast.parse(code)):
        yield from pieces(text, alone=shown)


def said_by_script(code: str) -> Iterator[str]:
    """The templates of a script: its quoted sentences."""
    for single, back in re.findall(r"'([^'\\\n]*)'|`([^`\\]*)`", code):
        text = re.sub(r"\$\{[^}]*\}", HOLE, single or back)
        if " " in text and WORD.search(text) and not re.search(r"[\[\]=;()]|^\.|^[\w-]+ [.>]|-[a-z] ", text):
            yield from pieces(text, alone=False)
    for single in re.findall(r"textContent = [^;]*?'([^']+)'|\? '([A-Z]\w+)'|: '([A-Z]\w+)'", code):
        yield from pieces(next(filter(None, single)), alone=True)


def pieces(text: str, *, alone: bool) -> Iterator[str]:
    """The sentences of one string as it stands in the code: without tags, with ``{}`` for what is put in."""
    for attribute in SEEN.findall(text):
        yield from pieces("".join(attribute), alone=True)
    tagged = "<" in text and TAG.search(text) is not None
    for part in TAG.split(text) if tagged else [text]:
        for sentence in ENDS.split(" ".join(part.replace(HOLE, "{}").split())):
            one = sentence.strip(" ·→&;~")
            if one.startswith("```") or len(one) > 500:  # what a file that leaves the studio says
                continue
            if CODE.search(one) if not WORD.fullmatch(one) else False:
                continue
            shown = tagged or (alone and (one[:1].isupper() or " " in one))
            if WORDS.search(one) or (shown and WORD.search(one.replace("{}", ""))):
                yield one


class _Strings:
    """Walks a syntax tree for strings that a person may see, each with whether a word of it alone is shown."""

    def __init__(self, screen: bool) -> None:
        self.screen = screen

    def of(self, node: ast.AST, shown: bool = False) -> Iterator[tuple[str, bool]]:
        match node:
            case ast.JoinedStr() | ast.Constant(value=str()) | ast.BinOp(op=ast.Add()):
                yield from ((text, shown) for text in variants(node))
                yield from self._each(_holes(node), shown=False)
            case ast.Call():
                yield from self._call(node)
            case ast.keyword(arg=arg):
                yield from self.of(node.value, shown=arg in SHOWN) if arg not in MACHINE else ()
            case ast.Expr(value=ast.Constant()) | ast.Compare() | ast.Subscript() | ast.MatchValue():
                return
            case ast.FunctionDef():
                yield from self._each((*node.args.defaults, *node.args.kw_defaults, *node.body), shown=False)
            case ast.Dict():
                keys = [key for key in node.keys if isinstance(key, ast.Constant) and " " in str(key.value)]
                yield from self._each((*node.values, *keys), shown=self.screen)
            case ast.Tuple() | ast.List():
                yield from self._each(node.elts, shown=self.screen)
            case ast.IfExp() | ast.Return() | ast.Assign() | ast.AnnAssign() | ast.BoolOp() | ast.Starred():
                yield from self._each(ast.iter_child_nodes(node), shown=shown)
            case _:
                yield from self._each(ast.iter_child_nodes(node), shown=False)

    def _each(self, nodes: Iterable[ast.AST | None], *, shown: bool) -> Iterator[tuple[str, bool]]:
        for node in nodes:
            if node is not None:
                yield from self.of(node, shown=shown)

    def _call(self, node: ast.Call) -> Iterator[tuple[str, bool]]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("plural", "count") and len(node.args) > 1:
            yield from ((text, True) for text in _nouns(name, node.args))
            return
        yield from self.of(node.func)
        if name in PROGRAMMERS:
            bare = [child for child in node.args if not isinstance(child, ast.Constant | ast.JoinedStr)]
            yield from self._each(bare, shown=False)
            return
        yield from self._each((*node.args, *node.keywords), shown=self.screen)


def _nouns(name: str, args: list[ast.expr]) -> Iterator[str]:
    for noun in variants(args[1]):
        yield f"{HOLE} {noun}"
        if len(args) == 2:
            yield f"{HOLE} {noun}{'es' if name == 'plural' and noun.endswith('s') else 's'}"
    for several in variants(args[2]) if len(args) > 2 else ():
        yield f"{HOLE} {several}"


def variants(node: ast.AST) -> Variants:  # noqa: PLR0911 - one for each kind of node
    """What ``node`` may read, ``HOLE`` where only the running studio knows."""
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=parts):
            return _joined([variants(part) for part in parts])
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _joined([variants(left), variants(right)])
        case ast.FormattedValue(value=value):
            return variants(value)
        case ast.IfExp(body=body, orelse=orelse):
            both = [*variants(body), *variants(orelse)]
            return both if len(both) <= 4 else [HOLE]
        case ast.Call(func=ast.Name(id="term")):
            return ["<b></b>"]  # a button of its own
        case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=str() as text)):
            return ["", text]
        case _:
            return [HOLE]


def _joined(parts: list[Variants]) -> Variants:
    while len(parts) > 1 and _many(parts) > MOST:
        longest = max(range(len(parts)), key=lambda i: len(parts[i]))
        parts = [[HOLE] if i == longest else part for i, part in enumerate(parts)]
    return ["".join(choice) for choice in product(*parts)]


def _many(parts: list[Variants]) -> int:
    count = 1
    for part in parts:
        count *= len(part)
    return count


def _holes(node: ast.AST) -> Iterator[ast.AST]:
    """Expressions inside a string whose own strings are sentences of their own."""
    match node:
        case ast.JoinedStr(values=parts):
            for part in parts:
                if isinstance(part, ast.FormattedValue):
                    yield from _holes(part.value) if isinstance(part.value, ast.JoinedStr) else (part.value,)
        case ast.BinOp(left=left, right=right):
            yield from (*_holes(left), *_holes(right))
        case ast.Constant():
            return
        case _:
            yield node


def unused() -> list[str]:
    """Korean for what no code says; ``words.json`` holds single words, units and Gradio's own, which no code shows."""
    written = [path for path in sorted(CATALOGUES.glob("*.json")) if path.name != "words.json"]
    return [one for path in written for one in json.loads(path.read_text(encoding="utf-8")) if one not in templates()]


@cache
def _sent() -> bytes:
    return json.dumps(catalogue(), ensure_ascii=False, separators=(",", ":")).encode()


@cache
def head() -> str:
    """What the page's head holds so that it can speak another language."""
    version = hashlib.sha256(_sent()).hexdigest()[:12]
    return f"<script>{SCRIPT.read_text(encoding='utf-8').replace('%VERSION%', version)}</script>"


def route() -> Route:
    """Where the catalogue is fetched, once a browser and version: its address changes when it does."""
    packed = gzip.compress(_sent(), mtime=0)

    def answer(request: Request) -> Response:
        kept = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type="application/json", headers={**kept, "content-encoding": "gzip"})
        return Response(_sent(), media_type="application/json", headers=kept)

    return Route("/language/ko.json", answer)


def main() -> int:
    """Print what lacks Korean and what Korean nothing says any more."""
    said, known = templates(), catalogue()
    for one, where in said.items():
        if one not in known:
            sys.stdout.write(f"{where[0]}: {json.dumps(one, ensure_ascii=False)}\n")
    for one in unused():
        sys.stdout.write(f"nobody says: {json.dumps(one, ensure_ascii=False)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
