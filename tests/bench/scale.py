"""A comparison past this machine: 10 million pictures through 50 backbones over up to 100 nodes, simulated.

What it is fed with is measured here, in the same run, and printed first: seconds to decode and to look at a picture,
bytes of a picture and of its features, what the first machine hands out a second, Ray's latency, tasks a second, and
the probes' seconds a row. A discrete-event simulation then lets every shard wait for what it needs: the head to
dispatch it, the head's line to send its pictures (where that node has not had them), a core, and the line again for the
features; after each backbone the head fits the probes. Line and price are assumptions that can be given.

    python tests/bench/scale.py DATA [--pictures N] [--backbones B] [--cores C] [--line BYTES] [--price HOUR]
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.ray_nodes import Nodes  # noqa: E402
from zoo import probe, sources  # noqa: E402
from zoo.carried import Originals  # noqa: E402
from zoo.compare import EMBEDDED  # noqa: E402
from zoo.decode import read_picture  # noqa: E402
from zoo.features import Extractor  # noqa: E402
from zoo.forward import BATCH  # noqa: E402
from zoo.intake import intake  # noqa: E402
from zoo.nodes import MOST_BATCHES, joined  # noqa: E402
from zoo.settings import Settings  # noqa: E402
from zoo.store import Store  # noqa: E402

SIZES = (1, 10, 30, 100, 200, 400)
ROWS = (2048, 6144)  # by which the probes' seconds a row are told from their fixed cost


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes, each a picture unless said; ``handed`` bytes and ``tasks`` are what the head does a second."""

    decode: float
    forward: float
    sent: float
    back: float
    handed: float
    tasks: float
    latency: float
    probe: float
    line: float = 1.25e9
    cores: int = 8
    shard: int = MOST_BATCHES * BATCH


@dataclass(frozen=True)
class Outcome:
    """Seconds of it all, and of that the share in which each part was busy."""

    seconds: float
    busy: dict[str, float]


def simulated(
    costs: Costs, pictures: int, backbones: int, nodes: int, kept: bool = True, local: bool = False
) -> Outcome:
    """``kept``: a node keeps the pictures it had; ``local``: nodes reduce features to what a probe needs themselves."""
    first, later = (one_pass(costs, pictures, nodes, new) for new in (True, not kept))
    solver = costs.probe * pictures / (nodes * costs.cores if local else 1)
    total = first["wall"] + (backbones - 1) * later["wall"] + backbones * solver
    busy = {name: (first[name] + (backbones - 1) * later[name]) / total for name in ("cores", "line", "dispatch")}
    return Outcome(total, busy | {"probes": backbones * solver / total})


