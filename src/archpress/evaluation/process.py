"""What processes that train do before a training and around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")  # Linux's count of a process's pages, the address space first


def warm_up() -> None:
    """Import what torch imports with its first optimizer: two seconds that are no trial's."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


@contextmanager
def limited_memory(extra: int) -> Iterator[None]:
    """Allocations fail beyond `extra` bytes more address space than now; the process survives.

    A lower limit that the process has stays in force.
    """
    import resource  # which not every system has

    pages = int(STATM.read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    set_before = [limit for limit in before if limit != resource.RLIM_INFINITY]
    limit = min([pages * resource.getpagesize() + extra, *set_before])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
