"""Tables of pictures and labels: columns guessed or told, paths that stay inside, faults listed by their row."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.conftest import PictureFolder, drawn
from zoo.columns import Column, Columns, choose
from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store
from zoo.tables import part_of, within

Take = Callable[..., Dataset]
LABELS = ("cat", "dog", "owl")


@pytest.fixture
def take(store: Store, settings: Settings) -> Take:
    return lambda source, **columns: intake(source, store, settings, columns=Columns(**columns))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures in one folder, four of each label: cat0.png to owl3.png."""
    folder = tmp_path / "table" / "images"
    folder.mkdir(parents=True)
    for kind, label in enumerate(LABELS):
        for number in range(4):
            drawn(kind, number).save(folder / f"{label}{number}.png")
    return folder


def rows() -> list[tuple[str, str]]:
    return [(f"images/{label}{number}.png", label) for label in LABELS for number in range(4)]


def csv_of(lines: Sequence[Sequence[str]], mark: str = ",") -> str:
    return "".join(mark.join(line) + "\n" for line in lines)


def why(dataset: Dataset) -> dict[str, str]:
    return {one.path: one.why for one in dataset.skipped}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("head", [("file_name", "label"), ("Image Path", "Species"), ("picture", "what it is")])
def test_columns_are_guessed_and_said(pictures: Path, take: Take, mark: str, head: tuple[str, str]) -> None:
    table = pictures.parent / "labels.csv"
    table.write_text(csv_of([head, *rows()], mark))
    dataset = take(table)
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert dataset.notes == (f"labels.csv: pictures from column {head[0]!r}, labels from {head[1]!r}.",)


def test_columns_can_be_told_otherwise(pictures: Path, take: Take) -> None:
    table = pictures.parent / "labels.csv"
    table.write_text(csv_of([("file", "label", "colour"), *((*row, "ab"[i % 2]) for i, row in enumerate(rows()))]))
    assert take(table, label="colour").counts == {"a": 6, "b": 6}


def test_a_table_without_a_head_is_read(pictures: Path, take: Take) -> None:
    table = pictures.parent / "labels.csv"
    table.write_text(csv_of(rows()))
    assert take(table).counts == dict.fromkeys(LABELS, 4)


def test_hostile_22_unknown_columns_are_answered_with_those_there_are(pictures: Path, take: Take) -> None:
    table = pictures.parent / "labels.csv"
    table.write_text(csv_of([("file", "label"), *rows()]))
    with pytest.raises(BadUpload, match="no column 'breed'") as caught:
        take(table, label="breed")
    assert "'file', 'label'" in caught.value.remedy
    table.write_text("a,b\n1,2\n")
    with pytest.raises(BadUpload, match="cannot be told which column"):
        take(table)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
def test_hostile_22_other_encodings_are_read_as_they_are(pictures: Path, take: Take, encoding: str) -> None:
    table = pictures.parent / "labels.csv"
    table.write_text(
        csv_of([("file", "label"), *((path, f"Gr\u00f6\u00dfe {name}") for path, name in rows())]), encoding
    )
    dataset = take(table)
    assert dataset.classes == tuple(f"Größe {name}" for name in LABELS)
    assert any("not UTF-8" in note for note in dataset.notes) == (not encoding.startswith("utf-8"))


def test_hostile_22_what_is_wrong_with_a_row_is_listed_with_its_number(pictures: Path, take: Take) -> None:
    odd = [
        ("images/none.png", "cat"),
        ("images/cat0.png", "cat"),
        ("images/cat1.png", "dog"),
        ("images/cat2.png", ""),
        ("https://pets.example/1.png", "cat"),
        ("", "cat"),
    ]
    (pictures / "broken.png").write_bytes(b"<html></html>")
    table = pictures.parent / "labels.csv"
    table.write_text(csv_of([("file", "label"), *rows(), *odd, ("images/broken.png", "cat")]))
    dataset = take(table)
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert why(dataset) == {
        "labels.csv row 13: images/none.png": "There is no such file.",
        "labels.csv row 14: images/cat0.png": "It is listed twice.",
        "labels.csv row 15: images/cat1.png": "It is listed before, as 'cat'.",
        "labels.csv row 16: images/cat2.png": "It has no label.",
        "labels.csv row 17: https://pets.example/1.png": "A web address; pictures are not fetched.",
        "labels.csv row 18": "It has no picture.",
        "images/broken.png": "It is a web page under a picture's name. Download the picture itself again.",
    }


def test_web_addresses_are_refused_in_a_sentence(tmp_path: Path, take: Take) -> None:
    (tmp_path / "web.csv").write_text(
        csv_of([("url", "label"), *((f"http://pets.example/{i}.jpg", "ab"[i % 2]) for i in range(9))])
    )
    with pytest.raises(BadUpload, match="web addresses") as caught:
        take(tmp_path / "web.csv")
    assert "Download" in caught.value.remedy


def test_pictures_that_are_nowhere_are_said_so(tmp_path: Path, take: Take) -> None:
    (tmp_path / "lost.csv").write_text(csv_of([("file", "label"), *rows()]))
    with pytest.raises(BadUpload, match=r"None of the pictures .* 'images/cat0\.png'"):
        take(tmp_path / "lost.csv")


