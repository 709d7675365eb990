import json

import pytest

from archpress.errors import StoreError
from archpress.report.trials import front as front_of_report
from archpress.report.trials import trial_points
from archpress.space import Limits
from archpress.store import Store
from archpress.watching.rows import TrialRow, read_rows
from archpress.watching.standing import front, standing_of


def standing(run, **limits):
    plan = json.loads((run / "run.json").read_text()) | {"limits": limits}
    return standing_of(read_rows(run / "trials.db"), plan)


def test_rows_are_the_trials_of_the_store(run):
    with Store(run / "trials.db") as store:
        for row, trial in zip(read_rows(run / "trials.db"), store.trials(), strict=True):
            assert row._asdict() == {name: trial.summary()[name] for name in TrialRow._fields}


def test_reading_writes_nothing(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    read_rows(run / "trials.db")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_what_another_process_has_not_closed_yet_is_read(run, make):
    with Store(run / "trials.db") as store:
        store.add(make.trial(9, 0.7, 9))
        assert (run / "trials.db-wal").stat().st_size > 0
        assert len(read_rows(run / "trials.db")) == 4


def test_a_file_that_is_no_store_is_told(tmp_path):
    path = tmp_path / "trials.db"
    path.write_text("no database, but longer than a header of one " * 20)
    with pytest.raises(StoreError, match="cannot read the store"):
        read_rows(path)
    path.write_bytes(b"")
    assert read_rows(path) == []


def test_only_trials_of_the_run_are_points(run, make):
    make.add(
        run,
        make.trial(7, 0.99, 4, recipe="other"),
        make.trial(7, 0.99, 4, data="other"),
        make.trial(7, 0.99, 4, seed=1),
    )
    found = standing(run)
    assert [point.accuracy for point in found.points] == [0.8, 0.9]
    assert found.failed == 1
    assert len(found.latest) == 6


def test_without_a_plan_the_most_frequent_recipe_counts(run, make):
    make.add(run, make.trial(7, 0.99, 4, recipe="other"), make.trial(8, 0.7, 5, seed=1))
    found = standing_of(read_rows(run / "trials.db"), {})
    assert [point.accuracy for point in found.points] == [0.8, 0.9, 0.7]


def test_the_front_is_that_of_the_report(tmp_path, make):
    accuracies = [0.7, 0.9, 0.8, 0.85, 0.9, 0.95, 0.6]
    widths = [5, 9, 7, 4, 8, 12, 3]
    pairs = zip(widths, accuracies, strict=True)
    trials = [make.trial(width, value, n) for n, (width, value) in enumerate(pairs)]
    make.add(tmp_path, *trials)
    for cost in ("parameters", "macs"):
        expected = front_of_report(trial_points(trials, Limits()), cost)
        found = front(read_rows(tmp_path / "trials.db"), cost)
        assert list(found) == [point.number for point in expected]


def test_the_best_keeps_to_the_limits_on_costs(run, make):
    make.add(run, make.trial(3, 0.85, 5), make.trial(9, 0.99, 6))
    most = make.net(6).parameters
    assert standing(run, max_parameters=most).best == ((1, 0.8), (2, 0.9))
    assert standing(run, max_parameters=most - 1).best == ((1, 0.8), (3, 0.85))
    assert standing(run).best == ((1, 0.8), (2, 0.9), (4, 0.99))
    assert "latency is not looked at" in standing(run, max_latency=0.5).rule


def test_with_limits_on_accuracy_alone_the_best_is_the_smallest(run, make):
    make.add(run, make.trial(20, 0.91, 5, origin="source"), make.trial(5, 0.905, 6, recipe="other"))
    found = standing(run, max_accuracy_loss=0.02)
    assert found.unit == "parameters"
    assert found.best == ((2, make.net(6).parameters),)


def test_a_least_accuracy_of_final_trainings_is_not_held_against_trials(run, make):
    make.add(run, make.trial(20, 0.91, 5, origin="source"), make.trial(7, 0.93, 6))
    found = standing(run, min_accuracy=0.85)
    assert found.unit == "accuracy"
    assert found.best[-1][1] == 0.93
    assert "the limit on accuracy is not looked at" in found.rule


def test_reasons_are_counted_and_not_endless(run, make):
    make.add(run, *(make.trial(20 + n, None, 10 + n, error="x" * 999) for n in range(2)))
    (often, times), (_, once) = standing(run).reasons
    assert (len(often), times, once) == (300, 2, 1)
