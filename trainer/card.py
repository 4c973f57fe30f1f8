"""The model card and the passport of a classifier: what it is made of, how right it is, what binds who uses it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.cardwords import WORDS
from trainer.novelty import Gate
from zoo.store import read_json

DRAWS = 2000
OVERALL = ("accuracy", "balanced_accuracy", "ece", "ece_debiased", "brier", "coverage", "held_back")
BY_CLASS = ("precision", "recall", "f1")
KNOWN = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc0-1.0")  # to a hub


def passport(classifier: Path) -> dict[str, Any]:
    """Everything it takes to say where a classifier is from and to make it again, every metric with its interval."""
    facts = read_json(classifier / "studio.json")
    made: dict[str, Any] = facts.get("passport") or {}
    gate = Gate.load(classifier / "gate.npz")
    plan = made.get("plan") or {}
    with (classifier / "model.safetensors").open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "data": {name: made.get(name) for name in ("title", "fingerprint", "pictures", "split", "parts")},
        "classes": facts["classes"],
        "backbone": {"id": plan.get("backbone"), "weights": made.get("weights"), "licence": made.get("licence")},
        "strategy": plan.get("strategy"),
        "seed": plan.get("seed"),
        "plan": plan,
        "weights": sha,
        "licence": made.get("licence") or "unknown",
        "temperature": facts.get("temperature"),
        "promises": [
            *(["sets"] if facts.get("set_threshold") is not None else []),
            *(["gate"] if gate is not None and np.isfinite(gate.threshold) else []),
        ],
        "metrics": metrics(classifier),
        "versions": made.get("versions"),
        "made": made.get("made"),
    }


def metrics(classifier: Path) -> dict[str, Any]:
    """What was measured once on the test part: values with 95 % intervals; empty where nothing was held out."""
    facts = read_json(classifier / "studio.json")
    report = read_json(classifier.parent / "evaluation.json") or facts.get("test") or {}
    if not report.get("n"):
        return {}
    found: dict[str, Any] = {
        "n": report["n"],
        "accuracy": {"value": report["accuracy"], "interval": report["interval"]},
        "balanced_accuracy": {"value": report["balanced_accuracy"], "interval": report.get("balanced_interval")},
        "ece": {"value": report["ece"], "interval": report.get("ece_interval")},
    }
    if "confusion" in report and found["balanced_accuracy"]["interval"] is None:
        found["balanced_accuracy"]["interval"] = _balanced(np.array(report["confusion"]))
    if "ece_debiased" in report:
        found["ece_debiased"] = dict(zip(("value", "interval"), report["ece_debiased"], strict=True))
    if "brier" in report:
        found["brier"] = {"value": report["brier"], "interval": report.get("brier_interval")}
    if "sets" in report:
        found["coverage"] = {"value": report["sets"]["coverage"], "interval": report["sets"]["interval"]}
    if "held_back" in report:
        found["held_back"] = report["held_back"]
    for name in BY_CLASS if "per_class" in report else ():
        found[name] = {row["label"]: one for row in report["per_class"] if (one := _of_class(row, name)) is not None}
    return found


def _of_class(row: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A class's precision, recall or F1; None where it is not defined."""
    interval = row.get(f"{name}_interval") or (row.get("interval") if name == "recall" else None)
    return None if row.get(name) is None or not row["n"] else {"value": row[name], "interval": interval, "n": row["n"]}


def _balanced(confusion: Any) -> list[float]:
    """95 % interval of the mean recall: each class's by Jeffreys' posterior, drawn independently."""
    right, all_of = confusion.diagonal(), confusion.sum(axis=1)
    right, all_of = right[all_of > 0], all_of[all_of > 0]
    chance = np.random.default_rng(0)
    draws = chance.beta(right + 0.5, all_of - right + 0.5, (DRAWS, len(right))).mean(axis=1)
    return [float(end) for end in np.quantile(draws, (0.025, 0.975))]


