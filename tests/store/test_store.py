import csv
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest
from store_trials import net, trial

from archpress.architecture import Architecture, Layer, chain
from archpress.errors import ArchitectureError, StoreError
from archpress.evaluation import Candidate, TableEvaluator, Trial, TrialState
from archpress.evaluation.trial_files import read_trials
from archpress.store import SORT_KEYS, Store, TrialFilter, evaluate_once

WRITER = """
import sys
from archpress.architecture import Layer, chain
from archpress.evaluation import Trial, TrialState
from archpress.store import Store
place, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
net = chain((1, 4, 4), Layer("linear", channels=3))
with Store(place) as store:
    for seed in range(first, first + count):
        store.add(Trial(net, "data", "recipe", seed, TrialState.DONE, {"accuracy": 0.5}, (0.5,)))
        print(seed, flush=True)
"""


def key_of(stored: Trial) -> tuple[str, str, str, int]:
    return stored.architecture.key, stored.data, stored.recipe, stored.seed


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "trials.db"


@pytest.fixture(params=["file", "memory", "postgres"])
def store(request, path):
    places = {"file": lambda: path, "memory": lambda: "sqlite://"}
    place = places.get(request.param, lambda: request.getfixturevalue("postgres"))()
    with Store(place) as store:
        yield store


# --- the promises of a store ---


def test_a_trial_comes_back_as_it_went_in(store):
    done, failed = trial(created="2026-01-01"), trial(4, None, created="2026-01-02")
    for written in (done, failed):
        assert store.add(written)
        assert store.find(*key_of(written)) == written
    assert store.trials() == [done, failed]
    assert store.count() == 2


@pytest.mark.parametrize(
    "other", [{"data": "d2"}, {"recipe": "r2"}, {"seed": 1}, {"architecture": net(9)}]
)
def test_architecture_data_recipe_and_seed_each_make_another_trial(store, other):
    assert store.add(trial())
    assert store.find(*key_of(trial(**other))) is None
    assert store.add(trial(**other))
    assert store.count() == 2


def test_the_first_trial_of_a_key_stays(store):
    store.add(trial(accuracy=0.5))
    assert not store.add(trial(accuracy=0.75))
    assert not store.add(trial(accuracy=0.75), replace_failed=True)
    assert [stored.accuracy for stored in store.trials()] == [0.5]


def test_another_form_of_an_architecture_is_the_same_trial(store):
    store.add(trial())
    doubled = chain((1, 4, 4), *net().layers[:1], Layer("dropout"), net().layers[1])
    assert doubled != net()
    assert not store.add(trial(architecture=doubled))


def test_a_failed_trial_is_replaced_only_when_asked(store):
    store.add(trial(accuracy=None))
    assert not store.add(trial(accuracy=0.5))
    assert store.add(trial(accuracy=0.5), replace_failed=True)
    assert [stored.accuracy for stored in store.trials()] == [0.5]


def test_trials_are_filtered_sorted_and_limited(store):
    store.add(trial(2, 0.5, created="2026-01-03T00:00:00+00:00", origin="edit"))
    store.add(trial(4, None, created="2026-01-01T00:00:00+00:00", round=2))
    store.add(trial(6, 0.75, created="2026-01-02T00:00:00+00:00", origin="descent"))

    def widths(*filters: TrialFilter, **arguments: object) -> list[int]:
        return [t.architecture.layers[0].channels for t in store.trials(*filters, **arguments)]

    assert widths() == [4, 6, 2]
    assert widths(sort="accuracy", descending=True) == [6, 2, 4]
    assert widths(sort="accuracy") == [2, 6, 4]
    assert widths(sort="parameters", limit=2) == [2, 4]
    assert widths(TrialFilter(state=TrialState.FAILED)) == [4]
    assert widths(TrialFilter(origin="descent")) == [6]
    assert widths(TrialFilter(round=2)) == [4]
    assert widths(TrialFilter(seed=1)) == []
    assert widths(TrialFilter(min_accuracy=0.6)) == [6]
    assert widths(TrialFilter(max_parameters=net(4).parameters)) == [4, 2]
    assert widths(TrialFilter(max_macs=net(2).macs, data="data", recipe="recipe")) == [2]
    assert store.count(TrialFilter(state=TrialState.DONE)) == 2
    for key in SORT_KEYS:
        assert len(store.trials(sort=key)) == 3


