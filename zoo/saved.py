"""A network's folder on disk, whichever library wrote it: what it is, read, and written.

timm's has an ``architecture`` in ``config.json``, transformers' a ``model_type``, torchvision's, which has no format of
its own, both the former and ``"library": "torchvision"``. One that ends at an earlier tap, and that no library can
build by itself, has ``"library": "truncated"``, a ``body`` described as above, and a ``load.py`` that needs no studio.
The weights are one ``model.safetensors``.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import weights
from zoo.backbone import Card, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.store import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"
FACTS = "studio.json"
ARGUMENTS = {"img_size", "global_pool", "dynamic_img_size", "in_chans"}  # others could name a file or a hub
ARGUMENTS |= {"depth", "final_norm", "layers", "channels"}  # of a network cut at an earlier tap
LOADERS = {
    "timm": ("timm", "transformers"),
    "transformers": ("transformers",),
    "torchvision": ("torchvision",),
    "truncated": ("load.py",),
}
COUNTED = 2  # raised when networks are read at other depths than before
SCRIPT = Path(__file__).with_name("load.py")
LARGEST = 1_000_000  # classes
MOST = 65_536  # of anything else that is counted in a description


def library(folder: Path) -> str:
    """Whose network it is: "timm", "transformers", "torchvision", or "truncated" for one of ``zoo.truncated``.

    Raises:
        BackboneUnavailable: nobody's whom the studio knows, or it asks for code, files or names outside.
    """
    config = weights.document(folder / CONFIG)
    if config.get("library") != "truncated":
        return _library(folder, config)
    body, taps = config.get("body"), config.get("taps")
    if not isinstance(body, dict) or not isinstance(taps, list) or not all(_modest(tap) for tap in taps):
        raise _refused(folder, "does not say which network it was cut from, and where")
    _library(folder, body)
    return "truncated"


def _library(folder: Path, config: dict[str, Any]) -> str:
    if isinstance(config.get("architecture"), str):
        kind = "torchvision" if config.get("library") == "torchvision" else "timm"
        arguments = config.get("model_args") or {}
        if not isinstance(arguments, dict) or not set(arguments) <= ARGUMENTS or not _modest(arguments):
            raise _refused(folder, "asks for more than a network of timm's own")
        return kind
    if isinstance(config.get("model_type"), str):
        return "transformers"
    raise _refused(folder, f"has no {CONFIG} that describes a network")


def _modest(value: Any) -> bool:
    """Whether every number in ``value`` is one that a network could have of anything."""
    if isinstance(value, dict):
        return all(_modest(part) for part in value.values())
    if isinstance(value, list):
        return all(_modest(part) for part in value)
    return not isinstance(value, (int, float)) or 0 <= value <= MOST


def opened(folder: Path, classes: int | None = None) -> nn.Module:
    """The whole network, its last layer for ``classes``, or for as many as it was saved with; random nowhere.

    Raises:
        BackboneUnavailable: it is not what it says, or nothing that the studio reads.
    """
    kind = library(folder)
    if kind == "transformers":
        from zoo import tokens

        return tokens.load(folder, classes or 0)
    config = weights.document(folder / CONFIG)
    state = weights.read(weights.weights_in(folder))
    count = classes or config.get("num_classes")
    if not isinstance(count, int) or not 0 < count < LARGEST:
        raise _refused(folder, "does not say how many classes it has")
    try:
        model = _built(folder, config, kind, count)
        if kind == "torchvision":
            model.take(state)  # type: ignore[operator]
        else:
            model.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, KeyError) as error:
        why = (str(error).splitlines() or [""])[-1].strip()[:160]
        raise _refused(folder, f"holds weights that do not fit it: {why}") from error
    return model


def skeleton(folder: Path) -> nn.Module:
    """The network built without memory, to count what it has; not one of transformers'."""
    import torch

    config = weights.document(folder / CONFIG)
    with torch.device("meta"):
        return _built(folder, config, library(folder), 2)