def card(
    classifier: Path, certificate: Mapping[str, Any], front: Mapping[str, Any], use: str, examples: Sequence[str] = ()
) -> str:
    """A README in English and Korean below the front matter ``front``.

    Args:
        use: a block of code that shows how it is used.
        examples: files of pictures beside the card.
    """
    known = passport(classifier)
    head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items())
    parts = [_written(WORDS[language], known, certificate, use, examples) for language in ("en", "ko")]
    return f"---\n{head}\n---\n\n" + "\n\n---\n\n".join(parts) + "\n"


def model_front(classifier: Path, examples: Sequence[str] = ()) -> dict[str, Any]:
    """The front matter by which a model hub knows what it has."""
    known = passport(classifier)
    licence, title = known["licence"], str(known["data"]["title"] or "pictures")
    front: dict[str, Any] = {
        "license": licence if licence in KNOWN else "other",
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "language": ["en", "ko"],
        "tags": ["image-classification", "timm", "transfer-learning", "transfer-zoo", "onnx"],
    }
    if examples:
        front["widget"] = [{"src": name, "example_title": f"Example {n}"} for n, name in enumerate(examples, 1)]
    if known["metrics"]:
        row = {"type": "accuracy", "value": known["metrics"]["accuracy"]["value"], "name": "Accuracy on the test part"}
        task, data = {"type": "image-classification"}, {"name": title, "type": "imagefolder", "split": "test"}
        front["model-index"] = [{"name": title, "results": [{"task": task, "dataset": data, "metrics": [row]}]}]
    return front


def plain(text: object) -> str:
    """``text`` from a stranger, as Markdown that shows it letter for letter."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$&@:])", r"\\\1", " ".join(str(text).split()))


def _written(
    say: Mapping[str, str], known: Mapping[str, Any], certificate: Mapping[str, Any], use: str, examples: Sequence[str]
) -> str:
    data, parts = known["data"], known["data"]["parts"] or {}
    shown = [plain(label) for label in known["classes"][:100]]
    pictures = " ".join(f"![]({name})" for name in examples)
    lines = [
        say["title"].format(title=plain(data["title"])),
        say["what"].format(count=len(known["classes"]), backbone=plain(known["backbone"]["id"])),
        " ".join(say[promise] for promise in known["promises"]),
        pictures,
        f"## {say['use']}",
        use,
        f"## {say['right']}",
        _table(say, known["metrics"]),
        f"## {say['same']}",
        say["parity"].format(**certificate),
        f"## {say['data']}",
        say["split"].format(
            pictures=data["pictures"],
            fingerprint=data["fingerprint"],
            split=data["split"],
            seed=known["seed"],
            **{"train": 0, "select": 0, "calibration": 0, "test": 0} | parts,
        ),
        f"{say['classes']}: {', '.join(shown)}.",
        f"## {say['limits']}",
        say["limit_text"],
        f"## {say['licence']}",
        say["lineage"].format(
            backbone=plain(known["backbone"]["id"]),
            licence=plain(known["licence"]),
            theirs=known["backbone"]["weights"],
            ours=known["weights"],
        ),
        f"## {say['again']}",
        f"`{json.dumps(known['plan'])}`",
        ", ".join(f"{name} {version}" for name, version in (known["versions"] or {}).items()),
    ]
    return "\n\n".join(line for line in lines if line)


def _table(say: Mapping[str, str], found: Mapping[str, Any]) -> str:
    if not found:
        return say["unmeasured"]
    rows = [(say[name], found[name]) for name in OVERALL if name in found]
    rows += [
        (f"{say[name]}: {plain(label)}", one) for name in BY_CLASS for label, one in (found.get(name) or {}).items()
    ]
    lines = [f"| {say['measure']} | {say['value']} | {say['interval']} |", "|---|---|---|"]
    for name, one in rows:
        low, high = one["interval"] or (None, None)
        span = "–" if low is None else f"{low:.3f} … {high:.3f}"
        lines.append(f"| {name} | {one['value']:.3f} | {span} |")
    return say["on"].format(n=found["n"]) + "\n\n" + "\n".join(lines)
