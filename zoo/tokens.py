"""Image classifiers and backbones of transformers: checked, read without their own code, with timm's few methods.

A network is always built as transformers' own ``…ForImageClassification``, so what its last layer reads is what that
library says: the class token in ViT, class token and patch mean in DINOv2, the patch mean in CLIP and SigLIP.
This module imports torch: import it inside functions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo import weights
from zoo.backbone import Card, Preprocessing
from zoo.depths import thinned
from zoo.errors import BackboneUnavailable
from zoo.load import first, patches
from zoo.network import crop_for
from zoo.vision import Headed

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
TYPES = (
    "beit", "bit", "clip", "clip_vision_model", "convnext", "convnextv2", "data2vec-vision", "deit", "dinov2",
    "dinov2_with_registers", "focalnet", "hiera", "ijepa", "mobilenet_v1", "mobilenet_v2", "mobilevit", "mobilevitv2",
    "pvt", "pvt_v2", "regnet", "resnet", "segformer", "siglip", "siglip_vision_model", "swin", "swinv2", "vit",
    "vit_msn",
)  # fmt: skip
TOWERS = {"clip_vision_model": "clip", "siglip_vision_model": "siglip"}  # inside the model of which they are a part
TOWER = "vision_model."
OWN_CODE = {"auto_map", "custom_pipelines"}
ELSEWHERE = {"quantization_config", "base_model_name_or_path", "use_timm_backbone"}
LOADER = {"attn_implementation", "_attn_implementation", "_attn_implementation_internal", "dtype", "torch_dtype"}
CHAINS = ("layers", "blocks")  # what a stage calls the blocks that it is made of
LARGEST, DEEPEST = 1_000_000, 512  # numbers in a config; layers of a network
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


class Tokens(Headed):
    """A ``…ForImageClassification`` of transformers.

    Attributes:
        within: it is read at blocks inside its stages, which ``feature_info`` names, not at its hidden states.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__(body, ())
        self.within = False
        if entries := thinned(self._inner()):
            self.read_at(entries)

    def read_at(self, entries: Sequence[dict[str, Any]]) -> Tokens:
        """Read it at what the modules named by ``entries`` give."""
        self.feature_info, self.within = list(entries), True
        return self

    def read_by_number(self) -> None:
        """Read it at its hidden states, as transformers numbers them."""
        self.feature_info, self.within = [], False

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(pixel_values=x).logits  # type: ignore[no-any-return]

    def forward_intermediates(
        self, x: torch.Tensor, intermediates_only: bool = False
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """As in ``Headed``; tokens become a map of one column, without the class token and registers."""
        if self.within:
            final, maps = super().forward_intermediates(x)
            return final, [patches(first(made)) for made in maps]
        made = self.body(pixel_values=x, output_hidden_states=True)
        taps = [patches(state) for state in made.hidden_states]
        if not self.feature_info:
            self.feature_info = [{"module": f"stages.{i}" if i else "embeddings"} for i in range(len(taps))]
        return made.logits, taps

    def blocks(self) -> list[str]:
        """The topmost list of layers: blocks of a transformer, stages of a convolutional network."""
        for name, module in self.body.named_modules():
            if isinstance(module, nn.ModuleList) and any(True for _ in module.parameters()):
                return [f"{name}.{index}" for index in range(len(module))]
        return []

    def _inner(self) -> list[dict[str, Any]]:
        """Every block of every stage, where stages are what its layers are and hold several blocks."""
        stages, found = self.blocks(), list[dict[str, Any]]()
        for stage in stages:
            chain = next((key for key, part in self.body.get_submodule(stage).named_children() if key in CHAINS), "")
            inside = [name for name, _ in self.body.get_submodule(stage).get_submodule(chain).named_children()]
            names = [f"{stage}.{chain}.{name}" for name in inside] if chain else []
            found += [
                {"module": name, "name": name.partition("encoder.")[2], "end": name == names[-1]} for name in names
            ]
        return found if len(found) > len(stages) and all(entry["name"] for entry in found) else []

    def whole(self) -> Any:
        """A copy as transformers knows it, its last layer in place."""
        body = copy.deepcopy(self.body)
        body.set_submodule(self.place, copy.deepcopy(self.head))
        return body


def create(config: Any, classes: int = 2) -> Any:
    """transformers' classifier of ``config``, built without running anybody's code, random weights."""
    from transformers import AutoModelForImageClassification

    config = copy.deepcopy(config)
    config.num_labels = classes
    return AutoModelForImageClassification.from_config(config, trust_remote_code=False)


def checked_config(folder: Path, given: dict[str, Any] | None = None) -> Any:
    """The configuration of a stranger's folder; ``given`` where it is written elsewhere than in its own file.

    Raises:
        BackboneUnavailable: it needs code of its own, other files, or is no image network that the studio knows.
    """
    from transformers import CONFIG_MAPPING

    row, processor = given or weights.document(folder / CONFIG), weights.document(folder / PROCESSOR)
    keys = {key for key, _ in (*_entries(row), *_entries(processor))}
    if keys & OWN_CODE:
        raise _refused(folder, "brings code of its own, which is never run")
    if keys & ELSEWHERE or (folder / "adapter_config.json").exists():
        raise _refused(folder, "is not a whole network in plain numbers")
    kind = row.get("model_type")
    if kind not in TYPES:
        raise _refused(folder, f"is of type {str(kind)[:40]!r}, which is no image classifier or backbone known here")
    for key, value in _entries(row):
        deep = "layers" in key or key == "depths"
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > (DEEPEST if deep else LARGEST):
            raise _refused(folder, f"describes a network of impossible size ({key[:40]})")
    plain = {key: value for key, value in row.items() if key not in LOADER}
    try:
        config: Any = CONFIG_MAPPING[kind].from_dict(plain)
        whole: Any = CONFIG_MAPPING[TOWERS.get(kind, kind)]
        return whole(vision_config=config.to_dict()) if kind in TOWERS else config
    except Exception as error:  # whatever transformers makes of a stranger's document
        raise _refused(folder, f"is described wrongly: {_first_line(error)}") from error


def preprocessing(folder: Path) -> Preprocessing:
    """The studio's words for ``preprocessor_config.json``, its defaults filled in by transformers.

    Raises:
        BackboneUnavailable: there is none, or it prepares pictures in a way the studio does not.
    """
    from transformers import AutoImageProcessor

    if not weights.document(folder / PROCESSOR):
        raise _refused(folder, f"has no {PROCESSOR}, so nobody knows how to show it pictures")
    try:
        said = AutoImageProcessor.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        return _translated(said)
    except BackboneUnavailable:
        raise
    except Exception as error:  # as above
        raise _refused(folder, f"has a {PROCESSOR} that cannot be followed: {_first_line(error)}") from error


def _translated(said: Any) -> Preprocessing:
    name, size, crop_size = type(said).__name__, said.size, getattr(said, "crop_size", None)
    short = size.get("shortest_edge")
    if name.startswith("Levit") or not said.do_resize or abs(said.rescale_factor * 255 - 1) > 1e-6:
        raise ValueError("it does more than resize, crop and normalise")
    pct = getattr(said, "crop_pct", None) if name.startswith(("ConvNext", "PoolFormer")) else None
    squash, side = short is None, short
    if pct is not None and short and short < 384:
        crop, side = short, int(short / pct)
    elif pct is not None:
        crop, squash = short, True
    elif said.do_center_crop and crop_size is not None:
        crop, side = crop_size["height"], side or size["height"]
    else:
        crop = side = side or size["height"]
        if not squash:
            raise ValueError("it does not crop to a square")
    if (squash and short is None and size["height"] != size["width"]) or not 8 <= crop <= side <= 2048:
        raise ValueError("its pictures are no squares of a usual size")
    mean, std = (said.image_mean, said.image_std) if said.do_normalize else ((0, 0, 0), (1, 1, 1))
    return Preprocessing(
        size=crop,
        crop=crop_for(crop, side),
        interpolation=RESAMPLE[int(said.resample)],
        mean=_three(mean),
        std=_three(std),
        squash=squash,
    )


def measured(card: Card, folder: Path) -> Card:
    """``card`` with the facts counted on the network built without memory.

    Raises:
        BackboneUnavailable: it cannot be built, or not for pictures of the size it asks for.
    """
    from zoo.network import counted

    with torch.device("meta"):
        model = _built(folder)
    try:
        return counted(card, model)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise _refused(folder, f"cannot be read at every depth: {_first_line(error)}") from error


def load(folder: Path, classes: int = 0) -> Tokens:
    """The network in ``folder``: with its own last layer for that many ``classes``, or without one for 0.

    Raises:
        BackboneUnavailable: the weights are not those of what the folder describes.
    """
    path = weights.weights_in(folder)
    held = sum(math.prod(shape) for shape in weights.shapes(path).values())
    with torch.device("meta"):
        model = _built(folder, classes)
    needed = sum(parameter.numel() for parameter in model.body.parameters())
    if needed > held * 1.05 + 1000:
        raise _refused(folder, f"describes {needed:,} weights and holds {held:,}")
    state = weights.read(path)
    if not classes:
        state = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    if weights.document(folder / CONFIG)["model_type"] in TOWERS and not any(key.startswith(TOWER) for key in state):
        state = {TOWER + key: value for key, value in state.items()}
    config = checked_config(folder)
    config.num_labels = classes or 2
    builder: Any = type(model.body)
    _quiet()
    try:
        body, found = builder.from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
        )
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise _refused(folder, f"holds weights that do not fit it: {_first_line(error)}") from error
    missing = sorted(key for key in found["missing_keys"] if classes or not key.startswith("classifier."))
    if missing or found["mismatched_keys"]:
        lacking = [*missing, *(str(row) for row in found["mismatched_keys"])]
        raise _refused(
            folder, f"holds weights that do not fit it: {len(lacking)} are missing, such as {lacking[0][:80]}"
        )
    return Tokens(body.eval())


