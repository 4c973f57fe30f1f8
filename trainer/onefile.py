"""A classifier as one ONNX file: a picture of any size goes in, calibrated probabilities and its novelty come out.

Resize, crop and normalisation, the network, the temperature and the gate for unknown pictures are inside; labels, the
threshold of prediction sets and the passport are in its notes. ``trainer.served`` answers with it, exports hand it out.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.networks import last_layer
from trainer.novelty import KEEN, Gate
from trainer.onegraph import FEATURES, OPSET, joined
from zoo import saved
from zoo.backbone import Preprocessing
from zoo.errors import BadExport
from zoo.store import read_json, write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

GATE = "gate.npz"
FORMAT = 1  # raised when what the file holds changes its meaning


def network(folder: Path) -> bytes:
    """The classifier saved in ``folder`` from ``pixels`` (1, 3, size, size) uint8 on, as ONNX.

    Outputs: ``probabilities`` (C,); ``novelty`` () where there is a gate, 1 at its threshold; ``features`` (D,).

    Raises:
        BadExport: this network cannot be written so; the message says why.
        BackboneUnavailable: the folder's network cannot be read.
    """
    facts = read_json(folder / saved.FACTS)
    model = saved.opened(folder, len(facts["classes"]))
    try:
        return _exported(model, saved.preprocessing(folder), gate(folder))
    except Exception as error:  # any network's own code runs in the exporter
        why = " ".join(str(error).split())[:200]
        raise BadExport(f"This network cannot be written as ONNX: {why}", "Export it as a folder.") from error


def build(folder: Path, body: bytes, path: Path) -> None:
    """Write the classifier saved in ``folder``, whose ``network`` is ``body``, as one file to ``path``.

    Raises:
        BadExport: it cannot be one file; the message says why.
    """
    whole = joined(saved.preprocessing(folder), body, notes(folder))
    write_bytes(path, whole.SerializeToString())


def gate(folder: Path) -> Gate | None:
    """The gate of the classifier saved in ``folder``; None where it was never calibrated."""
    found = Gate.load(folder / GATE)
    return found if found is not None and np.isfinite(found.threshold) else None


def notes(folder: Path) -> dict[str, Any]:
    """What the file says of itself besides its numbers."""
    facts = read_json(folder / saved.FACTS)
    title = (facts.get("passport") or {}).get("title") or folder.name
    return {
        "format": FORMAT,
        "title": " ".join(str(title).split())[:80],
        "labels": facts["classes"],
        "set_threshold": facts.get("set_threshold"),
        "gate": gate(folder) is not None,
        "preprocessing": facts["preprocessing"],
        "test": facts.get("test"),
        "passport": facts.get("passport"),
    }


def _exported(model: nn.Module, prepared: Preprocessing, known: Gate | None) -> bytes:
    """By torch's older exporter: it takes a tenth of the newer one's time and needs no package more."""
    import torch

    content = io.BytesIO()
    outputs = ["probabilities", *(["novelty"] if known else []), FEATURES]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that it is the older exporter, and that constants become constants
        torch.onnx.export(
            answering(model, prepared, known),
            (torch.zeros((1, 3, prepared.size, prepared.size), dtype=torch.uint8),),
            content,  # type: ignore[arg-type]  # a file, as the older exporter takes
            dynamo=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=outputs,
        )
    return content.getvalue()


def answering(model: nn.Module, prepared: Preprocessing, known: Gate | None) -> nn.Module:
    """``model`` with what is around it, as one torch module of (1, 3, size, size) uint8."""
    import torch

    class Answering(torch.nn.Module):
        mean: torch.Tensor
        std: torch.Tensor
        whiten: torch.Tensor
        middle: torch.Tensor
        means: torch.Tensor
        voice: torch.Tensor
        offset: torch.Tensor
        kept: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.head = last_layer(model)
            self.register_buffer("mean", torch.tensor(prepared.mean).view(1, 3, 1, 1) * 255)
            self.register_buffer("std", torch.tensor(prepared.std).view(1, 3, 1, 1) * 255)
            if known is not None:
                middle = known.means.mean(axis=0)  # near the rows: single precision is enough for what is left
                self.register_buffer("whiten", torch.from_numpy(known.whiten))
                self.register_buffer("middle", torch.from_numpy(middle))
                self.register_buffer("means", torch.from_numpy(known.means - middle))
                self.register_buffer("voice", torch.from_numpy(known.voice))
                self.register_buffer("offset", torch.from_numpy(known.offset))
                self.register_buffer("kept", torch.from_numpy(np.ascontiguousarray(known.kept.T)))

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = (pixels.float() - self.mean) / self.std
            features = self.model.forward_features(x)  # type: ignore[operator]
            rows = self.model.forward_head(features, pre_logits=True).flatten(1).float()  # type: ignore[operator]
            sure = self.head(rows).softmax(dim=1)[0]
            return (sure, rows[0]) if known is None else (sure, self.novelty(rows), rows[0])

        def novelty(self, rows: torch.Tensor) -> torch.Tensor:
            """``Gate.distance``, 1 at the threshold."""
            assert known is not None
            if known.roots:
                rows = rows.sign() * rows.abs().sqrt()
            rows = rows / (rows * rows).sum(dim=1, keepdim=True).sqrt().clamp(min=1e-30)
            gaps = rows @ self.whiten - self.middle - self.means  # (C, k)
            said = (rows @ self.voice + self.offset).max()
            far = (gaps * gaps).sum(dim=1).min().sqrt() - said
            if known.roots:
                near = KEEN * (rows @ self.kept - 1)
                most = near.max()
                far = far - known.share * (most + (near - most).exp().mean().log())
            return far.clamp(min=0) / known.threshold

    return Answering().cpu().eval()
