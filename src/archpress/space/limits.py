"""`Limits`: what a result must keep to, in the user's units."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from archpress.architecture import Architecture
from archpress.architecture.architecture import BYTES_PER_VALUE
from archpress.architecture.design import Design
from archpress.errors import SpaceError
from archpress.space.latency import LatencyModel

COSTS = {  # limit -> (attribute of Architecture, how a person says it)
    "max_parameters": ("parameters", "parameters"),
    "max_macs": ("macs", "multiply-adds"),
    "max_peak_memory": ("peak_memory", "bytes of activations"),
    "max_file_size": ("file_size", "bytes of weights.safetensors"),
}
COST_LIMITS = (*COSTS, "max_latency")  # the latter hangs on a device, not on the net alone
ROUNDING = 1e-9  # of means and differences of accuracies: one that is just reached is reached


@dataclass(frozen=True, slots=True)
class Limits:
    """Any combination of limits; None is no limit.

    Attributes:
        max_parameters: weights.
        max_macs: multiply-adds of one image.
        max_peak_memory: bytes of activations alive at once, one float32 image.
        min_accuracy: fraction in [0, 1], on validation images under the final recipe.
        max_accuracy_loss: fraction in [0, 1], against the source under the same recipe.
        max_latency: milliseconds of a pass, under the conditions of `latency`.
        latency: tells how long nets take; needed where `max_latency` is judged.
        max_latency_share: of the source's latency, in (0, 1), in the place of `max_latency`.
        max_file_size: bytes of `weights.safetensors` of the run folder, float32.

    Raises:
        SpaceError: a cost limit below 1, no time at all, or an accuracy outside [0, 1].

    Costs are whole numbers, so the fraction of a limit on one is dropped.
    """

    max_parameters: int | None = None
    max_macs: int | None = None
    max_peak_memory: int | None = None
    min_accuracy: float | None = None
    max_accuracy_loss: float | None = None
    max_latency: float | None = None
    latency: LatencyModel | None = field(default=None, compare=False)
    max_latency_share: float | None = None
    max_file_size: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, (_, unit) in COSTS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not 1 <= value < math.inf:
                raise SpaceError(f"{name} must be at least 1 ({unit}), not {value}")
            object.__setattr__(self, name, int(value))
        for name in ("min_accuracy", "max_accuracy_loss"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SpaceError(f"{name} is a fraction and must be in [0, 1], not {value}")
        if self.max_latency is not None and not 0 < self.max_latency < math.inf:
            raise SpaceError(f"max_latency must be milliseconds above 0, not {self.max_latency}")
        share = self.max_latency_share
        if share is not None and not 0 < share < 1:
            raise SpaceError(f"a share of the source's latency must be in (0, 1), not {share:g}")
        if share is not None and self.max_latency is not None:
            raise SpaceError("max_latency is given as milliseconds and as a share: one is enough")

    def __repr__(self) -> str:
        """Runs know their earlier rounds by it: what they did not have stands there only if set."""
        names = ("max_parameters", "max_macs", "max_peak_memory", "min_accuracy")
        shown = [f"{name}={getattr(self, name)!r}" for name in (*names, "max_accuracy_loss")]
        if self.max_file_size is not None:
            shown.append(f"max_file_size={self.max_file_size}")
        return f"Limits({', '.join(shown)})"

    @property
    def most_parameters(self) -> int | None:
        """That a net can have at most: by their own limit, and by the bytes that they take."""
        by_size = None if self.max_file_size is None else self.max_file_size // BYTES_PER_VALUE
        return min((m for m in (self.max_parameters, by_size) if m is not None), default=None)

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return self.any_cost or self.any_accuracy

    @property
    def any_cost(self) -> bool:
        """Whether a cost is limited."""
        return self.limits_latency or any(getattr(self, name) is not None for name in COSTS)

    @property
    def limits_latency(self) -> bool:
        """Whether the latency is limited, in milliseconds or as a share of the source's."""
        return self.max_latency is not None or self.max_latency_share is not None

    @property
    def any_accuracy(self) -> bool:
        """Whether the accuracy is limited."""
        return self.min_accuracy is not None or self.max_accuracy_loss is not None

    def least_accuracy(self, source_accuracy: float) -> float:
        """The accuracy that a result must reach, less `ROUNDING`; 0 without such a limit."""
        return max(0.0, self._floor(source_accuracy) - ROUNDING)

    def _floor(self, source_accuracy: float) -> float:
        floor = self.min_accuracy or 0.0
        if self.max_accuracy_loss is not None:
            floor = max(floor, source_accuracy - self.max_accuracy_loss)
        return floor

    def against(self, source_accuracy: float) -> "Limits":
        """With accuracies as a loss alone, against a source of this accuracy.

        So brief trainings can keep them too, compared with a brief training of the source.
        """
        if self.min_accuracy is None:
            return self
        loss = max(0.0, source_accuracy - self._floor(source_accuracy))
        return replace(self, min_accuracy=None, max_accuracy_loss=loss)

    def to_dict(self) -> dict[str, float | str]:
        """The limits that there are, as plain values, and what latencies are measured with."""
        names = (*COST_LIMITS, "max_latency_share", "min_accuracy", "max_accuracy_loss")
        told = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.limits_latency and self.latency is not None:
            told["latency"] = str(self.latency.conditions)
        return told

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> "Limits":
        """What `to_dict` told, without a model of latencies."""
        names = {field.name for field in fields(cls)} - {"latency"}
        return cls(**{name: value for name, value in told.items() if name in names})

    def cost(self, name: str, design: Design) -> float:
        """What a design has of a limited cost.

        Args:
            name: of the limit, one of `COST_LIMITS`.
            design: an architecture; a row of a table is one too, without layers: it has no latency
                and no file.
        """
        if name != "max_latency":
            found: float | None = getattr(design, COSTS[name][0], None)
            if found is None:
                raise SpaceError(f"{name} cannot be told of a {type(design).__name__}")
            return found
        if self.latency is None:
            raise SpaceError("max_latency needs times of this device: see `archpress profile`")
        return self.latency.milliseconds(cast("Architecture", design))

    def broken(self, design: Design) -> Iterator[tuple[str, float, float]]:
        """(limit, allowed, found) of each cost limit that the design exceeds."""
        for name in COST_LIMITS:
            allowed = getattr(self, name)
            if allowed is None:
                continue
            found = self.cost(name, design)
            if found > allowed:
                yield name, allowed, found

    def miss(self, design: Architecture) -> tuple[int, float, int]:
        """By which of too costly designs the nearest is the least.

        Returns:
            Cost limits broken, the largest ratio of a cost to its limit, the parameters.
        """
        ratios = [found / allowed for _, allowed, found in self.broken(design)]
        return len(ratios), max(ratios, default=1.0), design.parameters

    def allow(self, design: Design) -> bool:
        """Whether all cost limits are kept."""
        return next(self.broken(design), None) is None


def told_cost(value: float) -> str:
    """A cost for people: whole numbers as they are, else milliseconds.

    >>> told_cost(93_000), told_cost(0.1234567)
    ('93,000', '0.123 ms')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g} ms"
