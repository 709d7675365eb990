"""How long a network takes on this machine."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.benchmark import Measurement, Timer


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of forward passes, and what they were measured with.

    Attributes:
        median_seconds: of one forward pass of a batch.
        iqr_seconds: between the quartiles of the blocks of passes.
        runs: forward passes in all.
        batch: images a pass.
        threads: of the backend.
        device: where the network ran.
        backend: what ran it: "torch" or "onnxruntime".
    """

    median_seconds: float
    iqr_seconds: float
    runs: int
    batch: int
    threads: int
    device: str
    backend: str = "torch"


@dataclass(frozen=True, eq=False, slots=True)
class Stopwatch:
    """A forward pass that is ready to be timed, and what a `Latency` tells of it."""

    timer: Timer
    batch: int
    threads: int
    device: str
    backend: str


def measure_latency(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch: int = 1,
    threads: int = 1,
    device: str = "cpu",
    seconds: float = 0.2,
) -> Latency:
    """Time a network in evaluation mode on black images.

    Args:
        network: not changed; a copy is measured.
        input_shape: `(C, H, W)` of an image.
        batch: images a pass.
        threads: of torch, on a CPU; the count is put back afterwards.
        device: as `choose_device` names it, not "auto".
        seconds: least time to measure for; each block is long enough to be timed well.
    """
    watch = stopwatch(network, input_shape, batch=batch, threads=threads, device=device)
    return measure_in_turns([watch], seconds=seconds, rounds=1)[0]


def stopwatch(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch: int = 1,
    threads: int = 1,
    device: str = "cpu",
) -> Stopwatch:
    """A network that is ready to be timed; arguments as of `measure_latency`."""
    measured = copy.deepcopy(network).eval().to(device)
    measured.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(batch, *input_shape, device=device).to(memory_format=torch.channels_last)
    timer = Timer(  # sets the threads and puts them back
        "network(images)",
        globals={"network": measured, "images": images},
        num_threads=threads,
    )
    return Stopwatch(timer, batch, threads, device, "torch")


def measure_in_turns(
    watches: Sequence[Stopwatch], *, seconds: float, rounds: int = 5
) -> list[Latency]:
    """Time several in turns, so that what else the machine does slows each of them alike.

    Args:
        watches: what to time.
        seconds: least time to measure each for, in all rounds together.
        rounds: in which each has its turn.
    """
    blocks: list[list[Measurement]] = [[] for _ in watches]
    with torch.inference_mode():
        for _ in range(rounds):
            for watch, found in zip(watches, blocks, strict=True):
                watch.timer.timeit(1)  # the first pass chooses kernels and allocates
                found.append(watch.timer.blocked_autorange(min_run_time=seconds / rounds))
    return [_latency(watch, found) for watch, found in zip(watches, blocks, strict=True)]


def _latency(watch: Stopwatch, blocks: list[Measurement]) -> Latency:
    (timing,) = Measurement.merge(blocks)
    return Latency(
        median_seconds=timing.median,
        iqr_seconds=timing.iqr,
        runs=sum(block.number_per_run * len(block.raw_times) for block in blocks),
        batch=watch.batch,
        threads=watch.threads,
        device=watch.device,
        backend=watch.backend,
    )
