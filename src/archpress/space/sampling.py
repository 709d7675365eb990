"""The paper's sampler with its rejections (section 9), and sampling without repeats."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from archpress.architecture import KINDS, Architecture, Layer
from archpress.architecture.design import D
from archpress.architecture.layers import Joining
from archpress.errors import ArchitectureError, SpaceError
from archpress.space.repair import repair
from archpress.space.space import SearchSpace

Rng = np.random.Generator
SHORTEST = 2  # section 9: at least one convolution and one linear layer
MOST_STALE = 200


@dataclass(slots=True)
class PaperSampler:
    """Uniform lengths, types and fields; degenerate architectures are rejected and counted.

    Attributes:
        space: choices and limits; its kinds that join layers are left out, as in the paper. Where
            only widths change, they alone are drawn.
        rng: source of randomness.
        drawn: how many sequences were drawn.
        rejected: how many of them were rejected, by reason.

    Source:
        Section 9 of the paper. A layer that needs a map behind a linear layer counts as "output too
        small to proceed"; the paper does not say what it did with it.
    """

    space: SearchSpace
    rng: Rng
    drawn: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Architecture]:
        """Endless valid architectures of the space.

        Raises:
            SpaceError: a hundred thousand draws in a row were rejected.
        """
        in_a_row = 0
        while in_a_row < 100_000:
            architecture = self._draw()
            in_a_row = 0 if architecture else in_a_row + 1
            if architecture:
                yield architecture
        raise SpaceError(f"the paper's sampler finds no net in this space: {dict(self.rejected)}")

    def rejection_table(self) -> dict[str, float]:
        """Share of all draws by what became of them; adds up to 1."""
        total = max(self.drawn, 1)
        accepted = self.drawn - self.rejected.total()
        shares = {reason: count / total for reason, count in self.rejected.most_common()}
        return {"accepted": accepted / total, **shares}

    def _draw(self) -> Architecture | None:
        self.drawn += 1
        if self.space.widths_alone is not None:  # wide draws are narrowed, not rejected
            drawn = self.space.widths_alone.drawn(self.rng)
            return repair(drawn.layers, self.space).architecture
        length = int(self.rng.integers(SHORTEST, self.space.most_layers + 1))
        layers = [self._draw_layer() for _ in range(length - 1)]
        layers.append(Layer("linear", channels=self.space.classes))
        if self.space.kept is not None:  # which no draw has
            return repair(layers, self.space).architecture
        if not any(layer.kind == "conv" for layer in layers):
            self.rejected["no convolution"] += 1
            return None
        try:
            architecture = Architecture(self.space.input_shape, tuple(layers))
        except ArchitectureError:
            self.rejected["output too small to proceed"] += 1
            return None
        if self.space.too_costly(architecture):
            self.rejected["too large in memory or compute"] += 1
            return None
        return architecture

    def _draw_layer(self) -> Layer:
        space = self.space
        kinds = [kind for kind in space.kinds if KINDS[kind].joining is Joining.NONE]
        kind = kinds[self.rng.integers(len(kinds))]
        fields = KINDS[kind].fields
        kernel = space.kernels[self.rng.integers(len(space.kernels))]
        step = space.round_channels
        least, most = space.least_channels // step, space.most_channels // step
        channels = step * int(self.rng.integers(least, most + 1))
        stride = space.strides[self.rng.integers(len(space.strides))]
        padding = space.paddings[self.rng.integers(len(space.paddings))]
        return Layer(
            kind,
            kernel if "kernel" in fields else 0,
            channels if "channels" in fields else 0,
            stride if "stride" in fields else 0,
            padding if "padding" in fields else 0,
            rate=space.dropout_rate if "rate" in fields else 0.0,
        )


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
