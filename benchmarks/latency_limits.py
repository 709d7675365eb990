"""Whether a limit on latency is kept: random limits under four conditions, the result timed again.

    python benchmarks/latency_limits.py runs/latency --out benchmarks/results/latency_limits.jsonl

For each of batch 1 and 32, one and two threads: ten limits, log-uniform between 0.2 and 0.9 of the
source's latency. Searches and trainings are as brief as can be: nothing here is about accuracy. A
line of JSON a run: the limit, what `compress` measured, and what came when the result was timed
once more. The same command goes on after a kill. Wants a machine that does nothing else.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from archpress.architecture import named
from archpress.architecture.network import build
from archpress.compression import compress, settings_for
from archpress.data import load_data
from archpress.evaluation import measure_in_turns, ready_to_time
from archpress.space import LatencyConditions, LatencyModel, Limits

CONDITIONS = [LatencyConditions(batch, threads) for batch in (1, 32) for threads in (1, 2)]


def milliseconds(network, shape, conditions):
    watch = ready_to_time(network, shape, conditions)
    times = [measure_in_turns([watch], seconds=0.2, rounds=1)[0] for _ in range(5)]
    return 1e3 * min(time.median_seconds for time in times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Limits on latency, and what came of them.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", default="conv7")
    parser.add_argument("--limits", type=int, default=10)
    given = parser.parse_args()
    images = load_data("fashion-mnist-sample", max_train=1000)
    source = named(given.source, images.input_shape, images.classes)
    smoke = settings_for("smoke")
    settings = replace(smoke, final=replace(smoke.final, epochs=1), seeds=1)
    done = given.out.read_text().splitlines() if given.out.exists() else []
    known = {(row["batch"], row["threads"], row["number"]) for row in map(json.loads, done)}
    for conditions in CONDITIONS:
        whole = milliseconds(build(source).eval(), source.input_shape, conditions)
        rng = np.random.default_rng([conditions.batch, conditions.threads])
        shares = 0.2 * 4.5 ** rng.random(given.limits)
        for number, share in enumerate(shares):
            if (conditions.batch, conditions.threads, number) in known:
                continue
            limits = Limits(max_latency=float(share * whole), latency=LatencyModel(conditions))
            folder = given.run / f"{conditions.batch}-{conditions.threads}"
            result = compress(source, images, limits, run=folder, settings=settings, seed=number)
            (check,) = result.limits
            row = {
                "batch": conditions.batch,
                "threads": conditions.threads,
                "number": number,
                "source_ms": whole,
                "limit_ms": check.limit,
                "measured_ms": check.value,
                "again_ms": milliseconds(result.build(), source.input_shape, conditions),
                "met": check.met,
                "kendall": result.latency["kendall"],
                "error": result.latency["error"],
            }
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row)


if __name__ == "__main__":
    main()
