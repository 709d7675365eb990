"""One table of comparisons that ran in parts, from the tables that each of them left.

    cd benchmarks/results
    python ../one_table.py fashion_mnist_20000_semifinal \
        fashion_mnist_20000:default=no-finalists,random,tpe --out fashion_mnist_20000_all

A part is the folder of a comparison, with the arms that are taken from it; without any, all. An
arm that was called otherwise on its day is written NAME=NAME_NOW. An arm with a seed is taken from
the first part that has it. `archpress compare --join` does the same for folders with all that
belongs to them, and sees that they are of one task; here that is up to who calls it. Writes
`compare.csv`, `trials.csv` and `compare.md`, in which `default` is held against each arm, seed by
seed.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

from archpress.comparison.tables import markdown_table
from archpress.comparison.verdict import paired
from archpress.compression.result import Spread

OURS = "default"
COLUMNS = (
    "arm",
    "seeds",
    "test accuracy, mean ± sd",
    f"{OURS} is better by",
    "standard error",
    "p, t-test",
    "on validation images",
    "best trial",
    "parameters, mean",
    "from",
)

Row = dict[str, str]


class Part(NamedTuple):
    """Arms of a folder, by the names they had; None: all of them."""

    folder: Path
    arms: dict[str, str] | None

    @classmethod
    def named(cls, text: str) -> "Part":
        """From FOLDER or FOLDER:ARM,ARM=NAME_NOW."""
        folder, _, arms = text.partition(":")
        names = [one.partition("=") for one in arms.split(",") if one]
        return cls(Path(folder), {then: now or then for then, _, now in names} or None)

    def rows(self, table: str) -> list[Row]:
        """Of one of its tables, with the arms' names of now."""
        with (self.folder / table).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if self.arms is None:
            return [{**row, "part": self.folder.name} for row in rows]
        return [
            {**row, "arm": self.arms[row["arm"]], "part": self.folder.name}
            for row in rows
            if row["arm"] in self.arms
        ]


def write_csv(path: Path, rows: list[Row]) -> None:
    """With all columns that any part has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def values(runs: list[Row], column: str) -> dict[int, float]:
    """Seed -> value, as far as there is one."""
    return {int(run["seed"]): float(run[column]) for run in runs if run[column]}


def spread_of(runs: list[Row], column: str) -> str:
    """Mean and standard deviation, in percent."""
    found = list(values(runs, column).values())
    if not found:
        return "-"
    spread = Spread.of(found)
    return f"{100 * spread.mean:.2f} ± {100 * spread.std:.2f}"


def line(arm: str, runs: list[Row], ours: list[Row]) -> list[str]:
    """Of the table that a person reads."""
    differences = ["", "", "", ""]
    test, validation = (
        paired(arm, values(ours, column), values(runs, column))
        for column in ("test_accuracy", "validation_accuracy")
    )
    if arm != OURS and test and validation:
        error = "-" if test.standard_error is None else f"{100 * test.standard_error:.2f}"
        chance = "-" if test.t_test is None else f"{test.t_test:.1g}"
        differences = [f"{100 * test.mean:+.2f}", error, chance, f"{100 * validation.mean:+.2f}"]
    parameters = Spread.of(list(values(runs, "parameters").values()))
    return [
        arm,
        str(len(runs)),
        spread_of(runs, "test_accuracy"),
        *differences,
        spread_of(runs, "best_trial_accuracy"),
        f"{parameters.mean:,.0f}",
        ", ".join(sorted({run["part"] for run in runs})),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="One table of several comparisons.")
    parser.add_argument("parts", type=Part.named, nargs="+", metavar="FOLDER[:ARM,ARM=NAME_NOW]")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    runs: dict[tuple[str, str], Row] = {}
    trials: list[Row] = []
    for part in given.parts:
        rows = part.rows("compare.csv")
        missing = {*(part.arms or {}).values()} - {row["arm"] for row in rows}
        if missing:
            raise SystemExit(f"{part.folder} has not all arms: {', '.join(sorted(missing))}")
        new = {(row["arm"], row["seed"]): row for row in rows}
        new = {which: row for which, row in new.items() if which not in runs}
        runs |= new
        trials += [row for row in part.rows("trials.csv") if (row["arm"], row["seed"]) in new]
    by_arm: dict[str, list[Row]] = {}
    for row in runs.values():
        by_arm.setdefault(row["arm"], []).append(row)
    if OURS not in by_arm:
        raise SystemExit(f"no part has the arm {OURS}")
    lines = [line(arm, found, by_arm[OURS]) for arm, found in by_arm.items()]
    lines.sort(key=lambda one: one[2], reverse=True)
    given.out.mkdir(parents=True, exist_ok=True)
    write_csv(given.out / "compare.csv", list(runs.values()))
    write_csv(given.out / "trials.csv", trials)
    (given.out / "compare.md").write_text(
        "# Comparisons in parts, in one table\n\nAccuracies in percent, differences in points over "
        f"the seeds that both have.\n\n{markdown_table(COLUMNS, lines)}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
