"""Trials a second of the scheduler with real workers and a real store, where a trial does nothing.

    python benchmarks/dispatch.py --out benchmarks/results/dispatch.json
    python benchmarks/dispatch.py --engines pool,ray --out benchmarks/results/dispatch.json

Architectures for images of another shape are sent to workers, each of which refuses them at once,
so all but the training is timed: queue, pickling, processes, records, transactions. There is
a worker a core, which is up and has refused some before the clock starts. Some seconds an engine;
`ray` needs the package, and begins a cluster on this machine where there is none.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from archpress.architecture import Architecture
from archpress.data import load_data
from archpress.evaluation import Candidate, open_pool, quick
from archpress.space import PaperSampler, paper_space
from archpress.store import Store, evaluate_once

WARM_UP = 50


def stored_a_second(engine: str, nets: list[Architecture], repeats: int) -> list[float]:
    """Of the trials of all nets, each repeat with a seed of its own."""
    cluster = "auto" if engine == "ray" else None
    candidates = [Candidate(net, "bench") for net in nets]
    rates = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "trials.db") as store,
        open_pool(
            load_data("fashion-mnist-sample"), quick(), device="cpu", cluster=cluster
        ) as pool,
    ):
        for _ in evaluate_once(pool, store, candidates[:WARM_UP], seed=repeats):
            pass
        for seed in range(repeats):
            started = time.perf_counter()
            trials = [one.trial for one in evaluate_once(pool, store, candidates, seed=seed)]
            store.settle()
            rates.append(len(trials) / (time.perf_counter() - started))
            assert not any(trial.done for trial in trials)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description="Trials that do nothing, a second.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engines", default="pool", help="pool, ray, or both with a comma between")
    parser.add_argument("--nets", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    sampler = PaperSampler(paper_space((1, 20, 20), 10), np.random.default_rng(0))
    nets = {net.key: net for net in islice(sampler, given.nets)}
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "trials": len(nets),
    }
    for engine in given.engines.split(","):
        rates = stored_a_second(engine, list(nets.values()), given.repeats)
        content[engine] = {"stored a second": [round(rate) for rate in rates]}
        print(f"{engine}: {median(rates):.0f} trials a second, median of {len(rates)}", flush=True)
    given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
