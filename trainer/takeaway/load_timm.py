"""This classifier with timm, as anyone loads it: python load.py PICTURE ... [--json]"""

import json
import sys
from pathlib import Path

import timm
import torch
from PIL import Image, ImageOps
from timm.data import create_transform, resolve_data_config

HERE = Path(__file__).resolve().parent
model = timm.create_model(f"local-dir:{HERE}", pretrained=True).eval()
transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
labels = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["label_names"]
for path in [word for word in sys.argv[1:] if word != "--json"]:
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    with torch.inference_mode():
        sure = model(transform(picture)[None]).softmax(dim=1)[0].tolist()
    best = max(range(len(sure)), key=sure.__getitem__)
    said = {"path": path, "label": labels[best], "probability": sure[best], "probabilities": sure}
    print(json.dumps(said) if "--json" in sys.argv else f"{path}: {labels[best]} {sure[best]:.1%}")
