"""Low-rank additions to a transformer's linear layers are trained, by peft, and merged into the weights at the end.

The network keeps its weights; each linear layer inside its blocks gets a product of two thin matrices beside it (Hu et
al., ICLR 2022). What comes out is a plain network again, so that a classifier needs no peft.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trainer.events import Event, Noted
from trainer.job import Job, Trained
from trainer.plan import Plan
from trainer.probed import probed, trained
from zoo.backbone import Card
from zoo.errors import BadPlan

if TYPE_CHECKING:
    from torch import nn

INSTALL = "Run: pip install peft, or choose the strategy last_blocks."
CONVOLUTIONAL = (  # families known to have no attention; of others the network itself tells
    *(
        "EfficientNet",
        "MobileNet",
        "ResNet",
        "RegNet",
        "DenseNet",
        "VGG",
        "ConvNe",
        "GoogLeNet",
        "AlexNet",
        "Inception",
    ),
    *("NormFreeNet", "Byob", "Bit"),
)


class Lora:
    """The strategy ``lora``."""

    name = "lora"
    title = "Train low-rank additions (LoRA)"
    why = "Large vision transformers on a GPU: few weights learn, so it takes little memory and overfits less."

    def check(self, card: Card, plan: Plan) -> None:
        """What can be said before the start.

        Raises:
            BadPlan: peft is not installed, or the backbone has nothing that it could be added to.
        """
        if card.family.startswith(CONVOLUTIONAL):
            raise BadPlan(f"{card.name} is a convolutional network, and LoRA is for transformers.", "Try last_blocks.")
        if importlib.util.find_spec("peft") is None:
            raise BadPlan("LoRA needs the package peft, which is not installed here.", INSTALL)

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        from trainer.finetune import finetune

        self.check(job.card, job.plan)
        network = yield from probed(job)
        if network is None:
            return
        _adapted(network, job)
        yield Noted(step=0, message=_said(network))
        learned = yield from finetune(job, network)
        if learned is not None:
            yield trained(job, _merged(learned))


def linear_layers(network: nn.Module) -> list[str]:
    """Names of the linear layers inside the blocks that have attention.

    Raises:
        BadPlan: there are none.
    """
    from torch import nn

    blocks = [
        name.rpartition(".")[0]
        for name, module in network.named_modules()
        if "Attention" in type(module).__name__ and any(isinstance(part, nn.Linear) for part in module.modules())
    ]
    found = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and any(name.startswith(f"{block}.") for block in blocks if block)
    ]
    if not found:
        raise BadPlan(f"{type(network).__name__} has no attention, and LoRA is for transformers.", "Try last_blocks.")
    return found


def _adapted(network: nn.Module, job: Job) -> None:
    """Add the matrices; they and the last layer alone require gradients from then on."""
    peft: Any = importlib.import_module("peft")  # which is installed by those who want it
    plan = job.plan
    chosen = linear_layers(network)
    network.requires_grad_(False)
    knobs: dict[str, Any] = {"r": plan.lora_rank, "lora_alpha": plan.lora_alpha, "lora_dropout": plan.lora_dropout}
    config = peft.LoraConfig(target_modules=chosen, **knobs)
    peft.inject_adapter_in_model(config, network)
    network.get_classifier().requires_grad_(True)  # type: ignore[operator]


def _merged(network: nn.Module) -> nn.Module:
    """``network`` with each addition added to the layer it stood beside."""
    kind: Any = importlib.import_module("peft.tuners.tuners_utils").BaseTunerLayer
    layers: list[tuple[str, Any]] = [
        (name, module) for name, module in network.named_modules() if isinstance(module, kind)
    ]
    for name, layer in layers:
        layer.merge()
        network.set_submodule(name, layer.get_base_layer())
    return network.requires_grad_(False).eval()


def _said(network: nn.Module) -> str:
    every = sum(parameter.numel() for parameter in network.parameters())
    learning = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return f"{learning / 1e6:.2f} of {every / 1e6:.1f} million weights are trained."


STRATEGY = Lora()
