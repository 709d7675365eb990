"""Times of many nets on one device, kept in a file: what a `LatencyModel` learns from."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from archpress.architecture import Architecture
from archpress.architecture.network import build
from archpress.architecture.onnx_writing import to_onnx_model
from archpress.errors import ArchpressError, EvaluationError
from archpress.evaluation.latency import Stopwatch, measure_in_turns, stopwatch
from archpress.evaluation.latency_onnx import onnx_stopwatch
from archpress.evaluation.measure_on_target import FORMAT, FORMAT_VERSION
from archpress.space import LatencyConditions, LatencyModel
from archpress.whole_files import write_text

BACKENDS = ("torch", "onnxruntime")
MOST_WEIGHTS = 2 * 10**8  # of the networks that wait for their turn: 0.8 GB


def time_nets(
    nets: Sequence[Architecture],
    conditions: LatencyConditions,
    *,
    seconds: float = 0.04,
    passes: int = 3,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Milliseconds, `passes x nets`, each the median of some passes; weights have any values.

    All nets are timed in one pass, then in another, as far as they fit the memory together: what
    disturbs the machine for a while disturbs one time of many nets, not all times of one.

    Args:
        nets: to time.
        conditions: of all times; its device is one of this machine.
        seconds: of one net in one pass.
        passes: over all nets.
        advance: is told how many nets of `passes * len(nets)` are done.

    Raises:
        EvaluationError: no such backend, or onnxruntime is not installed or cannot run a net.
        ExportError: torch cannot export a net to ONNX.
    """
    medians = np.empty((passes, len(nets)))
    done = 0
    for group in _groups(nets):
        watches: list[Stopwatch] = []
        for number in range(passes):
            for place, index in enumerate(group):
                net = nets[index]
                if number == 0:
                    watches.append(ready_to_time(build(net).eval(), net.input_shape, conditions))
                (latency,) = measure_in_turns([watches[place]], seconds=seconds, rounds=1)
                medians[number, index] = 1e3 * latency.median_seconds
                done += 1
                advance(done)
    return medians


def ready_to_time(
    network: nn.Module, input_shape: tuple[int, int, int], conditions: LatencyConditions
) -> Stopwatch:
    """A network under conditions, see `measure_in_turns`.

    Args:
        network: in evaluation mode.
        input_shape: `(C, H, W)` of an image.
        conditions: their device is one of this machine.

    Raises:
        EvaluationError: no such backend, or onnxruntime is not installed or cannot run it.
        ExportError: torch cannot export it to ONNX.
    """
    batch, threads = conditions.batch, conditions.threads
    match conditions.backend:
        case "torch":
            device = conditions.device
            return stopwatch(network, input_shape, batch=batch, threads=threads, device=device)
        case "onnxruntime":
            model = bytes(to_onnx_model(network, input_shape).SerializeToString())
            return onnx_stopwatch(model, input_shape, batch=batch, threads=threads)
    known = ", ".join(BACKENDS)
    raise EvaluationError(f"no backend is called {conditions.backend!r}; known are {known}")


def _groups(nets: Sequence[Architecture]) -> Iterator[list[int]]:
    """Neighbours that fit the memory together."""
    group: list[int] = []
    held = 0
    for index, net in enumerate(nets):
        if group and held + net.parameters > MOST_WEIGHTS:
            yield group
            group, held = [], 0
        group.append(index)
        held += net.parameters
    if group:
        yield group


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
    write_text(path, json.dumps(content))


def load_times(path: Path) -> LatencyModel:
    """The model that learned from a file of `save_times` or of `measure_on_target.py`.

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
        return LatencyModel(LatencyConditions(**content["conditions"]), timed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArchpressError) as error:
        raise EvaluationError(f"{path} holds no times of a device: {error}") from None
