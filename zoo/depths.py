"""Where a network of timm's is read: behind every stage, and behind blocks inside of stages that hold several.

timm by itself tells of four or five depths of most networks, too few to see at which one pictures are served best.
This module imports torch: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import nn

MOST = 11  # depths before the last one: more say little more, and each takes a probe
STAGED = ("EfficientNet", "MobileNetV3")  # families of timm's whose intermediates are chosen by ``stage_ends``
BLOCKS = ("ResNet", "ConvNeXt", "RegNet")  # those whose stages are chains of blocks that give (B, C, H, W)


def finer(model: nn.Module) -> nn.Module:
    """``model``, readable at more depths where it is of a family that is known here; others stay as they are."""
    made: Any = model
    told = getattr(made, "feature_info", None)
    if not isinstance(told, list) or inside(model):
        return model
    kind = type(model).__name__
    if kind in STAGED:
        return _every_stage(made)
    found = _blocks(made, told) if kind in BLOCKS else _activations(made, told) if kind == "VGG" else []
    return read_at(model, thinned(found, [entry["module"] for entry in told])) if len(found) > len(told) else model


def inside(model: nn.Module) -> bool:
    """Whether ``model`` is read inside its stages, as ``read_at`` makes it."""
    return "forward_intermediates" in vars(model)


def read_at(model: nn.Module, entries: Sequence[dict[str, Any]]) -> nn.Module:
    """``model``, its intermediates what the modules named by ``entries`` give, first to last."""
    made: Any = model
    made.feature_info = list(entries)
    made.__dict__["forward_intermediates"] = MethodType(_intermediates, made)
    made.__dict__["prune_intermediate_layers"] = MethodType(_pruned, made)
    return model


def drop_after(body: nn.Module, name: str) -> None:
    """Replace every module that runs after ``name`` by nothing, as far as order of definition is order of running."""
    for parent, child in _path(body, name):
        later = list(parent.named_children())
        names = [key for key, _ in later]
        for key in names[names.index(child) + 1 :]:
            if isinstance(parent, nn.ModuleList):
                del parent[names.index(child) + 1 :]
                break
            setattr(parent, key, nn.Identity())


class _Seen(Exception):
    """Every depth asked for was reached; nothing behind it need run."""


def _intermediates(
    model: Any,
    x: torch.Tensor,
    indices: Sequence[int] | None = None,
    stop_early: bool = False,
    intermediates_only: bool = False,
) -> Any:
    """As timm's ``forward_intermediates``: what ``forward_features`` gives, and the depths, in one pass."""
    names = [model.feature_info[index]["module"] for index in indices or range(len(model.feature_info))]
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def told(_module: nn.Module, _given: object, made: torch.Tensor) -> None:
            seen[name] = made
            if stop_early and intermediates_only and len(seen) == len(names):
                raise _Seen

        return told

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    final = None
    try:
        final = model.forward_features(x)
    except _Seen:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    taps = [seen[name] for name in names]
    return taps if intermediates_only else (final, taps)


def _pruned(model: Any, indices: Sequence[int], prune_norm: bool = False, prune_head: bool = True) -> list[int]:  # noqa: ARG001 - timm's own
    """As timm's ``prune_intermediate_layers``: what comes after the deepest of ``indices`` is gone."""
    last = max(indices)
    drop_after(model, model.feature_info[last]["module"])
    model.feature_info = model.feature_info[: last + 1]
    return list(indices)


def _every_stage(made: Any) -> nn.Module:
    """timm names the last stage before each halving of the picture: two stages would lie between the last depths."""
    ends = {entry["module"]: entry["reduction"] for entry in made.feature_info}
    names = [f"blocks.{number}" for number in range(len(made.blocks))]
    if len(ends) == len(names) or names[-1] not in ends or not ends.keys() <= set(names):
        return made  # type: ignore[no-any-return]
    made.feature_info = [
        {
            "stage": number + 1,
            "module": name,
            "num_chs": made.blocks[number][-1].feature_info("bottleneck")["num_chs"],
            "reduction": next(ends[later] for later in names[number:] if later in ends),
        }
        for number, name in enumerate(names)
    ]
    made.stage_ends = [entry["stage"] for entry in made.feature_info]
    return made  # type: ignore[no-any-return]


def _blocks(model: nn.Module, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every block of every stage that is told of; what is no chain of blocks, such as the stem, stays one depth."""
    found = []
    for entry in told:
        stage = model.get_submodule(entry["module"])
        chain = entry["module"] + (".blocks" if hasattr(stage, "blocks") else "")
        children = [name for name, _ in model.get_submodule(chain).named_children()]
        blocks = [f"{chain}.{name}" for name in children if name.removeprefix("b").isdigit()]
        whole = blocks and len(blocks) == len(children)
        found += [entry | {"module": name, "end": name == blocks[-1]} for name in blocks] if whole else [entry]
    return found


def _activations(model: nn.Module, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every activation of VGG's one long chain, and the pooling at its end."""
    ends = {entry["module"]: entry for entry in told}
    chain = list(model.get_submodule("features").named_children())
    names = [f"features.{name}" for name, module in chain if isinstance(module, nn.ReLU)]
    names = sorted({*names, *ends}, key=lambda name: int(name.partition(".")[2]))
    return [ends.get(name, {}) | {"module": name, "end": name in ends} for name in names]


def thinned(found: list[dict[str, Any]], told: Sequence[str] = ()) -> list[dict[str, Any]]:
    """At most ``MOST`` of ``found``: the ends of stages, those ``told``, and of what lies between every so many."""
    keep = [index for index, entry in enumerate(found) if entry.get("end") or entry["module"] in told]
    rest = [index for index in range(len(found)) if index not in keep]
    room = max(MOST - len(keep), 0)
    if len(rest) > room:
        rest = [rest[(2 * number + 1) * len(rest) // (2 * room)] for number in range(room)]
    return [found[index] for index in sorted(keep + rest)]


def _path(body: nn.Module, name: str) -> list[tuple[nn.Module, str]]:
    """Each ancestor of the module ``name`` with the name of its child on the way there."""
    steps, parent = [], body
    for part in name.split("."):
        steps.append((parent, part))
        parent = parent.get_submodule(part)
    return steps
