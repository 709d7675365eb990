"""How near each way to search comes to the best of NAS-Bench-Macro (Su et al. 2021).

    python examples/nas_bench_macro.py nas_bench_macro.csv 0.5

The file has a row for each of the 3^8 nets: `arch` (eight digits: 0 skips the block, 1 and 2 are
inverted residual blocks of 3x3 and 5x5), `acc1`, `acc2`, `acc3` (percent, three trainings),
`params`. An adapter is nothing but rows and their accuracies. `pip install 'archpress[baselines]'`.
"""

import csv
import sys
from pathlib import Path

from archpress.baselines import SEARCHES
from archpress.evaluation import torch_threads
from archpress.search.choices import choice_arm
from archpress.search.table import Table, search_table
from archpress.space import Row, RowSpace

SEEDS = 20
OTHERS = ("tpe", "nsga2", "evolution", "random")


def read_macro(path: Path) -> Table:
    rows, accuracies = [], {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            row = Row(tuple(map(int, line["arch"])), int(line["params"]))
            rows.append(row)
            runs = [float(line[f"acc{run}"]) for run in (1, 2, 3)]
            accuracies[row.key] = sum(runs) / len(runs) / 100
    return Table("nas-bench-macro", rows, accuracies)


def main(path: str, loss: str = "0.5") -> None:
    table = read_macro(Path(path))
    source = table.source()
    found = search_table(
        table,
        source,
        [choice_arm(RowSpace(table.rows, source)), *(SEARCHES[name]() for name in OTHERS)],
        max_accuracy_loss=float(loss) / 100,
        lookups=(25, 50, 100),
        seeds=SEEDS,
    )
    print(f"best of the table: {found.optimum:.3f}x smaller")
    for name, values in found.reached.items():
        means = ", ".join(f"{mean:.3f}x" for mean in values.mean(0))
        print(
            f"{name}: {means} after {found.lookups} look-ups; {found.seconds[name]:.1f} s a search"
        )


if __name__ == "__main__":
    with torch_threads(1):
        main(*sys.argv[1:])
