"""A million trials by a thousand workers, simulated: the scheduler and the store are the real ones.

    python benchmarks/scale.py --out benchmarks/results/scale.jsonl

Trials take no time; each has a duration that is drawn, and they end in the order in which a
thousand workers would end them. Ten thousand architectures of the paper's sampler are trained with
one seed after the other. One line of JSON at 10^4, 10^5 and 10^6 trials: how many a second were
stored since the line before, the process's memory, and how long it takes to find one, and to open
the store anew and find all (not of 10^6). Some minutes on one core.
"""

import argparse
import heapq
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from statistics import median

import numpy as np

from archpress.evaluation import Candidate, Trial
from archpress.evaluation.trial import TrialState
from archpress.space import PaperSampler, paper_space
from archpress.store import Store, evaluate_once

NETS = 10_000
TOLD_AT = (10**4, 10**5, 10**6)
RESUMED_UP_TO = 10**5
LOOK_UPS = 500
SPREAD = 0.5  # standard deviation of the logarithm of a trial's duration


class Workers:
    """An evaluator: so many workers, each of which does one trial after the other."""

    data_key, recipe_key = "none", "none"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def evaluate(self, candidates: list[Candidate], *, seed: int) -> Iterator[Trial]:
        """Trials in the order in which the workers end them."""
        durations = np.random.default_rng(seed).lognormal(0, SPREAD, len(candidates)).tolist()
        waiting = zip(durations, count(), candidates, strict=False)
        running = list(islice(waiting, self.workers))
        heapq.heapify(running)
        while running:
            now, _, done = heapq.heappop(running)
            following = next(waiting, None)
            if following is not None:
                heapq.heappush(running, (now + following[0], *following[1:]))
            yield Trial(
                *(done.architecture, self.data_key, self.recipe_key, seed, TrialState.DONE),
                {"accuracy": 0.5},
                origin=done.origin,
            )


def resume(place: Path, workers: Workers, candidates: list[Candidate], seeds: int) -> float:
    """Seconds until a new driver has all trials that it asks for, none of which is new."""
    started = time.perf_counter()
    with Store(place) as store:
        for seed in range(seeds):
            assert all(one.reused for one in evaluate_once(workers, store, candidates, seed=seed))
    return time.perf_counter() - started


def memory() -> int:
    """Bytes of this process, of which nothing is shared with another."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description="How the store and the scheduler bear a million.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1_000)
    given = parser.parse_args()
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "workers": given.workers,
    }
    sampler = PaperSampler(paper_space((1, 28, 28), 10), np.random.default_rng(0))
    nets = {net.key: net for net in islice(sampler, NETS + NETS // 10)}
    candidates = [Candidate(net, "bench") for net in islice(nets.values(), NETS)]
    workers = Workers(given.workers)
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(place := Path(folder) / "trials.db") as store,
    ):
        before, started = 0, time.perf_counter()
        for seed in range(max(TOLD_AT) // NETS):
            for _ in evaluate_once(workers, store, candidates, seed=seed):
                pass
            total = (seed + 1) * NETS
            if total not in TOLD_AT:
                continue
            store.settle()
            rate = (total - before) / (time.perf_counter() - started)
            seconds = []
            for one in candidates[:LOOK_UPS]:
                asked = time.perf_counter()
                assert store.find(one.architecture.key, "none", "none", seed) is not None
                seconds.append(time.perf_counter() - asked)
            row = {
                "trials": store.count(),
                "stored a second": round(rate),
                "megabytes of memory": round(memory() / 1e6),
                "milliseconds a look-up, median": round(1e3 * median(seconds), 3),
                **about,
            }
            if total <= RESUMED_UP_TO:
                row["seconds to resume"] = round(resume(place, workers, candidates, seed + 1), 2)
            print(row, flush=True)
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            before, started = total, time.perf_counter()


if __name__ == "__main__":
    main()
