"""`Neighbourhood`: the nets around a source, as a `Space`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archpress.architecture import ACTIVATIONS, Architecture, Layer, simplify
from archpress.errors import SpaceError
from archpress.space.edits import edit, sample_neighbourhood
from archpress.space.kept import without
from archpress.space.protocol import Dial
from archpress.space.repair import repair
from archpress.space.space import SearchSpace

WIDTHS = 12  # settings of a width dial; each step down is a factor of the square root of 2
NORMS_AND_ACTIVATIONS = {"batch_norm", "dropout", *ACTIVATIONS}


@dataclass(frozen=True)
class Neighbourhood:
    """Nets of a search space, drawn by editing a source.

    Attributes:
        source: need not be in the space.
        search_space: what nets may be made of, and the limits.
    """

    source: Architecture
    search_space: SearchSpace

    def why_not(self, design: Architecture) -> str | None:
        """The first reason why a net is not in the space."""
        return self.search_space.why_not(design)

    def sample(self, rng: np.random.Generator) -> Iterator[Architecture]:
        """Endless nets, each a few edits from the source, of all sizes allowed."""
        return map(simplify, sample_neighbourhood(self.source, self.search_space, rng))

    def edit(
        self, design: Architecture, rng: np.random.Generator, *, edits: int = 1
    ) -> Architecture:
        """A net some random edits away."""
        return simplify(edit(design, self.search_space, rng, edits=edits))

    def everything(self) -> None:
        """Far too many."""

    def dials(self) -> list[Dial]:
        """A width and a kernel for each layer that chooses channels, and whether maps are averaged.

        Width 0 leaves the layer out, with the norm and activation behind it.
        """
        dials = [] if self._has_average() else [Dial("average", 0, 1)]
        for index in self._choosers():
            dials.append(Dial(f"width{index}", 0, WIDTHS))
            if self.source.layers[index].kernel:
                dials.append(Dial(f"kernel{index}", 0, len(self._kernels()) - 1))
        return dials

    def turn(self, values: Mapping[str, int]) -> Architecture:
        """The source with these widths, kernels and head, repaired into the space."""
        gone: set[int] = set()
        dropping = False
        choosers = self._choosers()
        for index, layer in enumerate(self.source.layers[:-1]):
            if index in choosers:
                dropping = values[f"width{index}"] == 0
            elif layer.kind not in NORMS_AND_ACTIVATIONS:
                dropping = False
            if dropping:
                gone.add(index)
        rows = [index for index in range(len(self.source.layers)) if index not in gone]
        *body, head = (
            self._turned(layer, index, values) if index in choosers else layer
            for index, layer in zip(rows, without(self.source, gone), strict=True)
        )
        if values.get("average"):
            body.append(Layer("global_average_pool", inputs=head.inputs))
            head = replace(head, inputs=(1,))
        return simplify(repair([*body, head], self.search_space).architecture)

    def _has_average(self) -> bool:
        return any(layer.kind == "global_average_pool" for layer in self.source.layers)

    def _choosers(self) -> list[int]:
        body = self.source.layers[:-1]
        return [index for index, layer in enumerate(body) if layer.channels]

    def _kernels(self) -> Sequence[int]:
        kernels = self.search_space.kernels
        return [kernel for kernel in kernels if kernel % 2] or kernels

    def _turned(self, layer: Layer, index: int, values: Mapping[str, int]) -> Layer:
        width = max(1, round(layer.channels * 2 ** ((values[f"width{index}"] - WIDTHS) / 2)))
        turned = replace(layer, channels=width)
        if not layer.kernel:
            return turned
        kernel = self._kernels()[values[f"kernel{index}"]]
        return replace(turned, kernel=kernel, padding=kernel // 2)


def require_neighbourhood(space: object, who: str) -> Neighbourhood:
    """The space itself.

    Raises:
        SpaceError: it has no source whose layers could be edited, as a table's rows.
    """
    if not isinstance(space, Neighbourhood):
        raise SpaceError(f"{who} needs the layers of a net, and a {type(space).__name__} has none")
    return space