def test_hostile_22_no_path_leads_out_of_the_tables_folder(
    pictures: Path, take: Take, picture_folder: PictureFolder
) -> None:
    secret = picture_folder(("secret",), 1, name="secret") / "secret" / "secret_000.png"
    top = pictures.parent
    (pictures / "link.png").symlink_to(secret)
    (top / "linked").symlink_to(secret.parent, target_is_directory=True)
    os.mkfifo(pictures / "pipe.png")
    outside = [
        "../secret/secret/secret_000.png",
        "images/../../secret/secret/secret_000.png",
        str(secret),
        "..\\secret\\secret\\secret_000.png",
        "C:\\secret.png",
        "file:/" + "//etc/passwd",
        "images/link.png",
        "linked/secret_000.png",
        "images/pipe.png",
        "images/\0.png",
        "images",
    ]
    table = top / "labels.csv"
    table.write_text(csv_of([("file", "label"), *rows(), *((path, "cat") for path in outside)]))
    dataset = take(table)
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert len(dataset.skipped) == len(outside)


@pytest.mark.parametrize(("base", "path", "found"), [
    ("", "a/b.png", "a/b.png"),
    ("csv", "../img/b.png", "img/b.png"),
    ("", "../b.png", None),
    ("csv", "../../b.png", None),
    ("", "/b.png", None),
    ("", "c:/b.png", None),
    ("", "./a//b.png", "a/b.png"),
])  # fmt: skip
def test_paths_are_followed_by_their_letters_alone(base: str, path: str, found: str | None) -> None:
    assert within(PurePosixPath(base), path) == (found and PurePosixPath(found))


def test_a_csv_in_a_zip_names_what_is_in_the_zip(pictures: Path, take: Take, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in pictures.iterdir():
            archive.write(path, f"pets/images/{path.name}")
        archive.write(next(pictures.iterdir()), "pets/images/unnamed.png")
        lines = [("id", "label"), *((path.removeprefix("images/"), label) for path, label in rows())]
        archive.writestr("pets/labels.csv", csv_of([*lines, ("../../../etc/passwd", "cat")]))
    dataset = take(tmp_path / "pets.zip")
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert why(dataset) == {
        "pets/labels.csv row 13: ../../../etc/passwd": "Its path leads out of the table's folder.",
        "pets/images/unnamed.png": "No row of a table names it.",
    }


def test_a_folder_with_a_table_beside_its_pictures_needs_no_class_folders(pictures: Path, take: Take) -> None:
    lines = [("id_code", "diagnosis"), *((PurePosixPath(path).stem, label) for path, label in rows())]
    (pictures.parent / "train.csv").write_text(csv_of(lines))
    assert take(pictures.parent).counts == dict.fromkeys(LABELS, 4)


def test_class_folders_come_before_a_table(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(("cat", "dog"), 2)
    (top / "notes.csv").write_text("file,label\ncat/cat_000.png,x\ndog/dog_000.png,y\n")
    dataset = take(top)
    assert dataset.classes == ("cat", "dog")
    assert why(dataset) == {"notes.csv": "A table; the folders say the classes."}
    assert take(top, image="file", label="label").classes == ("x", "y")


def test_own_splits_and_groups_are_honoured(pictures: Path, take: Take) -> None:
    lines = [(*row, ("training", "valid", "TEST")[i % 3], f"patient {i // 2}") for i, row in enumerate(rows())]
    (pictures.parent / "labels.csv").write_text(csv_of([("file", "label", "split", "patient_id"), *lines]))
    dataset = take(pictures.parent / "labels.csv")
    assert sorted(item.given for item in dataset.items) == ["test"] * 4 + ["train"] * 4 + ["val"] * 4
    group = {item.name: item.group for item in dataset.items}
    assert all(group[a[0]] == group[b[0]] for a, b in zip(lines[::2], lines[1::2], strict=True))
    assert len(set(group.values())) == 6


# Parquet and saved datasets


def hugging_face(pictures: Path, labels: Sequence[str] = LABELS) -> Any:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(labels))})
    cells = [{"bytes": (pictures.parent / path).read_bytes(), "path": path} for path, _ in rows()]
    values = {"image": cells, "label": [labels.index(label) for _, label in rows()]}
    return datasets.Dataset.from_dict(values, features=features)


def test_parquet_as_hugging_face_writes_it_has_named_classes(pictures: Path, take: Take, tmp_path: Path) -> None:
    hugging_face(pictures).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    dataset = take(tmp_path / "train-00000-of-00001.parquet")
    shas = {item.sha for item in dataset.items}
    (pictures.parent / "labels.csv").write_text(csv_of([("file", "label"), *rows()]))
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert shas == {item.sha for item in take(pictures.parent / "labels.csv").items}


