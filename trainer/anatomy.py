"""What lies before and behind each tap of a backbone: shares of its arithmetic, and how much its activations hold.

Counted on the network when a run has it before it, and remembered, so that a plan can be told without torch.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.backbone import Card
from zoo.settings import Settings
from zoo.store import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

PICTURES = 4  # that a network is timed with
BEHIND = 0.2  # share of the seconds of a forward pass that the part behind a deep cut should be near


@dataclass(frozen=True)
class Anatomy:
    """Of each tap but the last, first to last.

    Attributes:
        before: share of a forward pass's time that runs up to it.
        numbers: how many its activations are for one picture.
        kept: how many numbers all layers behind it give for one picture, which training keeps for its way back.
        whole: how many all layers give.
    """

    before: tuple[float, ...]
    numbers: tuple[int, ...]
    kept: tuple[int, ...]
    whole: int

    def deep(self) -> int:
        """The tap whose rest is nearest to a fifth of the network, by time."""
        return min(range(len(self.before)), key=lambda tap: abs(1 - self.before[tap] - BEHIND))

    def early(self) -> int:
        """The tap nearest to a third of the depth."""
        return max(0, round(len(self.before) / 3) - 1)


def told(card: Card) -> Anatomy:
    """The same on every machine: as written down for the embedded backbones, else guessed from the card."""
    return EMBEDDED.get(card.id) or _guessed(card)


def known(card: Card, settings: Settings) -> Anatomy:
    """As told, or as measured by an earlier run where it would have to be guessed."""
    row: Any = None if card.id in EMBEDDED else read_json(_path(card, settings))
    try:
        return Anatomy(tuple(row["before"]), tuple(row["numbers"]), tuple(row["kept"]), int(row["whole"]))
    except (KeyError, TypeError):
        return told(card)


def learn(network: nn.Module, card: Card, settings: Settings) -> None:
    """Measure what would have to be guessed the next time; ``network`` is whole, with its last layer."""
    if card.id not in EMBEDDED and not _path(card, settings).is_file():
        measured(network, card, settings)


def measured(network: nn.Module, card: Card, settings: Settings) -> Anatomy:
    """Timed in one forward pass of ``network``, whole and with its last layer, and remembered."""
    import torch

    from zoo.truncated import place_of

    marks: list[tuple[float, int]] = []  # seconds, numbers of the activations
    leaves: list[tuple[float, int]] = []
    size, count = card.preprocessing.size, len(card.taps) - 1
    x = torch.rand(PICTURES, 3, size, size).to(next(network.parameters()).device)

    def note(into: list[tuple[float, int]]) -> Any:
        def told(_module: nn.Module, _given: object, made: Any) -> None:
            made = made[0] if isinstance(made, tuple) else made
            if isinstance(made, torch.Tensor):
                into.append((time.perf_counter(), made.numel() // PICTURES))

        return told

    with torch.inference_mode():
        network.eval()(x)  # the first pass also makes room for what it computes
        hooks = [
            module.register_forward_hook(note(leaves)) for module in network.modules() if not list(module.children())
        ]
        hooks += [
            network.get_submodule(place_of(network, tap)).register_forward_hook(note(marks)) for tap in range(count)
        ]
        begun = time.perf_counter()
        network(x)
        took = time.perf_counter() - begun
    for hook in hooks:
        hook.remove()
    before = [min(1.0, (at - begun) / took) for at, _ in marks]
    kept = [sum(numbers for then, numbers in leaves if then >= at) for at, _ in marks]
    whole = sum(numbers for _, numbers in leaves)
    sizes = tuple(numbers for _, numbers in marks)
    found = Anatomy(tuple(round(share, 3) for share in before), sizes, tuple(kept), whole)
    if len(marks) == count:
        write_json(_path(card, settings), asdict(found))
        return found
    return _guessed(card)


def _path(card: Card, settings: Settings) -> Path:
    key = hashlib.sha256(json.dumps([card.id, card.revision, card.taps, card.preprocessing.size]).encode())
    return settings.home / "cards" / f"anatomy-{key.hexdigest()[:24]}.json"


def _guessed(card: Card) -> Anatomy:
    """Equal shares, as transformers have, and activations of a common size."""
    count = max(len(card.taps) - 1, 1)
    before = tuple((tap + 1) / (count + 1) for tap in range(count))
    numbers = round(card.dim * (card.preprocessing.size / 16) ** 2)
    whole = 12 * numbers * count
    return Anatomy(before, (numbers,) * count, tuple(round(whole * (1 - share)) for share in before), whole)


EMBEDDED = {  # timed on two CPU cores
    "embedded/tf_efficientnet_lite0": Anatomy(
        before=(0.09, 0.36, 0.52, 0.61, 0.77, 0.92, 0.97),
        numbers=(200_704, 75_264, 31_360, 15_680, 21_952, 9_408, 15_680),
        kept=(21_225_446, 11_967_974, 8_323_942, 5_846_502, 2_744_998, 689_350, 190_726),
        whole=25_038_822,
    ),
    "embedded/tf_efficientnet_lite1": Anatomy(
        before=(0.06, 0.38, 0.51, 0.62, 0.77, 0.93, 0.97),
        numbers=(230_400, 86_400, 36_000, 18_000, 25_200, 12_288, 20_480),
        kept=(33_986_998, 18_866_998, 12_811_798, 9_031_798, 4_160_998, 899_590, 248_326),
        whole=38_364_598,
    ),
    "embedded/tf_efficientnet_lite2": Anatomy(
        before=(0.05, 0.32, 0.47, 0.58, 0.75, 0.94, 0.97),
        numbers=(270_400, 101_400, 52_272, 25_432, 34_680, 16_848, 28_512),
        kept=(43_761_598, 26_016_598, 17_814_214, 12_413_470, 5_678_614, 1_207_846, 313_606),
        whole=48_899_198,
    ),
    "embedded/tf_efficientnet_lite2_384": Anatomy(
        before=(0.10, 0.58, 0.72, 0.79, 0.88, 0.96, 0.98),
        numbers=(589_824, 221_184, 110_592, 50_688, 69_120, 29_952, 50_688),
        kept=(90_711_046, 52_003_846, 34_530_310, 23_650_822, 10_227_718, 2_145_286, 555_526),
        whole=101_917_702,
    ),
}
