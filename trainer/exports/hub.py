"""A model repository on a hub: the folder, the one file and a model card, pushed in one commit.

The token is the one that Hugging Face's library finds (HF_TOKEN, or a login); it is never kept or told by the studio.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from trainer.card import card, model_front
from trainer.parcel import examples, result, verified_file
from trainer.proof import Order
from zoo import saved
from zoo.errors import BadExport
from zoo.store import write_bytes

FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "studio.json", "gate.npz")
NAME = re.compile(r"\w(?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?", re.ASCII)
USE = {
    "timm": """```python
import timm
model = timm.create_model("hf-hub:REPO", pretrained=True).eval()

from transformers import pipeline
pipeline("image-classification", "REPO")("picture.jpg")
```

`model.onnx` with `predict.py` needs neither: numpy, Pillow and onnxruntime suffice.""",
    "transformers": """```python
from transformers import pipeline
pipeline("image-classification", "REPO")("picture.jpg")
```

`model.onnx` with `predict.py` needs less: numpy, Pillow and onnxruntime suffice.""",
}
OTHERS = """```
python predict.py picture.jpg   # needs numpy, Pillow and onnxruntime
```"""


class Hub:
    """The export ``hub``."""

    name = "hub"
    title = "Repository on a hub"
    why = "For others to find and load it by name, with a model card; private unless you say otherwise."
    remote = True

    def write(self, order: Order) -> dict[str, Any]:
        if not NAME.fullmatch(order.to):
            raise BadExport(f"{order.to[:80]!r} is not a repository's name.", "Give it as OWNER/NAME.")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            parity = laid_out(order, folder)
            address = _pushed(folder, order.to, public=order.public)
            told = result(folder, parity)
            names = [str(Path(name).relative_to(folder)) for name in told["files"]]
            return told | {"files": names, "repository": order.to, "address": address, "private": not order.public}


def laid_out(order: Order, folder: Path) -> dict[str, Any]:
    """Everything that is pushed, in ``folder``; the certificate of the one file."""
    parity = verified_file(order, folder)
    for name in FILES:
        if (order.classifier / name).is_file():
            shutil.copyfile(order.classifier / name, folder / name)
    kind = saved.library(order.classifier)
    if kind == "truncated":
        shutil.copyfile(saved.SCRIPT, folder / saved.SCRIPT.name)
    shown = examples(order, folder)
    front = model_front(order.classifier, shown)
    if kind in ("transformers", "timm"):
        front["library_name"] = kind
    else:
        del front["library_name"]
    use = USE.get(kind, OTHERS).replace("REPO", order.to)
    write_bytes(folder / "README.md", card(order.classifier, parity, front, use, shown).encode())
    return parity


def _pushed(folder: Path, repository: str, *, public: bool) -> str:
    """One commit of everything in ``folder``; the repository's address.

    Raises:
        BadExport: the hub cannot be reached, or will not have it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = HfApi()
    try:
        made = api.create_repo(repository, private=not public, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="A classifier made with Transfer Zoo")
    except LocalTokenNotFoundError:
        raise BadExport("No hub token is found.", "Set HF_TOKEN to a token that may write, or log in first.") from None
    except OfflineModeIsEnabled:
        raise BadExport("HF_HUB_OFFLINE forbids asking a hub.", "Unset it to push.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise BadExport(
                f"The hub does not let this token write to {repository}.",
                "Use a token with write access, or your name.",
            ) from None
        raise BadExport(f"The hub refused with status {status}.", "Try again later.") from None
    except OSError as error:
        raise BadExport(f"The hub cannot be reached ({type(error).__name__}).", "Check the network.") from None
    return str(made)


EXPORT = Hub()
