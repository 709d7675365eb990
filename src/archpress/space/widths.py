"""`Widths`: a source of which nothing changes but channels, as when channels are pruned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture, Layer, simplify
from archpress.errors import SpaceError
from archpress.space.anchoring import aligned
from archpress.space.form import Form
from archpress.space.kept import Kept, simple_with
from archpress.space.ties import Group, Rows, free_groups

Rng = np.random.Generator
Factors = NDArray[np.float64]  # of the channels of each group


@dataclass(frozen=True)
class Widths(Kept):
    """The layers of a source, with other channels where these may change.

    Layers that are joined change together, what follows another's channels follows them, and
    channels divide by the groups of convolutions and norms. The image's channels, the classes, and
    what slices, channels of zeros and layers that stay hang on do not change.

    Attributes:
        source: without layers that do nothing.
        rows: of the layers that keep their channels, rising.
        least_channels, most_channels: range of the others.
        round_channels: they are multiples of it.
    """

    most_channels: int
    round_channels: int = 1

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Layers that change together, and have a choice."""
        found = free_groups(self.source, frozenset(self.rows))
        widths = [{self.source.layers[group.rows[0]].channels} for group in found]
        pairs = zip(found, widths, strict=True)
        return tuple(group for group, own in pairs if {*self.choices(group)} - own)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Of all layers, each once."""
        return tuple(dict.fromkeys(layer.kind for layer in self.source.layers))

    def choices(self, group: Group) -> range:
        """The channels that a group may have."""
        step = math.lcm(group.step, self.round_channels)
        least = max(self.least_channels, group.least)
        return range(step * math.ceil(least / step), self.most_channels + 1, step)

    def nearest(self, group: Group, channels: float) -> int:
        """Of a group's channels, the nearest to a number."""
        choices = self.choices(group)
        wanted = choices.step * math.floor(channels / choices.step + 0.5)
        return min(max(wanted, choices[0]), choices[-1])

    @cached_property
    def _free(self) -> Rows:
        return frozenset(row for group in self.groups for row in group.rows)

    # --- which nets these are ---

    def why_not(self, net: Architecture) -> str | None:
        """Why a net is not the source with other channels, in words; None where it is."""
        if len(net.layers) != len(self.source.layers):
            net = simplify(net)
        for row, (layer, own) in enumerate(zip(net.layers, self.source.layers, strict=False)):
            if replace(layer, channels=0) != replace(own, channels=0):
                return f"layer {row} ({layer.kind}) differs from the source's in more than channels"
            if row not in self._free and layer.channels != own.channels:
                return f"layer {row} ({layer.kind}) must keep the source's {own.channels} channels"
        if len(net.layers) != len(self.source.layers):
            return f"it has {len(net.layers)} layers, the source {len(self.source.layers)}"
        for group in self.groups:
            choices = self.choices(group)
            for row in group.rows:
                layer = net.layers[row]
                if layer.channels not in choices:
                    return (
                        f"layer {row} ({layer.kind}): {layer.channels} channels are not in "
                        f"{choices[0]} to {choices[-1]} in steps of {choices.step}"
                    )
                if layer.channels != net.layers[group.rows[0]].channels:
                    return f"layer {row} ({layer.kind}) is not as wide as layer {group.rows[0]}"
        return None

    def places(self, net: Architecture) -> dict[int, int] | None:
        """Each row is where it was; None where a net is no such net."""
        if len(net.layers) != len(self.source.layers) or self.why_not(net) is not None:
            return None
        return {row: row for row in range(len(net.layers))}

    def has(self, net: Architecture) -> bool:
        """Whether a net is the source with other channels, row by row."""
        return self.places(net) is not None

    def fixed(self, net: Architecture) -> Rows:
        """Rows whose channels cannot change."""
        return frozenset(range(len(self.source.layers))) - self._free

    # --- making them ---

    def resized(self, channels: Mapping[int, float]) -> Architecture:
        """The source with other channels.

        Args:
            channels: by row; a group gets what is nearest to the mean of its rows here, and where
                there are none to the source's.
        """
        layers = list(self.source.layers)
        for group in self.groups:
            wanted = [channels[row] for row in group.rows if row in channels]
            wanted = wanted or [self.source.layers[group.rows[0]].channels]
            width = self.nearest(group, sum(wanted) / len(wanted))
            for row in group.rows:
                layers[row] = replace(layers[row], channels=width)
        return Architecture(self.source.input_shape, tuple(layers))

    def scaled(self, net: Architecture, factor: float) -> Architecture:
        """A net of these with all free channels times a factor, the nearest that there are."""
        return self.resized({row: factor * net.layers[row].channels for row in self._free})

    def like(self, body: Sequence[Layer]) -> Architecture:
        """The source with the channels of its counterparts in any layers before a head."""
        own = self.source.layers[:-1]
        if [layer.kind for layer in own] == [layer.kind for layer in body]:
            pairs = {row: row for row in range(len(own))}
        else:
            pairs = aligned(own, body)
        return self.resized({row: body[at].channels for row, at in pairs.items()})

    @cached_property
    def smallest_nets(self) -> tuple[Architecture, ...]:
        """The narrowest."""
        return (self.resized(dict.fromkeys(self._free, 0)),)

    # --- random ones ---

    def drawn(self, rng: Rng) -> Architecture:
        """Channels of each group log-uniform among its choices."""
        return self.resized(
            {
                row: math.exp(rng.uniform(math.log(choices[0]), math.log(choices[-1])))
                for group, choices in ((group, self.choices(group)) for group in self.groups)
                for row in group.rows[:1]
            }
        )

    def edited(self, net: Architecture, rng: Rng, *, edits: int = 1) -> Architecture:
        """A net some random changes of channels away.

        Args:
            net: any; of others than these what is nearest is changed.
            rng: source of randomness.
            edits: how many changes.
        """
        if not self.has(net):
            net = self.like(simplify(net).layers[:-1])
        widths = np.array([net.layers[group.rows[0]].channels for group in self.groups], float)
        for number in rng.choice(len(_EDITS), size=edits, p=_WEIGHTS):
            widths *= list(_EDITS)[number](len(widths), rng)
        changed = zip(self.groups, widths.tolist(), strict=True)
        return self.resized({group.rows[0]: width for group, width in changed})


