"""Folders become datasets: layouts understood, junk passed over and listed, what cannot be used explained."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.dataset import Dataset
from zoo.errors import BadPicture, BadUpload
from zoo.intake import intake
from zoo.pictures import Pictures
from zoo.sandbox import Sandbox
from zoo.settings import Settings
from zoo.store import Store

PictureFolder = Callable[..., Path]
TOP = Path(__file__).parents[2]


@pytest.fixture
def take(store: Store, settings: Settings) -> Callable[[Path | str], Dataset]:
    return lambda source: intake(source, store, settings)


Take = Callable[[Path | str], Dataset]


def test_a_folder_of_class_folders_is_a_dataset(picture_folder: PictureFolder, take: Take, store: Store) -> None:
    dataset = take(picture_folder(("dog", "cat"), 3, size=(64, 48)))
    assert dataset.counts == {"cat": 3, "dog": 3}
    assert dataset.title == "pictures"
    assert [item.name for item in dataset.items][:2] == ["cat/cat_000.png", "cat/cat_001.png"]
    assert {(item.width, item.height) for item in dataset.items} == {(64, 48)}
    assert Dataset.load(store, dataset.id) == dataset
    assert dataset.skipped == ()


@pytest.mark.parametrize("inside", ["pets", "a/b/pets"])
def test_outer_folders_that_hold_everything_say_nothing(inside: str, picture_folder: PictureFolder, take: Take) -> None:
    assert take(picture_folder(("cat", "dog"), 2, inside=inside)).classes == ("cat", "dog")


def test_hostile_20_nested_folders_belong_to_their_class(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 2)
    (top / "cat" / "kittens" / "2021").mkdir(parents=True)
    shutil.move(top / "cat" / "cat_000.png", top / "cat" / "kittens" / "2021" / "x.png")
    assert take(top).counts == {"cat": 2, "dog": 2}


def test_hostile_20_junk_is_passed_over_and_listed(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 2)
    (top / ".DS_Store").write_bytes(b"x")
    (top / "cat" / ".DS_Store").write_bytes(b"x")
    (top / "cat" / "Thumbs.db").write_bytes(b"x")
    (top / "dog" / "desktop.ini").write_bytes(b"x")
    (top / "dog" / "notes.txt").write_bytes(b"x")
    (top / "empty").mkdir()
    for folder in ("__MACOSX", ".ipynb_checkpoints"):
        shutil.copytree(top / "cat", top / folder)
    dataset = take(top)
    assert dataset.counts == {"cat": 2, "dog": 2}
    assert {one.path for one in dataset.skipped} == {
        ".DS_Store",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "dog/desktop.ini",
        "dog/notes.txt",
        "empty/",
        "__MACOSX/",
        ".ipynb_checkpoints/",
    }
    assert all(one.why and not one.corrupt for one in dataset.skipped)


def test_hostile_20_junk_in_an_archive_is_listed_once_a_folder(
    picture_folder: PictureFolder, take: Take, tmp_path: Path
) -> None:
    top = picture_folder(("cat", "dog"), 2, inside="pets")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted(top.rglob("*")):
            archive.write(path, path.relative_to(top))
            if path.is_file():
                archive.writestr(f"__MACOSX/{path.relative_to(top).parent}/._{path.name}", b"x")
        archive.writestr("pets/nothing/", b"")
    dataset = take(tmp_path / "pets.zip")
    assert dataset.counts == {"cat": 2, "dog": 2}
    assert {one.path for one in dataset.skipped} == {"__MACOSX/", "pets/nothing/"}


def test_hostile_21_split_folders_are_honoured(picture_folder: PictureFolder, take: Take) -> None:
    for number, part in enumerate(("Training", "valid", "test")):
        top = picture_folder(("cat", "dog"), 2, inside=f"pets/{part}", seed=number)
    dataset = take(top)
    assert dataset.classes == ("cat", "dog")
    assert sorted(item.given for item in dataset.items) == ["test"] * 4 + ["train"] * 4 + ["val"] * 4


def test_hostile_21_unlabelled_test_pictures_are_listed(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 2, inside="train")
    (top / "test").mkdir()
    shutil.copy(top / "train" / "cat" / "cat_000.png", top / "test" / "0001.png")
    dataset = take(top)
    assert {item.given for item in dataset.items} == {"train"}
    assert [(one.path, "split folder" in one.why) for one in dataset.skipped] == [("test/0001.png", True)]


def test_hostile_21_a_class_that_is_called_like_a_split_is_a_class(picture_folder: PictureFolder, take: Take) -> None:
    assert take(picture_folder(("train", "bus", "test"), 2)).classes == ("bus", "test", "train")


def test_hostile_21_one_split_folder_alone_says_nothing(picture_folder: PictureFolder, take: Take) -> None:
    dataset = take(picture_folder(("cat", "dog"), 2, inside="test"))
    assert {item.given for item in dataset.items} == {""}
    assert dataset.classes == ("cat", "dog")


def test_hostile_16_no_picture_at_all(tmp_path: Path, take: Take) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadUpload, match="no pictures") as caught:
        take(tmp_path / "nothing")
    assert "one folder a class" in caught.value.remedy


def test_hostile_16_loose_pictures_are_told_the_layout(picture_folder: PictureFolder, take: Take) -> None:
    with pytest.raises(BadUpload, match=r"3 pictures .* lie loose") as caught:
        take(picture_folder(("cat",), 3) / "cat")
    assert "one folder a class" in caught.value.remedy


def test_hostile_16_a_single_class_is_named(picture_folder: PictureFolder, take: Take) -> None:
    with pytest.raises(BadUpload, match="one class, 'cat'"):
        take(picture_folder(("cat",), 3))
    with pytest.raises(BadUpload, match="one class, 'cat'"):
        take(picture_folder(("cat",), 3, name="again", inside="train"))


def test_hostile_16_a_second_class_that_cannot_be_read_is_no_class(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 2)
    for path in (top / "dog").iterdir():
        path.write_bytes(b"<html></html>")
    with pytest.raises(BadUpload, match=r"one class, 'cat'.*web page"):
        take(top)
    (top / "owl").mkdir()
    shutil.copy(top / "cat" / "cat_000.png", top / "owl" / "owl.png")
    dataset = take(top)
    assert dataset.classes == ("cat", "owl")
    assert "dog/" in {one.path for one in dataset.skipped}


def test_hostile_16_nothing_that_can_be_read(tmp_path: Path, take: Take) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "bad" / label).mkdir(parents=True)
        (tmp_path / "bad" / label / "1.jpg").write_bytes(b"")
    with pytest.raises(BadUpload, match="None of the 2 pictures"):
        take(tmp_path / "bad")


@pytest.mark.parametrize("source", ["/nowhere/at/all", "\0", "x" * 5000, "", " ", "~nobody-of-that-name"])
def test_a_source_that_is_not_there_is_said_so(
    source: str, take: Take, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(picture_folder(2, 2))
    with pytest.raises(BadUpload):
        take(source)


def test_links_do_not_lead_out_of_the_folder(picture_folder: PictureFolder, take: Take, tmp_path: Path) -> None:
    secret = picture_folder(("secret",), 1, name="secret")
    top = picture_folder(("cat", "dog"), 2)
    (top / "cat" / "out.png").symlink_to(secret / "secret" / "secret_000.png")
    (top / "cat" / "in.png").symlink_to(top / "dog" / "dog_000.png")
    (top / "cat" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    (top / "owl").symlink_to(secret / "secret", target_is_directory=True)
    (top / "loop").symlink_to(top, target_is_directory=True)
    os.mkfifo(top / "cat" / "pipe.png")
    dataset = take(top)
    assert dataset.counts == {"cat": 3, "dog": 2}
    assert {one.path for one in dataset.skipped} == {"cat/out.png", "cat/dead.png", "cat/pipe.png", "owl/", "loop/"}


def test_the_same_pictures_are_the_same_dataset(picture_folder: PictureFolder, take: Take, tmp_path: Path) -> None:
    top = picture_folder(("cat", "dog"), 2)
    shutil.make_archive(str(tmp_path / "packed"), "zip", top)
    assert take(top).id == take(tmp_path / "packed.zip").id == take(tmp_path / "packed.zip").id


def test_copies_and_near_copies_are_one_group(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 4, size=(200, 150))
    original = Image.open(top / "cat" / "cat_000.png")
    shutil.copy(top / "cat" / "cat_000.png", top / "dog" / "copy.png")
    original.save(top / "cat" / "recompressed.jpg", quality=60)
    original.resize((120, 90)).save(top / "cat" / "smaller.png")
    dataset = take(top)
    crowd = {item.name for item in dataset.items if item.group == dataset.items[0].group}
    assert crowd == {"cat/cat_000.png", "cat/recompressed.jpg", "cat/smaller.png", "dog/copy.png"}
    assert len(set(dataset.groups)) == len(dataset) - 3


def test_flat_pictures_of_different_colours_are_not_one_group(tmp_path: Path, take: Take) -> None:
    for label, colours in {"warm": ("red", "orange", "yellow"), "cold": ("blue", "navy", "teal")}.items():
        (tmp_path / "flat" / label).mkdir(parents=True)
        for colour in colours:
            Image.new("RGB", (50, 50), colour).save(tmp_path / "flat" / label / f"{colour}.png")
    assert len(set(take(tmp_path / "flat").groups)) == 6


def test_the_sample_is_read_in_a_moment(take: Take, store: Store) -> None:
    dataset = take("sample")
    assert len(dataset) == 228
    assert set(dataset.counts.values()) == {38}
    assert len(Pictures.open(store, dataset)) == 228
    assert len(dataset) - 16 <= len(set(dataset.groups)) < len(dataset)


def test_progress_is_told_to_its_end(picture_folder: PictureFolder, store: Store, settings: Settings) -> None:
    seen: list[tuple[str, int, int]] = []
    intake(picture_folder(2, 5), store, settings, lambda *step: seen.append(step))
    assert ("decode", 10, 10) in seen
    assert seen[-1] == ("group", 10, 10)


def test_a_child_that_dies_takes_one_picture_with_it(
    picture_folder: PictureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is killed by a real signal while it decodes one picture, again and again."""
    files = sorted(picture_folder(2, 5).rglob("*.png"))
    (tmp_path / "sitecustomize.py").write_text(
        "import hashlib, os, signal\n"
        "sha256 = hashlib.sha256\n"
        "def deadly(content=b''):\n"
        f"    if sha256(content).hexdigest() == '{hashlib.sha256(files[7].read_bytes()).hexdigest()}':\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "    return sha256(content)\n"
        "hashlib.sha256 = deadly\n"
    )
    monkeypatch.setattr(
        "zoo.sandbox.child_environment", lambda **more: {"PYTHONPATH": f"{tmp_path}:{more['PYTHONPATH']}"}
    )
    with Sandbox(threads=2) as sandbox:
        readings = sandbox.decode(files, tmp_path / "pixels", 320, lambda *_: None)
    assert [isinstance(reading, BadPicture) for reading in readings] == [
        path.name == "class_1_002.png" for path in files
    ]


