"""How long a network takes on this machine."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.benchmark import Timer


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of forward passes, and what they were measured with.

    Attributes:
        median_seconds: of one forward pass of a batch.
        iqr_seconds: between the quartiles of the blocks of passes.
        runs: forward passes in all.
        batch: images a pass.
        threads: of torch.
        device: where the network ran.
    """

    median_seconds: float
    iqr_seconds: float
    runs: int
    batch: int
    threads: int
    device: str


def measure_latency(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch: int = 1,
    threads: int = 1,
    device: str = "cpu",
    seconds: float = 0.2,
) -> Latency:
    """Time a network in evaluation mode on random images.

    Args:
        network: not changed; a copy is measured.
        input_shape: `(C, H, W)` of an image.
        batch: images a pass.
        threads: of torch, on a CPU; the count is put back afterwards.
        device: as `choose_device` names it, not "auto".
        seconds: least time to measure for; each block is long enough to be timed well.
    """
    measured = copy.deepcopy(network).eval().to(device)
    measured.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(batch, *input_shape, device=device).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        measured(images)  # the first pass chooses kernels and allocates
        timer = Timer(  # sets the threads and puts them back
            "network(images)",
            globals={"network": measured, "images": images},
            num_threads=threads,
        )
        timing = timer.blocked_autorange(min_run_time=seconds)
    return Latency(
        median_seconds=timing.median,
        iqr_seconds=timing.iqr,
        runs=timing.number_per_run * len(timing.raw_times),
        batch=batch,
        threads=threads,
        device=device,
    )
