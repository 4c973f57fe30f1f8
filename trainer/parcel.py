"""The parts that exports share: the one file, golden pictures with their answers, examples, the engine of browsers."""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer import onefile, served
from trainer.card import passport
from trainer.certificate import TOLERANCE, asked, compared, truth
from trainer.classifier import Classifier
from trainer.plan import MB
from trainer.proof import Order
from zoo.decode import encode_jpeg, read_picture, shrink
from zoo.errors import BadExport
from zoo.store import write_bytes, write_json

HERE = Path(__file__).parent / "takeaway"
BROWSER_ENGINE = HERE / "onnxruntime-web-1.30.0.tar.xz"  # out of the npm package of that name and version, unchanged
MODEL = "model.onnx"
EXAMPLES = 6


def empty_folder(path: Path) -> None:
    """Make the folder ``path``.

    Raises:
        BadExport: it cannot be made, or holds something already.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        full = any(path.iterdir())
    except OSError as error:
        raise BadExport(f"{path} cannot be written: {error.strerror}.", "Name another folder.") from error
    if full:
        raise BadExport(f"{path} exists and is not empty.", "Name a folder that does not exist yet.")


@contextmanager
def kept_if_good(to: str) -> Iterator[Path]:
    """The folder ``to``, empty; what a refused export wrote into it is taken away again.

    Raises:
        BadExport: it cannot be made, or holds something already.
    """
    folder = Path(to).absolute()
    empty_folder(folder)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder)
        raise


def one_file(order: Order, folder: Path) -> dict[str, Any]:
    """Write ``model.onnx``, its program and ``passport.json`` into ``folder``; the certificate of that program."""
    onefile.build(order.classifier, served.body(order.store, order.classifier), folder / MODEL)
    program(folder, "predict.py")
    return certified(order, folder, "onnxruntime")


def verified_file(order: Order, folder: Path) -> dict[str, Any]:
    """``one_file`` with golden pictures and the program that checks a copy by them; the certificate."""
    certificate = one_file(order, folder)
    golden(order, folder)
    program(folder, "verify.py")
    return certificate


def certified(order: Order, folder: Path, engine: str) -> dict[str, Any]:
    """The certificate of the ``predict.py`` in ``folder``, also written beside it in ``passport.json``.

    Raises:
        BadExport: it does not answer as the classifier does.
    """
    proof = order.proof.checked()
    answers, seconds = asked(folder / "predict.py", proof.pictures)
    ours = truth(order.classifier, proof.pictures)
    certificate = compared(ours, answers, seconds, engine, TOLERANCE)
    write_json(folder / "passport.json", passport(order.classifier) | {"certificate": certificate})
    return certificate


def program(folder: Path, name: str, to: str = "") -> None:
    """Lay one of the programs of ``trainer/takeaway`` into ``folder``."""
    shutil.copyfile(HERE / name, folder / (to or name))


def golden(order: Order, folder: Path) -> None:
    """Drawn pictures with the classifier's answers, so that any copy can be checked anywhere: ``golden/``."""
    from PIL import Image

    pictures = served.drawn()
    classifier = Classifier.load(order.classifier)
    rows: list[dict[str, Any]] = []
    for number, (picture, sure) in enumerate(zip(pictures, classifier.probabilities(pictures), strict=True)):
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "PNG")
        write_bytes(folder / "golden" / f"{number}.png", content.getvalue())
        label = classifier.classes[int(sure.argmax())]
        rows.append({"file": f"{number}.png", "label": label, "probabilities": sure.tolist()})
    write_json(folder / "golden" / "answers.json", {"tolerance": TOLERANCE, "pictures": rows})


def examples(order: Order, folder: Path) -> list[str]:
    """A held-out picture of each class, its pixels alone, as ``examples/1.jpg`` and on; their names."""
    if not order.examples:
        return []
    first = dict(zip(reversed(order.proof.labels), reversed(order.proof.pictures), strict=True))
    names = []
    for number, label in enumerate(sorted(first)[:EXAMPLES], 1):
        write_bytes(folder / "examples" / f"{number}.jpg", encode_jpeg(shrink(read_picture(first[label]), 320)))
        names.append(f"examples/{number}.jpg")
    return names


def browser_engine(folder: Path) -> None:
    """ONNX Runtime for browsers, ``ort.mjs`` and ``ort.wasm``, and its licences."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(BROWSER_ENGINE.read_bytes()))) as bundle:
        for member in bundle.getmembers():
            content = bundle.extractfile(member)
            assert content is not None
            place = folder if member.name.startswith("ort.") else folder / "licenses" / "onnxruntime-web"
            write_bytes(place / member.name, content.read())


def result(folder: Path, parity: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What ``python -m trainer export`` prints."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    return {"files": [str(path) for path in files], "parity": parity, "size_mb": round(size / MB, 2)} | more