def test_the_child_sees_no_secret(
    monkeypatch: pytest.MonkeyPatch, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Sandbox(threads=1) as sandbox:
        sandbox.decode(sorted(picture_folder(1, 1).rglob("*.png")), tmp_path / "pixels", 320, lambda *_: None)
        process = sandbox._process
        assert process is not None
        if sys.platform == "linux":
            assert b"hf_secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert process.poll() is not None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_ends_when_its_parent_is_killed(picture_folder: PictureFolder, tmp_path: Path) -> None:
    picture = next(picture_folder(1, 1).rglob("*.png"))
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from zoo.sandbox import Sandbox\n"
        "with Sandbox(1) as sandbox:\n"
        "    sandbox.decode([Path(sys.argv[1])], Path(sys.argv[2]), 320, lambda *_: None)\n"
        "    print(sandbox._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(picture), str(tmp_path / "pixels")]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    ends = time.monotonic() + 5
    while alive(child) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not alive(child)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cap less")
def test_a_picture_that_needs_more_memory_than_the_child_has_is_left_out(tmp_path: Path) -> None:
    """36 megapixels of 64-bit colour, decoded by eight threads at once, stay below the cap or are refused."""
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((6000, 6000), np.uint8)).save(path)
    with Sandbox(threads=8) as sandbox:
        readings = sandbox.decode([path] * 4, tmp_path / "pixels", 64, lambda *_: None)
    assert not any(isinstance(reading, BadPicture) for reading in readings)


def test_a_killed_intake_leaves_nothing_for_long(picture_folder: PictureFolder, take: Take, store: Store) -> None:
    for folder in (store.datasets, store.pictures):
        (folder / ".draft-old").mkdir()
        os.utime(folder / ".draft-old", (0, 0))
        (folder / ".draft-new").mkdir()
    take(picture_folder(2, 2))
    assert not list(store.root.glob("*/.draft-old"))
    assert len(list(store.root.glob("*/.draft-new"))) == 2


def test_a_burst_by_its_times_is_one_group_and_a_counter_is_none(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 4, size=(200, 150))
    scene = Image.open(top / "cat" / "cat_000.png")
    for second in range(3):
        exif = Image.Exif()
        exif[0x0132] = f"2024:05:01 12:00:0{second}"
        moved = Image.new("RGB", scene.size, scene.getpixel((0, 0)))
        moved.paste(scene, (12 * second, 6 * second))
        moved.save(top / "cat" / f"shot{second}.jpg", exif=exif)
    dataset = take(top)
    groups = {item.name: item.group for item in dataset.items}
    assert len({groups[f"cat/shot{second}.jpg"] for second in range(3)}) == 1
    assert len({group for name, group in groups.items() if name.startswith("dog/")}) == 4
