import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo.background import ROOT
from zoo.command import Command, main, tell
from zoo.errors import NotFound
from zoo.settings import Settings


def greet(chosen: argparse.Namespace, settings: Settings) -> dict[str, str]:
    tell("looking around")
    return {"hello": chosen.name, "home": str(settings.home)}


def fail(error: BaseException) -> Any:
    def call(_: argparse.Namespace, __: Settings) -> None:
        raise error

    return call


def takes_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")


COMMANDS = (
    Command(name="greet", help="say hello", call=greet, show=lambda v: f"Hello, {v['hello']}!", arguments=takes_name),
    Command(name="lose", help="find nothing", call=fail(NotFound("There is no\nrun 'x'.", "Choose another."))),
    Command(name="crash", help="be wrong", call=fail(ZeroDivisionError())),
    Command(name="wait", help="be interrupted", call=fail(KeyboardInterrupt())),
    Command(name="quiet", help="say nothing", call=lambda _, __: None),
)


def test_json_is_one_document_and_progress_is_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main("it", COMMANDS, ["greet", "Ada", "--json", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"hello": "Ada", "home": str(tmp_path)}
    assert out.count("\n") == 1
    assert err == "looking around\n"


def test_without_json_a_person_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("it", COMMANDS, ["greet", "Ada"]) == 0
    assert capsys.readouterr().out == "Hello, Ada!\n"


def test_what_a_person_can_fix_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("it", COMMANDS, ["lose", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "There is no run 'x'. Choose another.\n")


def test_a_bad_environment_is_one_line_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_MAX_UPLOAD_MB", "lots")
    assert main("it", COMMANDS, ["quiet"]) == 2
    assert "STUDIO_MAX_UPLOAD_MB is 'lots'." in capsys.readouterr().err


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        main("it", COMMANDS, ["crash"])


def test_an_interrupt_has_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("it", COMMANDS, ["wait"]) == 130
    assert capsys.readouterr().out == ""


def test_a_wrong_command_has_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main("it", COMMANDS, ["dance"])
    assert ended.value.code == 2


def test_a_reader_who_has_enough_ends_a_command_quietly() -> None:
    line = f"{sys.executable} -m zoo list --offline | true"
    shell = ["bash", "-c", f"set -o pipefail; {line}"]
    done = subprocess.run(shell, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
