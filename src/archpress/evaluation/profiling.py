"""Times of many nets on one device, kept in a file: what a `LatencyModel` learns from."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture
from archpress.architecture.network import build
from archpress.errors import ArchpressError, EvaluationError
from archpress.evaluation.latency import measure_latency
from archpress.space import Conditions, LatencyModel

FORMAT, FORMAT_VERSION = "archpress-device-times", 1
BACKENDS = ("torch",)


def this_machine() -> str:
    """A name for the processor of this machine, by which its times are known again."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, {platform.node()}"


def time_nets(
    nets: Sequence[Architecture],
    conditions: Conditions,
    *,
    seconds: float = 0.04,
    passes: int = 3,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Milliseconds, `passes x nets`, each the median of some passes; weights have any values.

    All nets are timed in one pass, then in another: what disturbs the machine for a while disturbs
    one time of many nets, not all times of one.

    Args:
        nets: to time.
        conditions: of all times; its device is one of this machine.
        seconds: of one net in one pass.
        passes: over all nets.
        advance: is told how many nets of `passes * len(nets)` are done.

    Raises:
        EvaluationError: no such backend.
    """
    if conditions.backend not in BACKENDS:
        raise EvaluationError(
            f"no backend is called {conditions.backend!r}; known are {', '.join(BACKENDS)}"
        )
    medians = np.empty((passes, len(nets)))
    networks = [build(net) for net in nets]
    for number in range(passes):
        for index, (net, network) in enumerate(zip(nets, networks, strict=True)):
            latency = measure_latency(
                network,
                net.input_shape,
                batch=conditions.batch,
                threads=conditions.threads,
                device=conditions.device,
                seconds=seconds,
            )
            medians[number, index] = 1e3 * latency.median_seconds
            advance(number * len(nets) + index + 1)
    return medians


def save_times(model: LatencyModel, path: Path) -> None:
    """Write what a model learned from, and its prices for people; whole or not at all."""
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "conditions": asdict(model.conditions),
        "prices_ms": {name: float(f"{price:.4g}") for name, price in model.prices.items()},
        "nets": [
            {"architecture": json.loads(net.to_json()), "milliseconds": round(milliseconds, 6)}
            for net, milliseconds in model.timed
        ],
    }
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load_times(path: Path) -> LatencyModel:
    """The model that learned from a file of `save_times`, or of `measure.py` on a target.

    Raises:
        EvaluationError: the file cannot be read, or holds no times.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT or content["version"] > FORMAT_VERSION:
            raise ValueError(f'it lacks "format": "{FORMAT}" of version {FORMAT_VERSION}')
        timed = [
            (
                Architecture.from_json(json.dumps(one["architecture"]), where=f"net {number}"),
                float(one["milliseconds"]),
            )
            for number, one in enumerate(content["nets"])
        ]
        if any(not 0 < milliseconds < np.inf for _, milliseconds in timed):
            raise ValueError("times must be above 0")
        return LatencyModel(Conditions(**content["conditions"]), timed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArchpressError) as error:
        raise EvaluationError(f"{path} holds no times of a device: {error}") from None
