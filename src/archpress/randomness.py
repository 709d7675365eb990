"""Torch's global random numbers, from a seed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Torch's generators of the CPU and of one device are seeded, and put back afterwards.

    Those of other devices stay as they are, which `torch.manual_seed` would seed too. That of "mps"
    is seeded, but not put back.

    Args:
        seed: of both.
        device: "cpu", "cuda", "cuda:1" or "mps".
    """
    cuda = [torch.device(device).index or 0] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            with torch.cuda.device(index):
                torch.cuda.manual_seed(seed)
        if device == "mps":
            torch.mps.manual_seed(seed)
        yield