def save(network: Tokens, folder: Path, classes: tuple[str, ...], prepared: Preprocessing) -> None:
    """Write what ``transformers.pipeline("image-classification", folder)`` loads."""
    from transformers import CLIPImageProcessor

    _quiet()
    body = network.whole()
    config = body.config
    config.id2label = dict(enumerate(classes))
    config.label2id = {label: index for index, label in enumerate(classes)}
    body.save_pretrained(folder)
    side = math.floor(prepared.size / prepared.crop)
    resample = next(number for number, name in RESAMPLE.items() if name == prepared.interpolation)
    CLIPImageProcessor(
        size={"height": side, "width": side} if prepared.squash else {"shortest_edge": side},
        crop_size={"height": prepared.size, "width": prepared.size},
        resample=resample,
        image_mean=list(prepared.mean),
        image_std=list(prepared.std),
    ).save_pretrained(folder)


def _quiet() -> None:
    """No progress bars of transformers' own: a command's output is a document, its errors one line."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _built(folder: Path, classes: int = 0) -> Tokens:
    try:
        return Tokens(create(checked_config(folder), classes or 2))
    except BackboneUnavailable:
        raise
    except Exception as error:  # transformers' own code, on a stranger's numbers
        raise _refused(folder, f"cannot be built: {_first_line(error)}") from error


def _entries(row: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON document with each of its plain values."""
    for key, value in row.items() if isinstance(row, dict) else ():
        for part in value if isinstance(value, list) else (value,):
            yield str(key), part
            yield from _entries(part)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _refused(folder: Path, why: str) -> BackboneUnavailable:
    return BackboneUnavailable(f"{folder.name[:80]!r} {why}.", "Choose another backbone.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
