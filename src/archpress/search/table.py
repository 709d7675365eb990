"""Searching a published table: read it, let arms look rows up, tell how near they come to its best.

The plainest form of a table is a CSV file with columns `x0`, `x1`, ... (whole numbers), `accuracy`
(percent) and `parameters`.
"""

import csv
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archpress.errors import DataError, SpaceError
from archpress.evaluation import TableEvaluator, Trial
from archpress.search.objective import Objective
from archpress.search.problem import Arm, Problem, run_arm
from archpress.search.progress import Progress, Silent
from archpress.space import Limits, Row, RowSpace

CHOICE = re.compile(r"x(0|[1-9]\d*)")
MOST_PARAMETERS = 1e15  # what numbers in a table hold exactly
MILLIONS = 10**6


@dataclass(frozen=True)
class Table:
    """Rows with their accuracies.

    Attributes:
        name: for people.
        rows: of one length, no two alike.
        accuracies: fraction in [0, 1], by the key of the row.
    """

    name: str
    rows: Sequence[Row]
    accuracies: Mapping[str, float]

    @property
    def evaluator(self) -> TableEvaluator[Row]:
        """Looks rows up in the place of training them."""
        metrics = {key: {"accuracy": value} for key, value in self.accuracies.items()}
        return TableEvaluator(metrics, name=self.name)

    def source(self, choices: Sequence[int] | None = None) -> Row:
        """The row of these choices; by default the one of the largest.

        Raises:
            SpaceError: the table has no such row.
        """
        if choices is None:
            wanted = tuple(
                max(column) for column in zip(*(r.choices for r in self.rows), strict=True)
            )
            why = "the row of the largest choices; name another source"
        else:
            wanted, why = tuple(choices), "that row"
        for row in self.rows:
            if row.choices == wanted:
                return row
        raise SpaceError(f"{self.name} has no row {','.join(map(str, wanted))}: it lacks {why}")


