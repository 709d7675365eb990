"""The paper's sampler with its rejections (section 9), and sampling without repeats."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from archpress.architecture import Architecture
from archpress.architecture.design import D
from archpress.errors import SpaceError
from archpress.space.batches import Chains
from archpress.space.repair import repair
from archpress.space.space import SearchSpace

Rng = np.random.Generator
DRAWN_AT_ONCE = 1024
MOST_REJECTED = 100_000  # draws in a row
MOST_STALE = 200


@dataclass
class PaperSampler:
    """Uniform lengths, types and fields; degenerate architectures are rejected and counted.

    Attributes:
        space: choices and limits; its kinds that join layers are left out, as in the paper. Where
            only widths change, they alone are drawn.
        rng: source of randomness.
        drawn: how many sequences were drawn; they come by the thousand.
        rejected: how many of them were rejected, by reason.

    Source:
        Section 9 of the paper. A layer that needs a map behind a linear layer counts as "output too
        small to proceed"; the paper does not say what it did with it.
    """

    space: SearchSpace
    rng: Rng
    drawn: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """What may be drawn."""
        self._chains = Chains(self.space)

    def __iter__(self) -> Iterator[Architecture]:
        """Endless valid architectures of the space.

        Raises:
            SpaceError: a hundred thousand draws in a row were rejected.
        """
        last = self.drawn
        while self.drawn - last < MOST_REJECTED:
            for architecture in self._draw():
                last = self.drawn
                yield architecture
        raise SpaceError(f"the paper's sampler finds no net in this space: {dict(self.rejected)}")

    def rejection_table(self) -> dict[str, float]:
        """Share of all draws by what became of them; adds up to 1."""
        total = max(self.drawn, 1)
        accepted = self.drawn - self.rejected.total()
        shares = {reason: count / total for reason, count in self.rejected.most_common()}
        return {"accepted": accepted / total, **shares}

    def _draw(self) -> Iterator[Architecture]:
        """What is accepted of some draws."""
        if self.space.kept is not None:  # which no draw has, so all are repaired
            yield from self._repaired()
            return
        chains = self._chains.draw(DRAWN_AT_ONCE, self.rng)
        costs = self._chains.costs(chains)
        small = costs.within(self.space.limits, self.space.most_activations)
        nets = self._chains.architectures(chains[costs.has_conv & small])
        accepted = [net for net in nets if self.space.too_costly(net) is None]
        convolves, fits = int(costs.has_conv.sum()), int((costs.has_conv & costs.fits).sum())
        self.drawn += len(chains)
        self.rejected["no convolution"] += len(chains) - convolves
        self.rejected["output too small to proceed"] += convolves - fits
        self.rejected["too large in memory or compute"] += fits - len(accepted)
        yield from accepted

    def _repaired(self) -> Iterator[Architecture]:
        self.drawn += 1
        widths = self.space.widths_alone
        if widths is not None:  # wide draws are narrowed, not rejected
            layers = widths.drawn(self.rng).layers
        else:
            (layers,) = self._chains.layers_of_each(self._chains.draw(1, self.rng))
        yield repair(layers, self.space).architecture


def paper_samples(space: SearchSpace, rng: np.random.Generator) -> Iterator[Architecture]:
    """What `PaperSampler` draws; nothing more where it finds no net within the limits."""
    with suppress(SpaceError):
        yield from PaperSampler(space, rng)


def distinct(architectures: Iterable[D], count: int, *, known: Iterable[str] = ()) -> list[D]:
    """The first architectures that differ by key.

    Args:
        architectures: may be endless; reading stops when `MOST_STALE` in a row bring nothing new.
        count: how many to return at most.
        known: keys that do not count as new.
    """
    if count < 1:
        return []
    seen = set(known)
    found: list[D] = []
    stale = 0
    for architecture in architectures:
        if stale >= MOST_STALE:
            break
        stale += 1
        if architecture.key not in seen:
            seen.add(architecture.key)
            found.append(architecture)
            stale = 0
        if len(found) >= count:
            break
    return found
