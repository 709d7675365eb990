"""`Space`: what a search needs to know of where it looks. Anybody may write another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from archpress.architecture.design import D


@dataclass(frozen=True, slots=True)
class Dial:
    """One whole number that a design can be made from.

    Attributes:
        name: of what it sets.
        low, high: both are values.
        ordered: whether neighbouring values mean similar designs.
    """

    name: str
    low: int
    high: int
    ordered: bool = True


class Space(Protocol[D]):
    """Designs around a source, within limits; `tests/space/test_protocol.py` holds two to this.

    - Whatever `sample`, `edit` and `turn` give is in the space: `why_not` of it is None.
    - The same state of the generator gives the same designs.
    """

    @property
    def source(self) -> D:
        """The design that is compressed; it may be over the limits."""

    def why_not(self, design: D) -> str | None:
        """Why a design is not in the space or over its limits; None where it is in."""

    def sample(self, rng: np.random.Generator) -> Iterator[D]:
        """Endless random designs of all sizes that are allowed; may repeat."""

    def edit(self, design: D, rng: np.random.Generator, *, edits: int = 1) -> D:
        """A design some small random changes away; possibly the same one."""

    def everything(self) -> Sequence[D] | None:
        """All designs, where they are few enough to be ranked at once; else None."""

    def dials(self) -> Sequence[Dial]:
        """Whole numbers that make up a design, for optimizers that know nothing of nets."""

    def turn(self, values: Mapping[str, int]) -> D:
        """The design of these values, one for each dial."""


class ChoiceSpace(Space[D], Protocol[D]):
    """A space whose designs are nothing but their dials."""

    def settings(self, design: D) -> Sequence[int]:
        """The value of each dial that makes a design: the inverse of `turn`."""
