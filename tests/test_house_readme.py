"""What README.md says of the project is so: its front matter, its two commands, its file map, its pictures."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import metadata_load
from packaging.requirements import Requirement
from packaging.version import Version

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {"cpu-basic", "cpu-upgrade", "zero-a10g", "t4-small"}


@pytest.fixture
def front() -> dict[str, Any]:
    """The YAML that a Space reads, as the hub's own library reads it."""
    found = metadata_load(TOP / "README.md")
    assert found is not None
    return found


def commands() -> list[str]:
    """The commands of the first two code blocks, which the README promises are complete."""
    return re.findall(r"^```\n(python3 -m venv .*?)\n```$", README, re.MULTILINE)[:2]


def mapped() -> Iterator[str]:
    """Every path that the file map names."""
    block = re.search(r"## File map\n.*?```\n(.*?)```", README, re.DOTALL)
    assert block is not None
    folders: list[str] = []
    for line in block[1].splitlines():
        entry = re.match(r"((?:  )*)(\S+)(?:\s{2,}\S.*)?$", line)
        assert entry is not None, f"the file map has a line that is not 'name  what it is': {line}"
        del folders[len(entry[1]) // 2 :]
        yield "".join(folders) + entry[2]
        if entry[2].endswith("/"):
            folders.append(entry[2])


def shell_rows() -> list[tuple[str, str, str]]:
    """Room, command and options of every command of the two rooms that the README shows."""
    return re.findall(r"`python -m (zoo|trainer) ([a-z]+)([^`]*)`", README)


def test_a_space_finds_what_it_needs(front: dict[str, Any]) -> None:
    assert front["sdk"] == "gradio"
    assert (TOP / front["app_file"]).is_file()
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert front["suggested_hardware"] in HARDWARE
    assert front["license"] == "apache-2.0"
    assert front["title"]
    assert front["emoji"]
    assert len(front["short_description"]) <= 60
    assert len(front["tags"]) > 2


def test_a_space_gets_the_gradio_that_was_tested(front: dict[str, Any]) -> None:
    lines = (TOP / "requirements.txt").read_text(encoding="utf-8").splitlines()
    gradio = next(Requirement(line.partition("#")[0]) for line in lines if line.startswith("gradio"))
    lowest = next(specifier.version for specifier in gradio.specifier if specifier.operator == ">=")
    assert gradio.specifier.contains(front["sdk_version"])
    assert Version(front["sdk_version"]).release[:2] == Version(lowest).release[:2]


def test_a_space_gets_the_python_that_the_types_were_checked_for(front: dict[str, Any]) -> None:
    tools = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert front["python_version"] == tools["mypy"]["python_version"]
    assert tools["ruff"]["target-version"] == "py" + front["python_version"].replace(".", "")


def test_it_opens_with_a_sentence_a_picture_and_two_commands() -> None:
    body = README.split("---\n", 2)[2].strip().split("\n\n")
    assert body[0].startswith("# ")
    assert body[1].count(". ") == 0
    assert body[1].endswith(".")
    assert body[2].startswith("![")
    assert len(commands()) == 2


def test_its_commands_name_files_that_are_there() -> None:
    for command in commands():
        for name in re.findall(r"\S+\.(?:txt|py)\b", command):
            assert (TOP / name).is_file(), f"{name} of: {command}"


def test_the_robot_types_what_it_tells_a_person_to_type() -> None:
    script = (TOP / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().splitlines()[-1] == commands()[1]
    assert (TOP / ".ci" / "run").stat().st_mode & 0o111


def test_every_picture_and_link_in_it_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (TOP / link).exists()] == []


def test_the_file_map_names_only_what_is_there() -> None:
    assert [path for path in mapped() if not (TOP / path).exists()] == []


def test_the_file_map_names_every_module_and_folder() -> None:
    modules = [path for room in ("zoo", "trainer") for path in (TOP / room).rglob("*.py") if has_code(path)]
    there = {str(path.relative_to(TOP)) for path in modules if path.name != "__init__.py"}
    there |= {f"{path.parent.relative_to(TOP)}/" for path in modules}
    assert there - set(mapped()) == set()


def has_code(path: Path) -> bool:
    """Whether a file holds more than its docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def test_every_variable_of_the_settings_is_explained() -> None:
    settings = (TOP / "zoo" / "settings.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(STUDIO_[A-Z_]+)"', settings))
    assert {name for name in named if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("row", shell_rows())
def test_every_command_it_shows_is_one_that_the_room_has(row: tuple[str, str, str]) -> None:
    room, command, options = row
    asked = [sys.executable, "-m", room, command, "--help"]
    done = subprocess.run(asked, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"--[a-z-]+", options)) <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_api_has_the_names_it_says() -> None:
    section = README.partition("## API")[2].partition("\n## ")[0]
    screens = [
        path.read_text(encoding="utf-8") for room in ("zoo", "trainer") for path in (TOP / room / "ui").glob("*.py")
    ]
    offered = {name for text in screens for name in re.findall(r'api_name="([a-z]+)"', text)}
    assert set(re.findall(r"`/([a-z]+)`", section)) == offered
