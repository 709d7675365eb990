import math
from itertools import product

import numpy as np
import pytest

from archpress.errors import DataError, SpaceError
from archpress.evaluation import Candidate
from archpress.search import Arm
from archpress.search.choices import choice_arm
from archpress.search.table import Table, read_table, search_table
from archpress.space import Limits, Row, RowSpace, distinct


def widths_table():
    """Five layers of eight widths each; accuracy grows with log width, each layer for itself."""
    rng = np.random.default_rng(0)
    rows, accuracies = [], {}
    weights = np.array([2.0, 0.5, 1.0, 0.25, 1.5])
    for choices in product(range(5), repeat=5):
        widths = [8 * (choice + 1) for choice in choices]
        parameters = sum(9 * a * b for a, b in zip([3, *widths], [*widths, 10], strict=True))
        row = Row(choices, parameters)
        rows.append(row)
        gain = float(weights @ np.log(widths)) / weights.sum()
        accuracies[row.key] = 0.5 + 0.1 * gain + 0.001 * rng.normal()
    return Table("widths", rows, accuracies)


TABLE = widths_table()
SOURCE = TABLE.source()


def random_arm():
    def ask(problem):
        for row in distinct(problem.space.sample(problem.rng(0)), problem.budget):
            yield [Candidate(row)]

    return Arm("random", ask)


def test_the_search_finds_nearly_the_best_row_and_beats_chance():
    arms = [choice_arm(RowSpace(TABLE.rows, SOURCE)), random_arm()]
    found = search_table(TABLE, SOURCE, arms, max_accuracy_loss=0.02, lookups=(20, 40), seeds=2)
    reached = {name: values.mean(0) / found.optimum for name, values in found.reached.items()}
    assert reached["default"][1] > 0.95
    assert reached["default"][1] > reached["random"][1] + 0.05
    assert all(np.all(np.diff(values, axis=1) >= 0) for values in found.reached.values())


def test_the_optimum_is_the_smallest_row_that_is_accurate_enough():
    found = search_table(TABLE, SOURCE, [], max_accuracy_loss=0.02, lookups=(5,), seeds=1)
    least = TABLE.accuracies[SOURCE.key] - 0.02
    sizes = [row.parameters for row in TABLE.rows if TABLE.accuracies[row.key] >= least]
    assert math.isclose(found.optimum, SOURCE.parameters / min(sizes))


def test_parameters_may_be_millions_and_names_have_spaces(tmp_path):
    path = tmp_path / "millions.csv"
    path.write_text("x0, x1, accuracy ,parameters\n0,1,90,1.30\n1,1,91,4.6\n")
    rows = read_table(path).rows
    assert [row.choices for row in rows] == [(0, 1), (1, 1)]
    assert [row.parameters for row in rows] == [1_300_000, 4_600_000]


def test_choices_may_be_far_apart():
    far = [Row((10**9 * a, b), 10 + a + b) for a in range(4) for b in range(4)]
    table = Table("far", far, {row.key: 0.8 + 0.01 * (row.parameters - 10) for row in far})
    source = table.source()
    arms = [choice_arm(RowSpace(far, source))]
    found = search_table(table, source, arms, max_accuracy_loss=0.02, lookups=(12,), seeds=1)
    assert found.reached["default"][0, 0] >= 1


def test_a_cost_that_a_table_does_not_tell_cannot_be_limited():
    with pytest.raises(SpaceError, match="the table has no macs, so max_macs cannot be kept"):
        RowSpace(TABLE.rows, SOURCE, Limits(max_macs=10))


def test_the_source_is_the_row_of_the_largest_choices_or_a_named_one():
    assert SOURCE.choices == (4, 4, 4, 4, 4)
    assert TABLE.source((0, 1, 2, 3, 4)).choices == (0, 1, 2, 3, 4)
    with pytest.raises(SpaceError, match="no row 9,9,9,9,9"):
        TABLE.source((9, 9, 9, 9, 9))


def test_a_table_is_read_from_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x1,x0,parameters,accuracy,seconds\n0,2,10,50.0,1\n1,2,20,62.5,\n")
    table = read_table(path)
    assert [row.choices for row in table.rows] == [(2, 0), (2, 1)]
    assert table.accuracies == {"2-0": 0.5, "2-1": 0.625}


def test_a_mark_at_the_beginning_of_a_table_is_no_part_of_its_first_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x0,x1,parameters,accuracy\n0,2,10,50.0\n", encoding="utf-8-sig")
    assert read_table(path).rows[0].choices == (0, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no columns x0"),
        ("a,accuracy,parameters\n", "no columns x0"),
        ("x0,accuracy\n1,2\n", "no column 'parameters'"),
        ("x0,accuracy,parameters\n", "no rows"),
        ("x0,accuracy,parameters\n1,2,3\n1.5,2,3\n", "line 3: x0 must be a whole number"),
        ("x0,accuracy,parameters\n1,200,3\n", "accuracy is percent"),
        ("x0,accuracy,parameters\n1,nan,3\n", "accuracy must be 0 or more"),
        ("x0,accuracy,parameters\n1,2,0\n", "parameters must be above 0"),
        ("x0,accuracy,parameters\n1,2,4e22\n", "parameters must be above 0, at most"),
        ("x0,accuracy,parameters\n1,0.9,3\n2,0.8,2\n", "must be percent, and the highest is 0.9"),
        ("x0,accuracy,parameters\n1,2\n", "parameters must be a number"),
        ("x0,accuracy,parameters\n1,2,1,234\n", "line 2 has more values than the header has col"),
        ("x0,x0,accuracy,parameters\n1,1,2,3\n", "has the column 'x0' twice"),
        ("x0,accuracy,parameters\n1e19,2,3\n", "line 2: x0 must be a whole number, at most"),
        ("x0,accuracy,parameters\n1,2,3\n1,2,3\n", "two rows of the same choices"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_table(path)
