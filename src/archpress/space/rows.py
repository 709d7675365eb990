"""`RowSpace`: the rows of a published table, as a `Space`; `Row` is one of its designs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from archpress.errors import SpaceError
from archpress.space.limits import Limits
from archpress.space.protocol import Dial

SIZE_RANGE = 1 / 2  # of the range of log parameters between the smallest row and the largest
NEAREST_OF = 64  # rows that are drawn, of which a sample is the one of the size wanted


@dataclass(frozen=True, slots=True)
class Row:
    """A trained net of which a table tells the choices and the costs, not the layers.

    Attributes:
        choices: one whole number a position.
        parameters: weights.
        macs: multiply-adds of one image; 0 where the table has none.
        peak_memory: bytes of activations; 0 where the table has none.
        key: the choices, e.g. "2-0-1".
    """

    choices: tuple[int, ...]
    parameters: int
    macs: int = 0
    peak_memory: int = 0
    key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Make the key, once: searches over large tables ask for it millions of times."""
        object.__setattr__(self, "key", "-".join(map(str, self.choices)))

    def to_json(self) -> str:
        """The choices."""
        return json.dumps({"choices": self.choices})


@dataclass(frozen=True)
class RowSpace:
    """All rows of a table; nothing that is not in the table is ever proposed.

    Attributes:
        rows: at least one, all of one length, no two alike.
        source: that is compressed; one of the rows.
        limits: on costs.

    Raises:
        SpaceError: rows of different lengths, two alike, a source that is no row, or a limit on
            what the table does not tell.
    """

    rows: Sequence[Row]
    source: Row
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check the rows."""
        if len({len(row.choices) for row in self.rows}) != 1:
            raise SpaceError("the rows of a table must all have the same number of choices")
        if len(self._by_choices) != len(self.rows):
            raise SpaceError("two rows of the table have the same choices")
        if self.source.choices not in self._by_choices:
            raise SpaceError(f"the source {self.source.key} is not in the table")
        for limit, cost in (("max_macs", "macs"), ("max_peak_memory", "peak_memory")):
            limited = getattr(self.limits, limit) is not None
            if limited and not any(getattr(row, cost) for row in self.rows):
                raise SpaceError(f"the table has no {cost}, so {limit} cannot be kept")

    @cached_property
    def _by_choices(self) -> dict[tuple[int, ...], Row]:
        return {row.choices: row for row in self.rows}

    @cached_property
    def _allowed(self) -> list[Row]:
        """Rows within the limits, by rising parameters."""
        allowed = [row for row in self.rows if self.limits.allow(row)]
        if not allowed:
            raise SpaceError("no row of the table keeps the limits")
        return sorted(allowed, key=lambda row: (row.parameters, row.choices))

    @cached_property
    def _log_parameters(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.log([max(row.parameters, 1) for row in self._allowed])

    def why_not(self, design: Row) -> str | None:
        """Why a row is not here or over the limits."""
        if self._by_choices.get(design.choices) != design:
            return f"{design.key} is not in the table"
        broken = next(self.limits.broken(design), None)
        return None if broken is None else f"{broken[2]:,} is over {broken[0]}={broken[1]:,}"

    def sample(self, rng: np.random.Generator) -> Iterator[Row]:
        """Endless rows: sizes log-uniform over the larger half, the row at random near the size."""
        sizes = self._log_parameters
        low = sizes[-1] - SIZE_RANGE * (sizes[-1] - sizes[0])
        while True:
            drawn = rng.integers(len(sizes), size=NEAREST_OF)
            wanted = rng.uniform(low, sizes[-1])
            yield self._allowed[int(drawn[np.argmin(np.abs(sizes[drawn] - wanted))])]

    def edit(self, design: Row, rng: np.random.Generator, *, edits: int = 1) -> Row:
        """A row that differs in some positions; the same where the table has none such."""
        dials = self.dials()
        for _ in range(NEAREST_OF):
            choices = list(design.choices)
            for position in rng.choice(len(dials), size=min(edits, len(dials)), replace=False):
                others = [v for v in self._values[position] if v != choices[position]]
                choices[position] = int(rng.choice(others)) if others else choices[position]
            row = self._by_choices.get(tuple(choices))
            if row is not None and self.limits.allow(row):
                return row
        return design if self.limits.allow(design) else self._allowed[0]

    def everything(self) -> Sequence[Row]:
        """All rows within the limits."""
        return self._allowed

    def dials(self) -> Sequence[Dial]:
        """One dial a position."""
        return [Dial(f"x{i}", values[0], values[-1]) for i, values in enumerate(self._values)]

    @cached_property
    def _values(self) -> list[list[int]]:
        """The choices that occur at each position, rising."""
        return [sorted(set(column)) for column in zip(*self._by_choices, strict=True)]

    def turn(self, values: Mapping[str, int]) -> Row:
        """The row of these choices; where the table lacks it, the nearest one within the limits."""
        choices = tuple(values[f"x{i}"] for i in range(len(self.source.choices)))
        row = self._by_choices.get(choices)
        if row is not None and self.limits.allow(row):
            return row
        distances = np.abs(self._choices_of_allowed - np.array(choices)).sum(1)
        return self._allowed[int(np.argmin(distances))]

    @cached_property
    def _choices_of_allowed(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        return np.array([row.choices for row in self._allowed], dtype=np.int64)

    def settings(self, design: Row) -> tuple[int, ...]:
        """The value of each dial that makes a row: the inverse of `turn`."""
        return design.choices
