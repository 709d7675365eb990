"""`Limits`: what a result must keep to, in the user's units."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from archpress.architecture.design import Design
from archpress.errors import SpaceError

COSTS = {  # limit -> (attribute of Architecture, how a person says it)
    "max_parameters": ("parameters", "parameters"),
    "max_macs": ("macs", "multiply-adds"),
    "max_peak_memory": ("peak_memory", "bytes of activations"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Any combination of limits; None is no limit.

    Attributes:
        max_parameters: weights.
        max_macs: multiply-adds of one image.
        max_peak_memory: bytes of activations alive at once, one float32 image.
        min_accuracy: fraction in [0, 1], on validation images under the final recipe.
        max_accuracy_loss: fraction in [0, 1], against the source under the same recipe.

    Raises:
        SpaceError: a cost limit below 1, or an accuracy outside [0, 1].
    """

    max_parameters: int | None = None
    max_macs: int | None = None
    max_peak_memory: int | None = None
    min_accuracy: float | None = None
    max_accuracy_loss: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, (_, unit) in COSTS.items():
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpaceError(f"{name} must be at least 1 ({unit}), not {value}")
        for name in ("min_accuracy", "max_accuracy_loss"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SpaceError(f"{name} is a fraction and must be in [0, 1], not {value}")

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    @property
    def any_cost(self) -> bool:
        """Whether a cost is limited."""
        return any(getattr(self, name) is not None for name in COSTS)

    @property
    def any_accuracy(self) -> bool:
        """Whether the accuracy is limited."""
        return self.min_accuracy is not None or self.max_accuracy_loss is not None

    def least_accuracy(self, source_accuracy: float) -> float:
        """The accuracy that a result must reach; 0 without such a limit."""
        floor = self.min_accuracy or 0.0
        if self.max_accuracy_loss is not None:
            floor = max(floor, source_accuracy - self.max_accuracy_loss)
        return floor

    def broken(self, architecture: Design) -> Iterator[tuple[str, int, int]]:
        """(limit, allowed, found) of each cost limit that the architecture exceeds."""
        for name, (attribute, _) in COSTS.items():
            allowed, found = getattr(self, name), getattr(architecture, attribute)
            if allowed is not None and found > allowed:
                yield name, allowed, found

    def allow(self, architecture: Design) -> bool:
        """Whether all cost limits are kept."""
        return next(self.broken(architecture), None) is None