@pytest.mark.parametrize("kind", ["binary", "large_binary", "path"])
def test_plain_parquet_is_read_too(pictures: Path, take: Take, kind: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    paths = [path for path, _ in rows()]
    cells = paths if kind == "path" else [(pictures.parent / path).read_bytes() for path in paths]
    labels = pa.array([label for _, label in rows()]).dictionary_encode()
    column = pa.array(cells, pa.string() if kind == "path" else getattr(pa, kind)())
    parquet.write_table(pa.table({"picture": column, "breed": labels}), pictures.parent / "p.parquet")
    assert take(pictures.parent / "p.parquet").counts == dict.fromkeys(LABELS, 4)


def test_a_path_in_parquet_is_no_more_trusted_than_one_in_csv(pictures: Path, take: Take) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    cells = [{"bytes": None, "path": path} for path, _ in rows()] + [{"bytes": None, "path": "/etc/passwd"}]
    table = pa.table({"image": cells, "label": [label for _, label in rows()] + ["cat"]})
    parquet.write_table(table, pictures.parent / "p.parquet")
    dataset = take(pictures.parent / "p.parquet")
    assert dataset.counts == dict.fromkeys(LABELS, 4)
    assert why(dataset) == {"p.parquet row 13: /etc/passwd": "Its path leads out of the table's folder."}


@pytest.mark.parametrize("cut", [10, 200, -30, -4])
def test_a_damaged_parquet_file_is_explained(pictures: Path, take: Take, tmp_path: Path, cut: int) -> None:
    hugging_face(pictures).to_parquet(tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole[:cut])
    with pytest.raises(BadUpload, match="damaged"):
        take(tmp_path / "p.parquet")


def test_labels_outside_the_named_classes_are_no_labels(pictures: Path, take: Take, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    hugging_face(pictures).to_parquet(tmp_path / "p.parquet")
    table = parquet.read_table(tmp_path / "p.parquet")
    spoilt = table.set_column(1, "label", pa.array([-1, 7, None, *table["label"].to_pylist()[3:]], pa.int64()))
    parquet.write_table(spoilt, tmp_path / "p.parquet")
    dataset = take(tmp_path / "p.parquet")
    assert len(dataset) == 9
    assert set(why(dataset).values()) == {"It has no label."}


def test_a_saved_dataset_and_one_with_splits_are_read(pictures: Path, take: Take, tmp_path: Path) -> None:
    import datasets

    whole = hugging_face(pictures)
    whole.save_to_disk(tmp_path / "saved", num_shards=2)
    assert take(tmp_path / "saved").counts == dict.fromkeys(LABELS, 4)
    parts = {"train": whole.select(range(1, 12)), "validation": whole.select([0])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "parted")
    assert sorted(item.given for item in take(tmp_path / "parted").items) == ["train"] * 11 + ["val"]


@pytest.mark.parametrize("file", ["../elsewhere.arrow", "/etc/passwd", "link.arrow"])
def test_a_saved_dataset_reads_no_file_outside_its_folder(
    pictures: Path, take: Take, tmp_path: Path, file: str
) -> None:
    hugging_face(pictures).save_to_disk(tmp_path / "saved")
    (tmp_path / "elsewhere.arrow").write_bytes(b"")
    (tmp_path / "saved" / "link.arrow").symlink_to("/etc/passwd")
    state = json.loads((tmp_path / "saved" / "state.json").read_text())
    state["_data_files"] = [{"filename": file}]
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    with pytest.raises(BadUpload, match="outside its folder"):
        take(tmp_path / "saved")


def test_shards_of_a_folder_are_one_dataset_with_parts_by_their_names(
    pictures: Path, take: Take, tmp_path: Path
) -> None:
    whole = hugging_face(pictures)
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for part, chosen in {
        "train-00000-of-00002": range(6),
        "train-00001-of-00002": range(6, 9),
        "test": range(9, 12),
    }.items():
        whole.select(chosen).to_parquet(tmp_path / "hub" / "data" / f"{part}.parquet")
    dataset = take(tmp_path / "hub")
    assert sorted(item.given for item in dataset.items) == ["test"] * 3 + ["train"] * 9
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "hub")
    assert take(tmp_path / "packed.zip").id == dataset.id


@pytest.mark.parametrize(("path", "part"), [
    ("data/train-00000-of-00001.parquet", "train"),
    ("validation.csv", "val"),
    ("test/metadata.csv", "test"),
    ("labels.csv", ""),
    ("contest.csv", ""),
])  # fmt: skip
def test_the_part_is_in_the_name_of_a_table(path: str, part: str) -> None:
    assert part_of(PurePosixPath(path)) == part


def test_a_column_of_numbers_with_names_is_preferred_for_labels() -> None:
    columns = [
        Column("id", "number", ("1", "2")),
        Column("image", "picture"),
        Column("source", "text", ("a", "b")),
        Column("kind", "class", ("0", "1")),
    ]
    assert choose(columns, Columns(), "t") == Columns("image", "kind")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0\0", b"file\n", b"PAR1", b"PAR1" * 50, b"\0" * 100])
def test_what_is_no_table_is_explained(tmp_path: Path, take: Take, content: bytes) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(BadUpload):
        take(tmp_path / "odd.csv")
