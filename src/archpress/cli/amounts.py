"""Amounts as a user types them: 93000, 5e6, 93K, 20MB or 50% of what the source has."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archpress.errors import ArchpressError

if TYPE_CHECKING:
    from archpress.architecture import Architecture
    from archpress.space import Limits


@dataclass(frozen=True, slots=True)
class Units:
    """What may stand behind a number.

    Attributes:
        sizes: how much a unit is, by its name in small letters; "" where none stands there.
        examples: for people.
    """

    sizes: Mapping[str, float]
    examples: str


_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_OF_BYTES = {f"{name}b": size for name, size in _THOUSANDS.items()}
COUNTS = Units(_THOUSANDS, "93000, 93K")
BYTES = Units(
    _THOUSANDS | _OF_BYTES | {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}, "65536, 64KB"
)
MILLISECONDS = Units({"": 1.0, "us": 1e-3, "ms": 1.0, "s": 1e3}, "2.5, 2.5ms")

_FORM = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(%|[a-z]*)", re.IGNORECASE)
_MOST = 1e18  # that a store can be asked for
_ROUNDING = 1e-6  # 1.005K is 1004.9999999999999 in floats


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, or a share of something.

    Attributes:
        value: in the unit without a name; of a share in percent.
        is_share: whether it is one.
    """

    value: float
    is_share: bool = False

    def of(self, whole: float) -> float:
        """The number that is meant, where a share is one of `whole`.

        >>> Amount(50.0, is_share=True).of(708458), Amount(93000.0).of(708458)
        (354229.0, 93000.0)
        """
        return self.value * whole / 100 if self.is_share else self.value

    def counted(self, whole: float = 0.0) -> int:
        """The same as a whole number, rounded down.

        >>> Amount(1.005e3).counted()
        1005
        """
        return math.floor(self.of(whole) + _ROUNDING)


def read_amount(text: str, option: str, units: Units = COUNTS) -> Amount:
    """An amount from what was typed after an option; small and capital letters are alike.

    Args:
        text: a number, with a unit or a percent sign behind it.
        option: for the error.
        units: `COUNTS`, `BYTES` (a KB is 1,000 bytes, a KiB 1,024) or `MILLISECONDS`.

    Raises:
        ArchpressError: it is no such thing.

    >>> read_amount("93K", "--max-parameters").value, read_amount("5e6", "--max-macs").value
    (93000.0, 5000000.0)
    >>> read_amount("12.5 %", "--max-macs")
    Amount(value=12.5, is_share=True)
    """
    found = _FORM.fullmatch(text.strip())
    if found:
        number, unit = float(found[1]), found[2].lower()
        size = 1.0 if unit == "%" else units.sizes.get(unit)
        if size is not None and abs(number * size) <= _MOST:
            return Amount(number * size, is_share=unit == "%")
        if size is not None:
            raise ArchpressError(f"{option} must be at most {_MOST:g}, not {text!r}")
    raise ArchpressError(f"{option} must be a number such as {units.examples} or 50%, not {text!r}")


@dataclass(frozen=True, slots=True)
class TypedLimits:
    """Limits as they were typed: shares wait for the source.

    Attributes:
        costs: by the name of the limit.
        min_accuracy, max_accuracy_loss: as of `Limits`.
    """

    costs: Mapping[str, Amount]
    min_accuracy: float | None = None
    max_accuracy_loss: float | None = None

    def of(self, source: "Architecture") -> "Limits":
        """The limits for a source, which has the classes of the images by now.

        A share that is no whole number is rounded down, so that it is kept.

        Raises:
            SpaceError: a cost below 1, or an accuracy outside [0, 1].
        """
        from archpress.space import COSTS, Limits, with_joins_of_two

        counted = with_joins_of_two(source)  # as all that it is compared with
        costs = {
            name: amount.counted(getattr(counted, COSTS[name][0]))
            for name, amount in self.costs.items()
        }
        return Limits(
            **costs,  # type: ignore[arg-type]
            min_accuracy=self.min_accuracy,
            max_accuracy_loss=self.max_accuracy_loss,
        )