def test_an_unknown_order_is_refused_with_the_known_ones(store):
    with pytest.raises(StoreError, match="by 'beauty'; by created, accuracy"):
        store.trials(sort="beauty")


def test_exported_lines_hold_everything(store, tmp_path):
    written = [trial(2), trial(4, None), trial(6, 0.75)]
    for each in written:
        store.add(each)
    assert store.export(tmp_path / "trials.jsonl") == 3
    assert sorted(read_trials(tmp_path / "trials.jsonl"), key=key_of) == sorted(written, key=key_of)


def test_some_trials_can_be_exported_alone(store, tmp_path):
    for seed in (0, 1):
        store.add(trial(seed=seed))
    assert store.export(tmp_path / "trials.jsonl", TrialFilter(seed=1)) == 1


def test_an_exported_table_has_the_costs_and_the_results(store, tmp_path):
    store.add(trial(2, origin='a "quoted", name'))
    store.export(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["key"] == net(2).key
    assert int(row["parameters"]) == net(2).parameters
    assert (row["accuracy"], row["state"], row["error"]) == ("0.5", "done", "")
    assert row["origin"] == 'a "quoted", name'


def test_an_empty_place_is_refused():
    with pytest.raises(StoreError, match="the place of a store is empty"):
        Store("")


def test_an_empty_store_exports_empty_files(store, tmp_path):
    assert store.export(tmp_path / "trials.csv") == 0
    assert store.export(tmp_path / "trials.jsonl") == 0
    assert (tmp_path / "trials.jsonl").read_text() == ""


@pytest.mark.parametrize("name", ["trials.xlsx", "nowhere/trials.csv"])
def test_an_export_that_cannot_be_written_is_a_store_error(store, tmp_path, name):
    with pytest.raises(StoreError, match=Path(name).name):
        store.export(tmp_path / name)


# --- files ---


def test_trials_outlive_the_store(path):
    with Store(path) as store:
        store.add(trial())
    with Store(f"sqlite:///{path}") as store:
        assert store.trials() == [trial(created=store.trials()[0].created)]


@pytest.mark.slow
def test_a_store_that_two_processes_fill_at_once_has_all_trials_of_both(path):
    """Both also create it at once, and half of the trials are the same ones."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), first, "60"], stdout=-3)
        for first in ("0", "30")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with Store(path) as store:
        assert sorted(stored.seed for stored in store.trials()) == list(range(90))
    assert_sound(path)


def test_a_store_that_another_process_creates_at_the_same_moment_is_shared(path, monkeypatch):
    def other_is_faster(_engine: object) -> None:
        monkeypatch.undo()
        with Store(path) as other:
            other.add(trial(2))

    monkeypatch.setattr("archpress.store.database._write_ahead", other_is_faster)
    with Store(path) as store:
        assert store.add(trial(3))
        assert store.count() == 2


@pytest.mark.slow
def test_what_a_killed_writer_had_added_is_there(path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "0", "100000"], stdout=subprocess.PIPE
    ) as writer:
        told = [int(writer.stdout.readline()) for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split()]
    assert_sound(path)
    with Store(path) as store:
        found = {stored.seed for stored in store.trials()}
        assert found >= set(told)
        assert len(found) <= len(told) + 1  # the last may have been added but not told
        assert store.add(trial(seed=10**6))


def assert_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_writer_waits_for_another(path):
    with Store(path) as store, closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        timer = Timer(0.4, other.rollback)
        timer.start()
        assert store.add(trial())
        timer.join()
        assert time.monotonic() - started > 0.3


def test_a_newer_schema_is_refused_and_nothing_is_written(path):
    with Store(path) as store:
        store.add(trial())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE archpress_schema SET version = 2")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="has schema version 2; this archpress reads up to 1"):
        Store(path)
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_as_it_is(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database, but no store of archpress"):
        Store(path)
    assert path.read_bytes() == before


def refused(place: Path | str) -> str:
    with pytest.raises(StoreError) as caught:
        Store(place)
    assert "\n" not in str(caught.value)
    assert Path(str(place)).name in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_a_store_is_refused_with_its_path(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    assert "not a database" in refused(text)
    assert text.read_text() == "this is no database " * 100
    assert "there is no folder" in refused(tmp_path / "nowhere" / "trials.db")
    assert "there is no folder" in refused(text / "trials.db")  # a path below a file
    assert "is a folder" in refused(tmp_path)
    assert "cannot open" in refused("nosuchdatabase://host/name")


def fill(store: Store) -> None:
    for width in range(3, 60):
        store.add(trial(width))


def test_a_full_disk_is_a_store_error_and_the_store_stays_whole(path):
    """`max_page_count` gives SQLite's error for a full disk without filling one."""
    with Store(path) as store:
        store.add(trial(2))
        connection = store._database._engine.raw_connection()
        pages = connection.cursor().execute("PRAGMA page_count").fetchone()[0]
        connection.cursor().execute(f"PRAGMA max_page_count = {pages}")
        connection.close()  # back to the pool, so the next transaction has the limit
        with pytest.raises(StoreError, match=r"cannot write the store .*trials\.db.* full"):
            fill(store)
        assert 1 <= store.count() < 58
    assert_sound(path)


def test_a_damaged_row_is_named(path):
    with Store(path) as store:
        store.add(trial())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trials SET metrics = '{'")
    with Store(path) as store, pytest.raises(StoreError, match=r"row 1 of the store .* is damaged"):
        store.trials()


def test_a_damaged_architecture_is_named_by_who_needs_it(path):
    with Store(path) as store:
        store.add(trial())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trials SET architecture = '{}'")
    with Store(path) as store:
        damaged = store.trials()[0].architecture
    assert damaged.key == trial().architecture.key
    with pytest.raises(ArchitectureError, match=r"row 1 of the store .* is no architecture"):
        _ = damaged.layers


def test_architectures_are_read_when_they_are_needed(path, monkeypatch):
    with Store(path) as store:
        store.add(trial())
    with monkeypatch.context() as unreadable, Store(path) as store:
        unreadable.delattr(Architecture, "from_json")
        found = store.trials()[0]
        assert found.summary() == trial().summary() | {"created": found.created}
    sent = pickle.loads(pickle.dumps(found))
    assert sent.architecture == found.architecture == trial().architecture
    assert hash(sent.architecture) == hash(trial().architecture)
    with pytest.raises(AttributeError, match="'Architecture' object has no attribute 'depth'"):
        _ = found.architecture.depth


# --- nothing is trained twice ---


class Counting:
    """A table that counts how often it is asked for each architecture."""

    def __init__(self, *widths: int) -> None:
        known = {net(width).key: {"accuracy": width / 10} for width in widths}
        self.table = TableEvaluator(known, name="table")
        self.data_key, self.recipe_key = self.table.data_key, self.table.recipe_key
        self.asked: list[int] = []

    def evaluate(self, candidates, *, seed):
        for candidate in candidates:
            self.asked.append(candidate.architecture.layers[0].channels)
            yield from self.table.evaluate([candidate], seed=seed)


def asks(*widths: int) -> list[Candidate]:
    return [Candidate(net(width)) for width in widths]


def test_what_is_stored_comes_first_and_only_the_rest_is_evaluated(store):
    evaluator = Counting(1, 2, 3)
    list(evaluate_once(evaluator, store, asks(2), seed=0))
    outcomes = list(evaluate_once(evaluator, store, asks(1, 2, 3), seed=0))
    assert [(o.trial.accuracy, o.reused) for o in outcomes] == [
        (0.2, True),
        (0.1, False),
        (0.3, False),
    ]
    assert evaluator.asked == [2, 1, 3]
    assert all(o.candidate.architecture == o.trial.architecture for o in outcomes)


def test_another_seed_is_evaluated_anew(store):
    evaluator = Counting(1)
    for seed in (0, 1, 0):
        list(evaluate_once(evaluator, store, asks(1), seed=seed))
    assert evaluator.asked == [1, 1]


def test_candidates_with_one_key_are_evaluated_once(store):
    evaluator = Counting(1, 2)
    assert len(list(evaluate_once(evaluator, store, asks(1, 2, 1, 1), seed=0))) == 2
    assert evaluator.asked == [1, 2]


def test_failures_are_kept_and_tried_again_only_when_asked(store):
    failing, working = Counting(), Counting(1)
    (first,) = evaluate_once(failing, store, asks(1), seed=0)
    (second,) = evaluate_once(working, store, asks(1), seed=0)
    assert (first.trial.done, first.reused) == (False, False)
    assert (second.trial.done, second.reused) == (False, True)
    (third,) = evaluate_once(working, store, asks(1), seed=0, retry_failed=True)
    assert (third.trial.done, third.reused) == (True, False)
    (fourth,) = evaluate_once(Counting(), store, asks(1), seed=0, retry_failed=True)
    assert (fourth.trial.done, fourth.reused) == (True, True)


def test_what_ended_before_an_interruption_is_kept(store):
    outcomes = evaluate_once(Counting(1, 2, 3), store, asks(1, 2, 3), seed=0)
    next(outcomes)
    next(outcomes)
    outcomes.close()
    assert store.count() == 2


def test_a_store_s_json_columns_are_plain_json(path):
    with Store(path) as store:
        store.add(trial())
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT metrics, curve, architecture FROM trials").fetchone()
    assert json.loads(row[0]) == {"accuracy": 0.5, "train_loss": 0.25}
    assert json.loads(row[1]) == [0.25, 0.5]
    assert Architecture.from_json(row[2]) == net()


# --- many at once ---


def test_what_comes_fast_is_there_when_the_store_is_asked(store):
    trials = [trial(width) for width in range(1, 41)]
    for one in (*trials, trial(1, 0.9)):  # the second of its identity comes too late
        store.add_soon(one)
    assert store.count() == 40
    assert store.find_all(map(key_of, trials)) == {key_of(one): one for one in trials}
    assert store.find_all([key_of(trial(99))]) == {}


def test_a_failed_trial_is_replaced_where_that_is_asked_for(store):
    done = trial(1)
    store.add_soon(trial(1, None))
    store.add_soon(done, replace_failed=True)
    store.add_soon(trial(1, 0.9), replace_failed=True)
    assert store.find(*key_of(done)) == done


def test_what_was_added_soon_is_on_disk_when_the_store_is_closed(path):
    with Store(path) as store:
        for width in range(1, 200):
            store.add_soon(trial(width))
    with Store(path) as store:
        assert store.count() == 199


def test_what_cannot_be_written_is_told(path):
    with Store(path) as store:
        store.add(trial(1))
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE trials")
            other.commit()
        store.add_soon(trial(2))
        with pytest.raises(StoreError, match="cannot write the store"):
            store.settle()
        store.settle()  # it is told once


def test_an_unforeseen_error_is_raised_and_nobody_waits_for_ever(path):
    with Store(path) as store:
        store.add_soon(trial(2, 0.5, curve=(object(),)))
        with pytest.raises(TypeError):
            store.settle()
        store.add_soon(trial(3))
        assert store.count() == 1
