"""Compare over the cluster that the environment names: a home, two backbones, datasets. Rows, and what was sent."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from zoo.compare import Question, compare
from zoo.dataset import Dataset
from zoo.nodes import joined
from zoo.settings import Settings, usable_cores
from zoo.store import Store

home, first, second, *datasets = sys.argv[1:]
settings = replace(Settings.read(), home=Path(home), offline=True, engine="ray", threads=usable_cores())
store, question = Store(settings.home), Question(backbones=(first, second), fresh=True)
said = []
with joined(settings) as nodes:
    assert nodes is not None
    for dataset in datasets:
        *_, found = compare(Dataset.load(store, dataset), question, store, settings, nodes=nodes)
        said.append({"found": found.as_json(), "sent": nodes.sent(dataset)})
sys.stdout.write(json.dumps(said))
