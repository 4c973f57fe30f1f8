"""One fine-tuning in a process that gets MEGABYTES more memory than it has when it begins; prints what became of it.

``python small_memory.py HOME PLAN.json FOLDER MEGABYTES``. A process of its own, for what earlier work
left in the memory of another decides where its limit is.
"""

import json
import resource
import sys
from pathlib import Path

import torch

from trainer.events import Noted, Step
from trainer.finetune import finetune
from trainer.job import Job
from trainer.plan import Plan
from zoo.forward import keep_freed_memory
from zoo.settings import Settings

if __name__ == "__main__":
    home, plan, folder, megabytes = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    keep_freed_memory()  # as a worker does
    torch.set_num_threads(1)
    folder.mkdir()
    job = Job.open(Plan.from_json(plan), folder, Settings(home=home, offline=True, threads=1), lambda: False)
    torch.manual_seed(0)
    network = job.backbone.network(len(job.dataset.classes)).requires_grad_(True)
    side = job.preprocessing.size
    network(torch.zeros(1, 3, side, side)).sum().backward()  # the libraries load what they load
    network.zero_grad()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    events = list(finetune(job, network))
    losses = [event.loss for event in events if isinstance(event, Step)]
    notes = [event.message for event in events if isinstance(event, Noted)]
    sys.stdout.write(json.dumps({"losses": losses, "notes": notes}))
