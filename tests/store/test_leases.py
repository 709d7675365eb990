"""Drivers that share a store: none trains what another one trains just now."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from store_trials import net, trial

from archpress.evaluation import Candidate, TableEvaluator
from archpress.store import Store, evaluate_once, leases, once
from archpress.store.leases import Owner

WIDTHS = range(1, 13)
DRIVER = """
import sys, time
sys.path.insert(0, {tests!r})
from store_trials import net
from archpress.evaluation import Candidate, TableEvaluator
from archpress.store import Store, evaluate_once, once
once.POLL = 0.1

class Slow:
    table = TableEvaluator({{net(w).key: {{"accuracy": w / 100}} for w in range(1, 13)}}, name="t")
    data_key, recipe_key = table.data_key, table.recipe_key
    def evaluate(self, candidates, *, seed):
        for candidate in candidates:
            print("trains", candidate.architecture.layers[0].channels, flush=True)
            time.sleep({seconds})
            yield from self.table.evaluate([candidate], seed=seed)

with Store(sys.argv[1]) as store:
    for widths in {batches!r}:
        for outcome in evaluate_once(Slow(), store, [Candidate(net(w)) for w in widths], seed=0):
            print("got", outcome.candidate.architecture.layers[0].channels, flush=True)
"""


def driver(place: object, *batches: list[int], seconds: float = 0.05) -> subprocess.Popen:
    tests = str(Path(__file__).parent)
    code = DRIVER.format(tests=tests, seconds=seconds, batches=batches)
    command = [sys.executable, "-c", code, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(one: subprocess.Popen) -> dict[str, list[int]]:
    out, errors = one.communicate(timeout=100)
    assert (errors, one.returncode) == ("", 0)
    words = [line.split() for line in out.splitlines()]
    return {verb: [int(width) for v, width in words if v == verb] for verb in ("trains", "got")}


@pytest.fixture(params=["file", "postgres"])
def place(request, tmp_path):
    if request.param == "file":
        return str(tmp_path / "trials.db")
    return request.getfixturevalue("postgres")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(once, "POLL", 0.05)


def identities(*widths: int) -> list[tuple[str, str, str, int]]:
    return [(net(width).key, "data", "recipe", 0) for width in widths]


class Table:
    """Answers at once, and remembers what it was asked."""

    def __init__(self) -> None:
        table = {net(width).key: {"accuracy": width / 100} for width in WIDTHS}
        self.table = TableEvaluator(table, name="t")
        self.data_key, self.recipe_key = self.table.data_key, self.table.recipe_key
        self.asked: list[int] = []

    def evaluate(self, candidates, *, seed):
        self.asked += [candidate.architecture.layers[0].channels for candidate in candidates]
        yield from self.table.evaluate(candidates, seed=seed)


def asks(*widths: int) -> list[Candidate]:
    return [Candidate(net(width)) for width in widths]


@pytest.mark.slow
def test_two_drivers_train_each_net_once_and_both_have_all(place):
    """They want the same nets in another order, in batches that overlap."""
    one = driver(place, [*range(1, 9)], [*range(5, 13)])
    other = driver(place, [*range(12, 4, -1)], [*range(8, 0, -1)])
    first, second = said(one), said(other)
    assert sorted(first["trains"] + second["trains"]) == [*WIDTHS]
    assert {*first["got"]} == {*second["got"]} == {*WIDTHS}
    with Store(place) as store:
        assert store.count() == len(WIDTHS)


@pytest.mark.slow
def test_what_a_killed_driver_began_is_taken_over_at_once_where_it_ran(place):
    """Its lease would last for two minutes; that its process is gone is seen."""
    killed = driver(place, [1, 2, 3], seconds=100)
    assert killed.stdout.readline() == "trains 1\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    table, began = Table(), time.monotonic()
    with Store(place) as store:
        outcomes = list(evaluate_once(table, store, asks(1, 2, 3, 4), seed=0))
    assert [outcome.reused for outcome in outcomes] == [False] * 4
    assert table.asked == [1, 2, 3, 4]
    assert time.monotonic() - began < 20


def test_a_lease_is_held_against_others_until_it_is_given_back(place):
    with Store(place) as one, Store(place) as other:
        assert one.leases.take(identities(1, 2)) == {*identities(1, 2)}
        assert one.leases.take(identities(1)) == {*identities(1)}
        assert other.leases.take(identities(1, 2, 3)) == {*identities(3)}
        assert other.leases.take(identities(1, 2)) == set()
        one.leases.give_back(identities(1))
        assert other.leases.take(identities(1, 2)) == {*identities(1)}
        other.leases.give_back(identities(2))  # which is not its own
        assert other.leases.take(identities(2)) == set()


def test_a_lease_that_is_not_renewed_ends_by_itself(place, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.6)
    with Store(place) as one, Store(place) as other:
        one.leases.take(identities(1, 2))
        for _ in range(4):
            time.sleep(0.3)
            one.leases.renew()
            assert other.leases.take(identities(1)) == set()
        time.sleep(0.7)
        assert other.leases.take(identities(1)) == {*identities(1)}
        one.leases.renew()  # one comes back too late: what was taken over stays so
        assert one.leases.take(identities(1)) == set()


def test_leases_are_renewed_while_something_is_trained(place, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(once, "HEARTBEAT", 0.1)
    with Store(place) as one, Store(place) as other:
        table = Table()
        identity = (net(2).key, table.data_key, table.recipe_key, 0)
        outcomes = evaluate_once(table, one, asks(1, 2), seed=0)
        next(outcomes)
        time.sleep(1.5)
        assert other.leases.take([identity]) == set()
        outcomes.close()  # as Ctrl-C does
        assert other.leases.take([identity]) == {identity}


def test_clocks_of_drivers_do_not_count_on_a_server(postgres, monkeypatch):
    with Store(postgres) as one, Store(postgres) as other:
        one.leases.take(identities(1))
        monkeypatch.setattr(time, "time", lambda: 4e9)
        assert other.leases.take(identities(1)) == set()


def test_a_trial_of_another_driver_is_waited_for(place):
    table = Table()
    with Store(place) as one, Store(place) as other:
        wanted = (net(1).key, table.data_key, table.recipe_key, 0)
        other.leases.take([wanted])
        made = trial(1, 0.625, data=table.data_key, recipe=table.recipe_key)
        later = threading.Timer(0.4, other.add, [made])
        later.start()
        outcomes = list(evaluate_once(table, one, asks(2, 1), seed=0))
        later.join()
    assert [(o.trial.accuracy, o.reused) for o in outcomes] == [(0.02, False), (0.625, True)]
    assert table.asked == [2]


def test_whoever_listens_hears_what_is_waited_for_and_when_that_is_over(place):
    table, heard = Table(), []
    with Store(place) as one, Store(place) as other:
        wanted = (net(1).key, table.data_key, table.recipe_key, 0)
        other.leases.take([wanted])
        given_back = threading.Timer(0.4, other.leases.give_back, [[wanted]])
        given_back.start()
        outcomes = evaluate_once(table, one, asks(2, 1), seed=0, waiting=heard.append)
        assert next(outcomes).candidate.architecture.key == net(2).key
        assert heard == []  # while there is something to train
        assert [outcome.reused for outcome in outcomes] == [False]
        given_back.join()
    assert heard[0] == 1
    assert {*heard[:-1]} == {1}
    assert heard[-1] == 0


def test_what_another_driver_finished_just_before_the_lease_is_not_trained(place, monkeypatch):
    table = Table()
    with Store(place) as store:
        take = store.leases.take
        made = trial(1, 0.625, data=table.data_key, recipe=table.recipe_key)

        def late(wanted):
            store.add(made)
            return take(wanted)

        monkeypatch.setattr(store.leases, "take", late)
        outcomes = list(evaluate_once(table, store, asks(1, 2), seed=0))
    assert [(o.trial.accuracy, o.reused) for o in outcomes] == [(0.625, True), (0.02, False)]
    assert table.asked == [2]


def test_a_store_from_before_there_were_leases_is_read_and_used(tmp_path):
    path = tmp_path / "trials.db"
    with Store(path) as store:
        store.add(trial(1))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE leases")
    with Store(path) as store:
        assert store.count() == 1
        assert store.add(trial(2))
        assert len(list(evaluate_once(Table(), store, asks(3), seed=0))) == 1
        assert store.count() == 3
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM archpress_schema").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM leases").fetchone() == (0,)


def test_an_owner_is_told_by_machine_process_and_its_beginning():
    here = Owner.here()
    assert Owner.read(str(here)) == here
    assert Owner.read("somebody") is None
    assert not here.is_gone
    assert replace(here, born="1").is_gone  # the number was given to another process
    assert not replace(here, host="elsewhere/1/2", pid=2**30).is_gone  # nothing is known of it
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        assert replace(here, pid=ended.pid).is_gone