def read_table(path: Path | str) -> Table:
    """Read a CSV file of columns x0, x1, ..., accuracy (percent), parameters; others are left.

    Where parameters are not whole, they are taken for millions.

    Raises:
        DataError: no such file, a column is missing, or a value is not what it should be; the
            message has the line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel begins with a mark
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            choices = _choice_columns(reader.fieldnames, path)
            lines = [_line(line, choices, f"{path} line {reader.line_num}") for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {path}: {error}") from None
    if not lines:
        raise DataError(f"the table {path} has no rows")
    whole = all(line.parameters.is_integer() for line in lines)
    unit = 1 if whole else MILLIONS  # what counts are ratios
    read = [(Row(one.choices, max(1, round(unit * one.parameters))), one.accuracy) for one in lines]
    accuracies = {row.key: accuracy for row, accuracy in read}
    if len(accuracies) != len(read):
        raise DataError(f"the table {path} has two rows of the same choices")
    if (best := max(accuracies.values())) <= 0.01:  # of percent: fractions, most likely
        raise DataError(
            f"accuracies in the table {path} must be percent, and the highest is {100 * best:g}"
        )
    return Table(path.stem, [row for row, _ in read], accuracies)


def _choice_columns(names: Sequence[str], path: Path) -> list[str]:
    choices = sorted((n for n in names if CHOICE.fullmatch(n)), key=lambda name: int(name[1:]))
    if not choices:
        raise DataError(f"the table {path} has no columns x0, x1, ...; it has {', '.join(names)}")
    for needed in ("accuracy", "parameters"):
        if needed not in names:
            raise DataError(f"the table {path} has no column {needed!r}")
    for name in (*choices, "accuracy", "parameters"):
        if names.count(name) > 1:
            raise DataError(f"the table {path} has the column {name!r} twice")
    return choices


@dataclass(frozen=True, slots=True)
class _Line:
    choices: tuple[int, ...]
    parameters: float
    accuracy: float  # a fraction


def _line(line: Mapping[str | None, Any], choices: Sequence[str], where: str) -> _Line:
    if None in line:
        raise DataError(
            f"{where} has more values than the header has columns: {','.join(line[None])} is left; "
            "write numbers without commas"
        )

    def number(name: str) -> float:
        try:
            value = float(line[name])
        except (TypeError, ValueError):
            raise DataError(f"{where}: {name} must be a number, not {line[name]!r}") from None
        if not np.isfinite(value) or value < 0:
            raise DataError(f"{where}: {name} must be 0 or more, not {line[name]}")
        return value

    values = [number(name) for name in choices]
    for name, value in zip(choices, values, strict=True):
        if value != int(value) or value > MOST_PARAMETERS:
            raise DataError(
                f"{where}: {name} must be a whole number, at most 10^15, not {line[name]}"
            )
    accuracy = number("accuracy")
    if accuracy > 100:
        raise DataError(f"{where}: accuracy is percent, at most 100, not {line['accuracy']}")
    parameters = number("parameters")
    if not 0 < parameters <= MOST_PARAMETERS:
        raise DataError(f"{where}: parameters must be above 0, at most 10^15, not {parameters:g}")
    return _Line(tuple(map(int, values)), parameters, accuracy / 100)


@dataclass(frozen=True)
class Lookups:
    """What arms reached on a table.

    Attributes:
        optimum: largest compression in the table within the accuracy allowed.
        lookups: numbers of rows looked up, the source's own among them.
        reached: arm -> `seeds x len(lookups)`, compression of the best row so far.
        seconds: arm -> mean wall time of one search.
    """

    optimum: float
    lookups: tuple[int, ...]
    reached: Mapping[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]]
    seconds: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """Mean and standard deviation over seeds (of n - 1), for JSON."""
        arms = {
            name: {
                "mean": [round(float(v), 4) for v in values.mean(0)],
                "std": [round(float(v), 4) for v in values.std(0, ddof=min(1, len(values) - 1))],
                "seconds": round(self.seconds[name], 2),
            }
            for name, values in self.reached.items()
        }
        return {"optimum": round(self.optimum, 4), "lookups": list(self.lookups), "arms": arms}


def search_table(
    table: Table,
    source: Row,
    arms: Sequence[Arm[Row]],
    *,
    max_accuracy_loss: float,
    lookups: Sequence[int],
    seeds: int,
    progress: Progress | None = None,
) -> Lookups:
    """The smallest row that is about as accurate as the source, sought by each arm.

    Args:
        table: of trained nets.
        source: row that is compressed.
        arms: ways to search.
        max_accuracy_loss: fraction in [0, 1] that a row may be less accurate than the source.
        lookups: rising numbers of look-ups after which to tell the best so far.
        seeds: searches of each arm.
        progress: who listens.
    """
    limits = Limits(max_accuracy_loss=max_accuracy_loss)
    evaluator = table.evaluator
    objective = Objective(limits, limits.least_accuracy(table.accuracies[source.key]))
    space = RowSpace(table.rows, source)
    fine = [row for row in table.rows if objective.feasible(row, table.accuracies[row.key])]
    optimum = source.parameters / min(row.parameters for row in fine)
    reached, seconds = {}, {}
    listener = progress or Silent()
    for arm in arms:
        listener.stage(f"searches of {arm.name}", seeds)
        started, found = time.perf_counter(), []
        for seed in range(seeds):
            problem = Problem(space, objective, max(lookups), seed=seed)
            trials = run_arm(arm, problem, lambda rows: evaluator.evaluate(rows, seed=0))
            found.append([_compression(trials[:n], source, objective) for n in lookups])
            listener.advance(seed + 1, f"the last found {found[-1][-1]:.2f} of {optimum:.2f}")
        seconds[arm.name] = (time.perf_counter() - started) / seeds
        reached[arm.name] = np.array(found)
    return Lookups(optimum, tuple(lookups), reached, seconds)


def _compression(trials: Sequence[Trial[Row]], source: Row, objective: Objective) -> float:
    """Of the smallest row that was looked up and is accurate enough; 1 where none is smaller."""
    fine = [t.architecture for t in trials if objective.feasible(t.architecture, t.accuracy or 0.0)]
    return source.parameters / min([source.parameters, *(row.parameters for row in fine)])