def _one(count: int, rng: Rng) -> Factors:
    """A factor of 0.4 to 1.6 for one group, as for one layer in `edits`."""
    factors = np.ones(count)
    factors[rng.integers(count)] = math.exp(rng.uniform(math.log(0.4), math.log(1.6)))
    return factors


def _each(count: int, rng: Rng) -> Factors:
    """A factor of its own for each group."""
    return np.exp(rng.normal(0.0, 0.3, size=count))


def _tilt(count: int, rng: Rng) -> Factors:
    """One factor at the front, another at the back."""
    front, back = np.exp(rng.uniform(math.log(0.5), math.log(1.5), size=2))
    return np.linspace(front, back, count)


_EDITS = {_one: 3.0, _each: 1.0, _tilt: 1.0}  # edit -> how often, relative to the others
_WEIGHTS = np.array(list(_EDITS.values())) / sum(_EDITS.values())


def widths_of(source: Architecture, form: Form, least: int, most: int) -> Widths:
    """A source of which only channels change.

    Args:
        source: that is compressed.
        form: what is asked for; layers that it keeps have their own channels.
        least: fewest channels of the others.
        most: likewise, most.

    Raises:
        SpaceError: no channels may change, or there is no convolution.
    """
    simple, staying = simple_with(source, form.kept)
    if not any(layer.kind == "conv" for layer in simple.layers):
        raise SpaceError("widths alone cannot be searched in a net without a convolution")
    widths = Widths(simple, staying, least, most, form.round_channels)
    if not widths.groups:
        raise SpaceError("no layer may change its width, so there is nothing to compress")
    return widths
