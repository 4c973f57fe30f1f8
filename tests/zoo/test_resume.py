"""Decoding that nobody has to do twice, whatever killed it; and never pixels of another picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.dataset import Dataset
from zoo.decode import read_picture
from zoo.errors import BadUpload, Cancelled
from zoo.intake import intake
from zoo.pictures import Pictures
from zoo.sandbox import Sandbox
from zoo.settings import Settings
from zoo.store import Store

PictureFolder = Callable[..., Path]
TOP = Path(__file__).parents[2]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that a child was given to decode."""
    names: list[str] = []
    real = Sandbox._decode_some

    def counted(self: Sandbox, files: Any, indices: Any, *rest: Any) -> Any:
        names.extend(files[index].name for index in indices)
        return real(self, files, indices, *rest)

    monkeypatch.setattr(Sandbox, "_decode_some", counted)
    return names


def check_pixels(dataset: Dataset, store: Store) -> None:
    pictures = Pictures.open(store, dataset)
    for index, item in enumerate(dataset.items):
        assert (pictures[index] == read_picture(dataset.root / item.file, 320)).all()


def test_the_same_folder_again_decodes_nothing(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    top = picture_folder(2, 4)
    (top / "class_0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    first = intake(top, store, settings)
    assert len(decoded) == 9
    told: list[tuple[str, int, int]] = []
    assert intake(top, store, settings, lambda *step: told.append(step)) == first
    assert len(decoded) == 9
    assert ("decode", 9, 9) in told
    check_pixels(first, store)


def test_of_a_folder_that_changed_only_what_is_new_is_decoded(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    top = picture_folder(2, 4)
    intake(top, store, settings)
    decoded.clear()
    (top / "class_1" / "class_1_000.png").unlink()
    (top / "class_0" / "class_0_001.png").write_bytes((top / "class_1" / "class_1_001.png").read_bytes())
    (top / "class_0" / "new.png").write_bytes((top / "class_1" / "class_1_002.png").read_bytes())
    dataset = intake(top, store, settings)
    assert sorted(decoded) == ["class_0_001.png", "new.png"]
    check_pixels(dataset, store)
    decoded.clear()
    check_pixels(intake(top, store, settings), store)
    assert decoded == []


def test_a_file_that_changed_within_its_length_and_time_is_decoded_anew(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 2, suffix=".bmp")
    intake(top, store, settings)
    victim = top / "class_0" / "class_0_000.bmp"
    before = victim.stat()
    content = bytearray(victim.read_bytes())
    content[-1] ^= 255
    victim.write_bytes(content)
    os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_pixels(intake(top, store, settings), store)


def test_an_intake_that_was_cancelled_goes_on_where_it_was(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    top = picture_folder(2, 100, size=(16, 16))

    def told(stage: str, done: int, _total: int) -> None:
        if stage == "decode" and done >= 150:
            raise Cancelled

    with pytest.raises(Cancelled):
        intake(top, store, settings, told)
    decoded.clear()
    dataset = intake(top, store, settings)
    assert len(dataset) == 200
    assert len(decoded) <= 100
    check_pixels(dataset, store)
    assert not list(store.pictures.glob(".draft-*"))


def test_the_search_for_lookalikes_can_be_ended_and_costs_no_decoding(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    top = picture_folder(2, 40, size=(16, 16))

    def told(stage: str, done: int, _total: int) -> None:
        if stage == "group" and done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        intake(top, store, settings, told)
    decoded.clear()
    assert len(intake(top, store, settings)) == 80
    assert decoded == []


def test_an_archive_that_was_cancelled_goes_on_though_it_is_unpacked_anew(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str], tmp_path: Path
) -> None:
    top = picture_folder(2, 100, size=(16, 16))
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted(top.rglob("*.png")):
            archive.write(path, path.relative_to(top))

    def told(stage: str, done: int, _total: int) -> None:
        if stage == "decode" and done >= 150:
            raise Cancelled

    with pytest.raises(Cancelled):
        intake(tmp_path / "pets.zip", store, settings, told)
    decoded.clear()
    dataset = intake(tmp_path / "pets.zip", store, settings)
    assert len(dataset) == 200
    assert len(decoded) <= 100
    check_pixels(dataset, store)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_an_intake_killed_in_the_middle_goes_on_where_it_was(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    """A real process, killed with SIGKILL while its child decodes, at a moment that nobody chose."""
    top = picture_folder(2, 160, size=(160, 120))
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from zoo.intake import intake\nfrom zoo.settings import Settings\nfrom zoo.store import Store\n"
        "home = Path(sys.argv[1])\n"
        "intake(sys.argv[2], Store(home), Settings(home=home), lambda *step: print(*step, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(store.root), str(top)]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("decode 200 "):
                break
        process.send_signal(signal.SIGKILL)
    dataset = intake(top, store, settings)
    assert len(dataset) == 320
    assert 0 < len(decoded) <= 320 - 200 + 128
    check_pixels(dataset, store)


def test_a_journal_of_nonsense_is_not_believed(
    picture_folder: PictureFolder, store: Store, settings: Settings, decoded: list[str]
) -> None:
    top = picture_folder(2, 4)
    first = intake(top, store, settings)
    (journal,) = store.pictures.glob("known-*")
    whole = journal.read_text()
    for nonsense in (
        "",
        "{",
        "[]\n3\n",
        whole[: len(whole) // 2],
        whole.replace('"span"', '"spam"'),
        whole.replace('"is"', '"was"'),
        whole.replace('"offset"', "1"),
        json.dumps({"pixels": "../../secret", "is": [1, 2, 3]}),
    ):
        journal.write_text(nonsense)
        assert intake(top, store, settings) == first
        check_pixels(first, store)


def test_pixels_of_a_finished_file_that_was_replaced_are_not_used(
    picture_folder: PictureFolder, store: Store, settings: Settings, tmp_path: Path
) -> None:
    """The same pictures from another folder make a file of the same name, in which they may lie in another order."""
    top = picture_folder(2, 20)
    first = intake(top, store, settings)
    (target,) = store.pictures.glob("*.bin")
    content = target.read_bytes()
    target.unlink()
    target.write_bytes(content)
    (top / "class_0" / "more.png").write_bytes((top / "class_1" / "class_1_002.png").read_bytes())
    check_pixels(intake(top, store, settings), store)
    check_pixels(first, store)


def test_two_intakes_of_one_folder_at_once_both_succeed(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 4)
    inner: list[Dataset] = []

    def told(stage: str, done: int, _total: int) -> None:
        if stage == "decode" and done == 3 and not inner:
            inner.append(intake(top, store, settings))

    assert intake(top, store, settings, told) == inner[0]
    check_pixels(inner[0], store)
    assert not list(store.pictures.glob(".draft-*"))


def test_an_intake_that_comes_to_nothing_leaves_nothing(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 2)
    for path in (top / "class_1").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(BadUpload):
        intake(top, store, settings)
    assert list(store.pictures.iterdir()) == []