def one_pass(costs: Costs, pictures: int, nodes: int, new: bool) -> dict[str, float]:
    """One backbone over all pictures: wall seconds, and seconds in which cores, line and head were busy."""
    shards = max(1, pictures // costs.shard)
    work = costs.shard * (costs.forward + (costs.decode if new else 0)) + costs.latency
    out = costs.shard * costs.sent / min(costs.line, costs.handed) if new else 0.0
    back = costs.shard * costs.back / costs.line
    cores = [(0.0, core) for core in range(nodes * costs.cores)]
    dispatched = sending = 0.0
    ends = []
    for _ in range(shards):
        free, core = heapq.heappop(cores)
        dispatched += 1 / costs.tasks
        start = max(free, dispatched)
        if new:
            start = sending = max(sending, start) + out
        heapq.heappush(cores, (start + work, core))
        ends.append(start + work)
    arrived = 0.0
    for end in sorted(ends):
        arrived = max(arrived, end) + back
    return {
        "wall": arrived,
        "cores": shards * work / (nodes * costs.cores),
        "line": shards * (out + back),
        "dispatch": shards / costs.tasks,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--pictures", type=int, default=10_000_000)
    parser.add_argument("--backbones", type=int, default=50)
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--line", type=float, default=1.25e9, help="bytes a second of the head's network, assumed")
    parser.add_argument("--price", type=float, default=0.4, help="of a node-hour, assumed")
    chosen = parser.parse_args()
    costs = replace(measured(chosen.data), line=chosen.line, cores=chosen.cores)
    print(f"assumed: {costs.cores} cores a node, a line of {costs.line / 1e9:.2f} GB/s, {chosen.price} a node-hour")
    ask = (chosen.pictures, chosen.backbones)
    ways = {
        "as it is": (costs, True, False),
        "pictures sent for each backbone anew": (costs, False, False),
        "shards of one batch": (replace(costs, shard=BATCH), True, False),
        "probes reduced on the nodes (not built)": (costs, True, True),
    }
    for name, (these, kept, local) in ways.items():
        print(f"\n{name}: {ask[0]:,} pictures x {ask[1]} backbones")
        for nodes in SIZES if name == "as it is" else (100,):
            found = simulated(these, *ask, nodes, kept, local)
            hours = found.seconds / 3600
            most = max(found.busy, key=lambda part: found.busy[part])
            print(
                f"{nodes:>4} nodes {ask[0] * ask[1] / found.seconds:>10,.0f} pictures/s {hours:>9.1f} h "
                f"{hours * nodes:>9,.0f} node-hours {hours * nodes * chosen.price:>9,.0f}   busy: "
                + ", ".join(f"{part} {share:.0%}" for part, share in found.busy.items())
                + f"; held by {most}"
            )
    now, anew, reduced = (simulated(costs, *ask, 100, *how).seconds for how in ((True,), (False,), (True, True)))
    print(f"\nat 100 nodes, because nodes keep pictures: {anew / now:.2f} times as fast as without")
    print(f"at 100 nodes, with probes reduced on the nodes: {now / reduced:.2f} times as fast as now")


def measured(data: str) -> Costs:
    """What this machine takes for each part, printed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), offline=True, threads=1)
        store = Store(settings.home)
        dataset = intake(data, store, settings)
        paths = [dataset.root / item.file for item in dataset.items]
        decode = timed(lambda: [read_picture(path, side=320) for path in paths[:200]]) / len(paths[:200])
        sent = float(np.mean([path.stat().st_size for path in paths]))
        source, shas = Originals(store.root, dataset.id), [item.sha for item in dataset.items]
        handed = sent * len(shas) / timed(lambda: source.read(shas, ""))
        found = [
            Extractor(sources.card(name, settings), dataset, store, settings, expected=10_000).rows(np.arange(200))
            for name in EMBEDDED
        ]
        for one in found:
            print(f"{one.card.id}: {one.ms_per_picture:.1f} ms a picture by {one.engine}, one core")
        widths = [tap.shape[1] for tap in found[0].taps]
        solving = sum(rows_cost(width) for width in widths)
        latency, tasks = cluster_costs(settings)
    forward = float(np.mean([one.ms_per_picture for one in found])) / 1000
    costs = Costs(decode, forward, sent, 4.0 * sum(widths), handed, tasks, latency, solving)
    print(
        f"decoding {decode * 1000:.2f} ms, forward {forward * 1000:.1f} ms a picture; {sent / 1000:.1f} kB out, "
        f"{costs.back / 1000:.1f} kB back; {handed / 1e6:.0f} MB/s handed out; a task {latency * 1000:.1f} ms, "
        f"{tasks:.0f} tasks/s; probes of all taps {solving * 1e6:.0f} us a picture",
        flush=True,
    )
    return costs


def rows_cost(width: int) -> float:
    """Seconds a row of a streamed probe on features of this width, its fixed cost taken out."""
    rng = np.random.default_rng(0)
    spent = []
    for n in ROWS:
        x, y = rng.normal(size=(n, width)).astype(np.float32), rng.integers(0, 10, n)
        spent.append(timed(lambda x=x, y=y: probe.streamed(x, y)))
    return max(spent[1] - spent[0], 0.0) / (ROWS[1] - ROWS[0])


def cluster_costs(settings: Settings) -> tuple[float, float]:
    """Seconds of one task there and back, and tasks a second, over two real nodes."""
    with Nodes() as cluster:
        named = replace(settings, engine="ray", cluster=cluster.address, cluster_token=cluster.token)
        with joined(named):
            import ray

            task = ray.remote(num_cpus=1)(lambda: 0)
            ray.get([task.remote() for _ in range(100)])
            latency = timed(lambda: [ray.get(task.remote()) for _ in range(100)]) / 100
            return latency, 1000 / timed(lambda: ray.get([task.remote() for _ in range(1000)]))


def timed(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
