"""A store on a real PostgreSQL server: several writers, restarts, passwords."""

import subprocess
import sys
import threading
import time

import pytest
from store_trials import trial

from archpress.errors import StoreError
from archpress.store import Store, database
from archpress.store.database import FORM

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


def writer(place: str, first: int, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, place, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_several_processes_make_and_fill_one_store_at_once(postgres):
    """All create it at the same moment, and each trial is added by two of them."""
    writers = [writer(postgres, first, 60) for first in (0, 30, 60, 90)]
    for one in writers:
        assert one.communicate(timeout=100)[1] == ""
        assert one.returncode == 0
    with Store(postgres) as store:
        assert sorted(stored.seed for stored in store.trials()) == list(range(150))


@pytest.mark.slow
def test_writers_and_readers_go_on_when_the_server_is_restarted(server, postgres):
    with Store(postgres) as store:
        store.add(trial(seed=10**6))
        one = writer(postgres, 0, 1000)
        told = [int(one.stdout.readline()) for _ in range(20)]
        server.stop()
        time.sleep(1.5)
        restart = threading.Timer(1.0, server.start)
        restart.start()
        assert store.find(trial().architecture.key, "data", "recipe", 10**6) is not None
        told += map(int, one.stdout)  # `communicate` would lose what was read ahead
        restart.join()
        assert (one.communicate(timeout=100)[1], one.returncode) == ("", 0)
        assert told == list(range(1000))
        assert store.count() == 1001


@pytest.mark.slow
def test_a_server_that_stays_away_is_one_sentence_after_a_while(server, postgres, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 2.0)
    with Store(postgres) as store:
        server.stop()
        began = time.monotonic()
        try:
            with pytest.raises(
                StoreError, match=r"cannot write the store .* s of trying: "
            ) as told:
                store.add(trial())
        finally:
            server.start()
        assert 1.0 < time.monotonic() - began < 10
        assert_no_secret(str(told.value))
        assert store.add(trial())


def test_an_answer_that_was_lost_after_the_trial_was_kept_is_no_refusal(postgres):
    with Store(postgres) as store:
        run, lost = store._database.run, []

        def lossy(what, work, *, writes=False):
            """The transaction is committed, then the connection breaks, then it is tried again."""
            if not lost:
                lost.append(run(what, work, writes=writes))
            return run(what, work, writes=writes)

        store._database.run = lossy
        assert store.add(trial())
        store._database.run = run
        assert not store.add(trial(accuracy=0.75))
        assert store.count() == 1


def assert_no_secret(text: str) -> None:
    assert "p@ss" not in text
    assert "p%40ss" not in text
    assert "\n" not in text


def test_a_password_is_in_no_message(server, postgres):
    wrong = "0ther-secret"
    for place in (
        server.url("nosuchdatabase"),
        server.url("postgres", wrong),
        server.url("postgres").replace(str(server.port), "1"),
        f"postgresql://me@127.0.0.1:{server.port}/postgres?password={wrong}",
    ):
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot open the store postgresql") as told:
            Store(place)
        assert time.monotonic() - began < 5  # an address may be wrong: it is not tried for long
        assert_no_secret(str(told.value))
        assert wrong not in str(told.value)
    with Store(postgres.replace("+psycopg", "")) as store:  # as servers often tell their URL
        assert_no_secret(store.place)
        assert ":***@" in store.place


@pytest.mark.parametrize(
    "place",
    [
        "postgresql+psycopg://me:p@ss-word@127.0.0.1:5432/trials",
        "postgresql+psycopg://me:word@127.0.0.1:p@ss/trials",
        "postgresql+psycopg:/me://p@ss",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(place):
    with pytest.raises(StoreError) as told:
        Store(place)
    assert FORM in str(told.value)
    assert_no_secret(str(told.value))


def test_other_databases_are_refused():
    with pytest.raises(StoreError, match="a store is a SQLite file or a PostgreSQL database"):
        Store("mysql://me@127.0.0.1/trials")


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'archpress\[postgres\]'"):
        Store("postgresql://me@127.0.0.1/trials")