def preprocessing(folder: Path) -> Preprocessing:
    """How the network wants its pictures: as the studio noted beside it, else as its library does.

    Raises:
        BackboneUnavailable: neither says, or in a way that the studio does not do.
    """
    facts = weights.document(folder / FACTS)
    if facts:
        try:
            told = facts["preprocessing"]
            return checked(Preprocessing(**told | {name: tuple(told[name]) for name in ("mean", "std")}))
        except (KeyError, TypeError, ValueError) as error:
            raise _refused(folder, f"has a damaged {FACTS}") from error
    if library(folder) == "transformers":
        from zoo import tokens

        return tokens.preprocessing(folder)
    from zoo.network import preprocessing_of

    model: Any = skeleton(folder)
    noted = weights.document(folder / CONFIG).get("pretrained_cfg") or {}
    known = {key: noted[key] for key in _timm_names(Preprocessing(size=8)) if key in noted}
    model.pretrained_cfg = dict(getattr(model, "pretrained_cfg", {})) | known
    return preprocessing_of(model)


def licence(folder: Path) -> str:
    """What binds who uses it: from the studio's passport, the folder's own notes, or its model card."""
    passport = weights.document(folder / FACTS).get("passport")
    noted = weights.document(folder / CONFIG).get("pretrained_cfg")
    for row, key in ((passport, "licence"), (noted, "license")):
        if isinstance(row, dict) and isinstance(row.get(key), str):
            return str(row[key])[:40].lower()
    return weights.stated_licence(folder / "README.md")


def revision(folder: Path) -> str:
    """SHA-256 over the weights' and the configuration's, for both decide what features are."""
    parts = [weights.revision(weights.weights_in(folder)), hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def remembered(home: Path, key: str, make: Callable[[], Card]) -> Card:
    """The card that ``make`` counts, written down below ``home`` so that a listing needs no torch the next time."""
    path = home / "cards" / f"{key}-{COUNTED}.json"
    row = read_json(path)
    try:
        told = row["preprocessing"] | {name: tuple(row["preprocessing"][name]) for name in ("mean", "std")}
        return Card(**row | {"taps": tuple(row["taps"]), "preprocessing": Preprocessing(**told)})
    except (TypeError, KeyError):
        card = make()
        write_json(path, asdict(card))
        return card


def checked(told: Preprocessing) -> Preprocessing:
    """``told``, if a picture can be prepared so.

    Raises:
        ValueError: it cannot.
    """
    from zoo.network import RESAMPLING

    size: object = told.size  # a stranger's document may hold anything
    sides = isinstance(size, int) and 8 <= size <= 2048 and 0.1 < told.crop <= 1
    channels = min(len(told.mean), len(told.std)) == max(len(told.mean), len(told.std)) == 3
    if not sides or not channels or not all(told.std) or told.interpolation not in RESAMPLING:
        raise ValueError
    return told


def write(network: nn.Module, folder: Path, classes: tuple[str, ...], prepared: Preprocessing) -> None:
    """Write ``network`` into ``folder`` as its own library loads it, with names for its classes."""
    import torch

    network.cpu().eval().to(memory_format=torch.contiguous_format)
    body = getattr(network, "body", None)
    if body is None:
        _write_timm(network, folder, classes, prepared)
    elif hasattr(network, "taps"):
        _write_truncated(network, folder, classes, prepared)
    elif hasattr(body, "save_pretrained"):
        from zoo import tokens

        tokens.save(network, folder, classes, prepared)  # type: ignore[arg-type]
    else:
        from safetensors.torch import save_file

        config = {
            "architecture": network.architecture,
            "library": "torchvision",
            "num_classes": len(classes),
            "label_names": list(classes),
            "preprocessing": asdict(prepared),
        }
        write_json(folder / CONFIG, config)
        state = {name: value.contiguous() for name, value in network.named_state().items()}  # type: ignore[operator]
        save_file(state, folder / weights.WEIGHTS, metadata={"format": "pt"})


def _write_truncated(network: Any, folder: Path, classes: tuple[str, ...], prepared: Preprocessing) -> None:
    from safetensors.torch import save_file

    body = network.body
    config = {
        "library": "truncated",
        "body": _described(body),
        "modules": [body.feature_info[tap]["module"] for tap in network.taps] if _by_name(body) else [],
        "taps": list(network.taps),
        "last": network.last,
        "cut": network.cut,
        "num_features": network.num_features,
        "num_classes": len(classes),
        "label_names": list(classes),
        "preprocessing": asdict(prepared),
    }
    write_json(folder / CONFIG, config)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / weights.WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)


