"""Exports of tiny classifiers: one file that answers the same for any picture, certificates that refuse, cards."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from huggingface_hub import metadata_load

from tests.conftest import drawn
from tests.taken import answers, opened, space, static
from tests.trainer.push_stand_in import hub
from trainer import answering, onefile, results, served
from trainer.attention import inside
from trainer.card import BY_CLASS, OVERALL, card, metrics, model_front, plain
from trainer.cardwords import WORDS
from trainer.certificate import compared
from trainer.classifier import Classifier, save
from trainer.evaluation import evaluate
from trainer.exports import export, exports
from trainer.novelty import fit_gate
from trainer.proof import Order, Proof
from trainer.runs import Runs
from trainer.ui import share_tab
from trainer.ui.share_view import given_html, link_html
from zoo.backbone import Preprocessing
from zoo.decode import read_picture
from zoo.errors import BadExport
from zoo.network import fit
from zoo.owners import Owners
from zoo.settings import Settings
from zoo.store import Store, read_json
from zoo.ui.kit import Seat

CLASSES = ("a", "<b>${1}</b>", "한국 | _c_")
USUAL = Preprocessing(size=160, crop=0.9)
TEST = {"n": 120, "accuracy": 0.9, "interval": [0.83, 0.94], "balanced_accuracy": 0.89, "ece": 0.04}


def made(folder: Path, architecture: str = "test_efficientnet", prepared: Preprocessing = USUAL) -> Path:
    """A tiny classifier with random weights that says something else of every picture."""
    import timm
    import torch

    torch.manual_seed(1)
    network: Any = timm.create_model(architecture, num_classes=len(CLASSES))
    with torch.no_grad():
        network.get_classifier().weight.mul_(40)
    chance = np.random.default_rng(0)
    y = np.arange(60) % len(CLASSES)
    features = chance.normal(size=(60, network.num_features)).astype(np.float32) + y[:, None]
    passport = {
        "title": "Tiny ](x) `things`", "fingerprint": "f" * 8, "pictures": 60, "split": "s" * 8,
        "licence": "apache-2.0",
        "parts": {"train": 40, "test": 12}, "plan": {"backbone": "timm/x", "seed": 0}, "weights": "w" * 8,
        "versions": {"torch": "2"},
    }  # fmt: skip
    facts = {"set_threshold": 0.6, "test": TEST, "passport": passport}
    save(network, folder, CLASSES, prepared, facts, fit_gate(features, y, features[:30], len(CLASSES)))
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """A classifier with pictures to prove its exports on, and nowhere to go yet."""
    root = tmp_path_factory.mktemp("tiny")
    paths = []
    for index in range(6):
        paths.append(root / f"{index}.png")
        drawn(index % 3, index, (200 + 40 * index, 240)).save(paths[-1])
    labels = tuple(CLASSES[index % 3] for index in range(6))
    proof = Proof(tuple(paths), labels, tuple(paths))
    return Order(classifier=made(root / "classifier"), to="", store=Store(root / "home"), proof=proof)


def odd() -> list[Any]:
    return [*served.drawn(), np.zeros((1, 1, 3), dtype=np.uint8), np.full((20, 599, 3), 200, dtype=np.uint8)]


@pytest.mark.parametrize(
    ("architecture", "prepared"),
    [
        ("test_vit", USUAL),
        ("test_efficientnet", replace(USUAL, interpolation="bilinear", squash=True)),
        ("test_efficientnet", replace(USUAL, interpolation="nearest", crop=1.0)),
    ],
)
def test_the_one_file_answers_as_the_classifier_whatever_the_size(
    architecture: str, prepared: Preprocessing, tmp_path: Path
) -> None:
    import onnxruntime

    folder = made(tmp_path / "classifier", architecture, prepared)
    onefile.build(folder, onefile.network(folder), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    said = [session.run(["probabilities", "novelty"], {"image": picture}) for picture in odd()]
    classifier = Classifier.load(folder)
    assert np.abs(np.array([sure for sure, _ in said]) - classifier.probabilities(odd())).max() < 0.01
    novelty = [answer.novelty for answer in classifier.predict(odd())]
    assert [float(gap) for _, gap in said] == pytest.approx(novelty, rel=0.02)
    content = (tmp_path / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == list(CLASSES)


def test_a_resampling_that_onnx_lacks_is_said_with_what_else_to_take(tmp_path: Path) -> None:
    folder = made(tmp_path / "classifier", prepared=replace(USUAL, interpolation="lanczos"))
    with pytest.raises(BadExport, match="Export: folder"):
        onefile.build(folder, onefile.network(folder), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_torch_the_answer_is_the_same_and_made_ready_once(tiny: Order) -> None:
    assert served.known(tiny.store, tiny.classifier, 1) is None
    made_ready = served.make(tiny.store, tiny.classifier, 1)
    again = served.known(tiny.store, tiny.classifier, 1)
    assert made_ready is not None
    assert again is not None
    pictures = [read_picture(path) for path in tiny.proof.pictures]
    ours, theirs = Classifier.load(tiny.classifier).predict(pictures), again.predict(pictures)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.label, one.set, one.unknown) == (other.label, other.set, other.unknown)
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
        assert one.novelty == pytest.approx(other.novelty, rel=1e-4)


@pytest.mark.slow
def test_what_only_torch_can_answer_is_answered_by_a_process_of_its_own(tiny: Order) -> None:
    picture = read_picture(tiny.proof.pictures[0])
    child = answering.Child(tiny.classifier, tiny.store.root, 1)
    said = child.predict([picture])[0]
    how = Classifier.load(tiny.classifier).preprocessing
    seen = child.inside(fit(picture, how), 0)
    child.close()
    assert not child.living
    own = inside(Classifier.load(tiny.classifier).network, fit(picture, how), how, 0)
    assert seen["method"] == own["method"]
    assert np.allclose(seen["heat"], own["heat"], atol=1e-4)
    here = Classifier.load(tiny.classifier).predict([picture])[0]
    assert (said.label, said.set, said.unknown) == (here.label, here.set, here.unknown)
    assert [share for _, share in said.top] == pytest.approx([share for _, share in here.top], abs=1e-5)
    assert said.novelty == pytest.approx(here.novelty, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", sorted(name for name, one in exports().items() if not one.remote))
def test_an_export_answers_the_same_and_carries_its_certificate(form: str, tiny: Order, tmp_path: Path) -> None:
    to = tmp_path / "out"
    found = export(form).write(replace(tiny, to=str(to)))
    assert (found["parity"]["pictures"], found["parity"]["agreement"]) == (6, 1.0)
    assert found["parity"]["max_abs_dp"] < (1e-4 if form == "folder" else 0.01)
    assert found["parity"]["latency_ms"]["p95"] >= found["parity"]["latency_ms"]["p50"] > 0
    assert sorted(found["files"]) == sorted(str(path) for path in to.rglob("*") if path.is_file())
    passport = read_json(to / "passport.json")
    assert passport["certificate"] == found["parity"]
    assert passport["metrics"]["accuracy"] == {"value": 0.9, "interval": [0.83, 0.94]}
    assert metadata_load(to / "README.md")
    if (to / "verify.py").exists():
        check = [sys.executable, "verify.py"]
        assert subprocess.run(check, cwd=to, capture_output=True, check=False).returncode == 0
        golden = to / "golden" / "answers.json"
        golden.write_text(golden.read_text().replace('"probabilities": [\n    0.', '"probabilities": [\n    0.5', 1))
        assert subprocess.run(check, cwd=to, capture_output=True, check=False).returncode == 1
    with pytest.raises(BadExport, match="not empty"):
        export(form).write(replace(tiny, to=str(to)))


def test_an_export_of_another_network_is_refused_and_not_kept(tiny: Order, tmp_path: Path) -> None:
    other = made(tmp_path / "other", "test_vit")
    store = Store(tmp_path / "home")
    place = served.place(store, tiny.classifier)
    place.mkdir(parents=True)
    (place / served.NETWORK).write_bytes(onefile.network(other))
    with pytest.raises(BadExport, match="probabilities differ by"):
        export("onnx").write(replace(tiny, store=store, to=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadExport, match="held-out picture"):
        export("onnx").write(replace(tiny, proof=Proof(), to=str(tmp_path / "out")))


def test_a_certificate_is_refused_for_a_small_difference_too() -> None:
    ours = np.tile([0.6, 0.4], (10, 1))
    assert compared(ours, ours + 0.001, [0.1] * 10, "x", 0.01)["agreement"] == 1
    with pytest.raises(BadExport, match=r"0\.02"):
        compared(ours, ours + 0.02, [0.1] * 10, "x", 0.01)
    with pytest.raises(BadExport):
        compared(ours, ours * np.nan, [0.1] * 10, "x", 0.01)


def test_a_card_shows_names_letter_for_letter_and_each_metric_with_its_interval(tiny: Order, tmp_path: Path) -> None:
    parity = {"pictures": 6, "agreement": 1.0, "max_abs_dp": 1e-6, "engine": "x"}
    (tmp_path / "README.md").write_text(
        card(tiny.classifier, parity, model_front(tiny.classifier, ["examples/1.jpg"]), "")
    )
    text, front = (tmp_path / "README.md").read_text(), metadata_load(tmp_path / "README.md")
    assert front is not None
    assert (front["license"], front["language"]) == ("apache-2.0", ["en", "ko"])
    assert front["widget"][0]["src"] == "examples/1.jpg"
    assert plain(CLASSES[1]) in text
    assert "<b>" not in text.partition("---\n\n")[2]
    assert "| accuracy | 0.900 | 0.830 … 0.940 |" in text
    assert "| 정확도 | 0.900 | 0.830 … 0.940 |" in text
    for known in ("f" * 8, "s" * 8, "w" * 8, "apache\\-2.0" if "\\-" in plain("-") else "apache-2.0"):
        assert known in text
    assert metrics(tiny.classifier)["n"] == 120


def test_card_and_passport_carry_every_figure_with_its_interval_in_both_languages(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    sure, y = chance.dirichlet(np.ones(3), 200), chance.integers(0, 3, 200)
    report = evaluate(sure, y, CLASSES, tuple(map(str, range(200))))
    report |= results.promises(sure, y, sure[:100], y[:100], CLASSES, chance.random(200))
    (tmp_path / "evaluation.json").write_text(json.dumps(report))
    folder = made(tmp_path / "classifier")
    text = card(folder, compared(sure, sure, [0.1] * 200, "x", 0.01), model_front(folder), "")
    for said in WORDS.values():
        table = text.partition(f"## {said['right']}")[2].partition("##")[0]
        assert table.count("| –") == 0
        assert table.count(" … ") == len(OVERALL) + 3 * len(BY_CLASS)
        assert all(f"| {said[name]} |" in table for name in OVERALL)
        assert said["sets"] in text
        assert said["gate"] in text
    (folder / "gate.npz").unlink()  # as where too few pictures calibrated it
    bare = card(folder, compared(sure, sure, [0.1] * 200, "x", 0.01), model_front(folder), "")
    assert not any(said["gate"] in bare for said in WORDS.values())


def test_a_link_is_a_code_for_phones_wherever_they_can_reach_it() -> None:
    import segno

    code = segno.make_qr("https://zoo.example/team/preview?run=a&key=b", error="m").svg_inline(
        scale=4, dark="#000", light="#fff", svgclass=None
    )
    assert code in given_html("preview?run=a&key=b", "https://zoo.example/team/?run=a")
    for here in ("http://localhost:7860/", "http://127.0.0.1:7860/?run=a", "http://[::1]:7860/"):
        assert "<svg" not in link_html("a", here)
        assert "Only this computer opens this address." in link_html("a", here)


def test_a_public_page_offers_no_link_that_it_would_refuse(tmp_path: Path) -> None:
    for public in (False, True):
        store = Store(tmp_path, Owners(root=tmp_path / "owners", public=public))
        with gr.Blocks() as page:
            share_tab.place(Seat.take(), store, Runs(store, Settings(home=tmp_path), ("false",)))
        button = next(one for one in page.blocks.values() if one.elem_id == "open-link")
        assert button.visible is not public


def test_a_push_is_one_commit_with_card_and_certificate_and_keeps_no_token(
    tiny: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "hf_notarealtoken")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub("hf_notarealtoken") as received:
        monkeypatch.setattr(constants, "ENDPOINT", received.url)
        found = export("hub").write(replace(tiny, to="someone/things"))
        assert (found["repository"], found["private"], received.private) == ("someone/things", True, True)
        assert (
            set(received.files)
            == set(found["files"])
            >= {"README.md", "model.onnx", "model.safetensors", "passport.json"}
        )
        assert received.files["examples/1.jpg"][:2] == b"\xff\xd8"
        (tmp_path / "README.md").write_bytes(received.files["README.md"])
        assert metadata_load(tmp_path / "README.md")
        monkeypatch.setenv("HF_TOKEN", "hf_another")
        with pytest.raises(BadExport, match="does not let this token write"):
            export("hub").write(replace(tiny, to="someone/things"))
    told = capfd.readouterr()
    assert "hf_" not in told.out + told.err + json.dumps(found)
    assert not any(b"hf_" in content for content in received.files.values())
    with pytest.raises(BadExport, match="repository's name"):
        export("hub").write(replace(tiny, to="../x"))


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_answers_in_the_browser_alone_as_the_classifier_does(tiny: Order, tmp_path: Path) -> None:
    export("web").write(replace(tiny, to=str(tmp_path / "web")))
    exact = Classifier.load(tiny.classifier).probabilities([read_picture(path) for path in tiny.proof.pictures])
    with static(tmp_path / "web") as url, opened(url) as visitor:
        page = visitor.page
        visitor.sees("html[data-ready]", 120)
        rows, _ = answers(page, tiny.proof.pictures)
        assert (rows.argmax(1) == exact.argmax(1)).all()
        assert np.abs(rows - exact).max() < 0.01
        page.set_input_files("#file", str(tiny.proof.pictures[0]))
        visitor.sees("#answer")
        assert page.text_content("#label") == CLASSES[exact[0].argmax()]
        page.click("summary")
        page.click("#check")
        visitor.sees("#checked:has-text('6 of 6')", 60)
        page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"GIF89a"})
        visitor.sees("#status:has-text('cannot be read')")
        page.click("#camera")
        visitor.sees("#video:not([hidden])")
        visitor.sees("#answer")
        page.click("#camera")


@pytest.mark.slow
@pytest.mark.browser
def test_the_space_starts_offline_without_torch_and_answers(tiny: Order, tmp_path: Path) -> None:
    export("space").write(replace(tiny, to=str(tmp_path / "space")))
    picture = tiny.proof.pictures[0]
    label = Classifier.load(tiny.classifier).predict([read_picture(picture)])[0].label
    with space(tmp_path / "space") as (url, pid), opened(url) as visitor:
        visitor.page.set_input_files("#picture input[type=file]", str(picture))
        visitor.page.get_by_test_id("label-output-value").get_by_text(label, exact=True).wait_for()
        assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()