def _described(body: Any) -> dict[str, Any]:
    """What it takes to build ``body`` again."""
    if _torchvision(body):
        return {"library": "torchvision", "architecture": body.architecture}
    if hasattr(body, "body"):
        told: dict[str, Any] = body.body.config.to_dict()
        return told
    arguments = {key: value for key, value in getattr(body, "_model_args", {}).items() if key in ARGUMENTS}
    told = {"architecture": body.pretrained_cfg["architecture"], "model_args": arguments}
    ends = getattr(body, "stage_ends", None)
    return told | ({"stages": len(ends)} if ends and ends == list(range(1, len(ends) + 1)) else {})


def _by_name(body: Any) -> bool:
    """Whether the taps of ``body`` are what modules of some names give, not numbered by its own library."""
    from zoo.depths import inside

    return _torchvision(body) or inside(body) or getattr(body, "within", False)


def _torchvision(body: Any) -> bool:
    return hasattr(body, "body") and not hasattr(body.body, "config")


def _write_timm(network: nn.Module, folder: Path, classes: tuple[str, ...], prepared: Preprocessing) -> None:
    from timm.models import save_for_hf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_for_hf(
            network,
            str(folder),
            safe_serialization=True,
            model_config={"label_names": list(classes), "num_classes": len(classes)},
        )
    config = weights.document(folder / CONFIG)
    config.get("model_args", {}).pop("num_classes", None)  # transformers would pass it twice
    config["pretrained_cfg"] |= _timm_names(prepared) | {"num_classes": len(classes)}
    write_json(folder / CONFIG, config)


def _built(folder: Path, config: dict[str, Any], kind: str, classes: int) -> nn.Module:
    import timm

    if kind == "truncated":
        return _rebuilt(folder, config, classes)
    if kind == "transformers":
        from zoo import tokens

        return tokens.Tokens(tokens.create(tokens.checked_config(folder, config)))
    name = config["architecture"]
    if kind == "torchvision":
        from zoo.vision import create

        return create(name, classes)
    if not timm.is_model(name):
        raise _refused(folder, f"describes {name[:60]!r}, which timm does not have")
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **config.get("model_args") or {})
    return model


def _rebuilt(folder: Path, config: dict[str, Any], classes: int) -> nn.Module:
    from zoo.depths import finer
    from zoo.truncated import rebuilt

    body, dim = config["body"], config.get("num_features")
    if not isinstance(dim, int) or not 0 < dim < LARGEST:
        raise _refused(folder, "does not say how many features it has")
    whole = _built(folder, body, _library(folder, body), 2)
    if "stages" in body:  # written since taps are at every stage
        finer(whole)
    taps = _readable(folder, whole, config)
    return rebuilt(whole, taps, bool(config.get("last")), bool(config.get("cut")), dim, classes)


def _readable(folder: Path, whole: Any, config: dict[str, Any]) -> Sequence[int]:
    """The taps' numbers, ``whole`` made readable at them: modules of some names, or as its library numbers them."""
    from zoo.depths import read_at

    modules, tokens = config.get("modules"), hasattr(whole, "read_by_number")
    if tokens and not modules:
        whole.read_by_number()
    if not modules or (hasattr(whole, "body") and not tokens):
        found: list[int] = config["taps"]
        return found
    known = dict((whole.body if tokens else whole).named_modules())
    if not isinstance(modules, list) or any(name not in known for name in map(str, modules)):
        raise _refused(folder, "is read at modules that its network does not have")
    entries = [{"module": str(name)} for name in modules]
    _ = whole.read_at(entries) if tokens else read_at(whole, entries)
    return range(len(modules))


def _timm_names(prepared: Preprocessing) -> dict[str, Any]:
    size = prepared.size
    return {
        "input_size": [3, size, size],
        "interpolation": prepared.interpolation,
        "crop_pct": prepared.crop,
        "crop_mode": "squash" if prepared.squash else "center",
        "mean": list(prepared.mean),
        "std": list(prepared.std),
    }


def _refused(folder: Path, why: str) -> BackboneUnavailable:
    return BackboneUnavailable(f"{folder.name[:80]!r} {why}.", "Use one that the studio, timm or transformers wrote.")
