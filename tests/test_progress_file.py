import json
import os
import platform
import threading
import time

import pytest

from archpress import progress_file
from archpress.progress_file import PROGRESS_FILE, ProgressFile, read_progress
from archpress.search import Silent, Together


@pytest.fixture
def quick(monkeypatch):
    """Writes are not a second apart."""
    monkeypatch.setattr(progress_file, "WRITE_SECONDS", 0.02)
    monkeypatch.setattr(progress_file, "ALIVE_SECONDS", 0.1)


def wait_for(is_so):
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_another_process_can_read_what_a_run_does(tmp_path, quick):
    with ProgressFile(tmp_path, workers=3) as told:
        begun = read_progress(tmp_path)
        assert (begun.stage, begun.done, begun.ended) == ("", 0, "")
        assert (begun.workers, begun.pid, begun.host) == (3, os.getpid(), platform.node())
        told.stage("round 1 of 5", 6)
        told.advance(2, "best 91.0%")
        wait_for(lambda: read_progress(tmp_path).done == 2)
        now = read_progress(tmp_path)
        assert (now.stage, now.total, now.note) == ("round 1 of 5", 6, "best 91.0%")
        assert begun.begun <= now.started <= now.updated <= time.time()
    assert read_progress(tmp_path).ended == "finished"
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS_FILE]


def test_a_new_stage_begins_at_nothing(tmp_path):
    with ProgressFile(tmp_path, workers=1) as told:
        told.stage("first trials", 6)
        told.advance(6, "best 91.0%")
        told.stage("learning", 1)
    ended = read_progress(tmp_path)
    assert (ended.stage, ended.done, ended.total, ended.note) == ("learning", 0, 1, "")


def test_a_run_that_tells_nothing_still_gives_signs_of_life(tmp_path, quick):
    with ProgressFile(tmp_path, workers=1):
        first = read_progress(tmp_path).updated
        wait_for(lambda: read_progress(tmp_path).updated > first)


def test_it_is_written_at_most_once_a_second(tmp_path, monkeypatch):
    writes = []
    write = ProgressFile._write
    monkeypatch.setattr(ProgressFile, "_write", lambda self: (writes.append(1), write(self)))
    started = time.monotonic()
    with ProgressFile(tmp_path, workers=1) as told:
        for number in range(20_000):
            told.advance(number)
    assert len(writes) <= 2 + (time.monotonic() - started)  # the first, the last, one a second
    assert read_progress(tmp_path).done == 19_999


@pytest.mark.parametrize(
    ("error", "ended", "told"),
    [
        (KeyboardInterrupt(), "stopped", ""),
        (RuntimeError("no memory\nmore"), "failed", "no memory"),
        (RuntimeError(), "failed", "RuntimeError"),
    ],
)
def test_how_a_run_ended_is_kept(tmp_path, error, ended, told):
    with pytest.raises(type(error)), ProgressFile(tmp_path, workers=1):
        raise error
    assert (read_progress(tmp_path).ended, read_progress(tmp_path).error) == (ended, told)


def test_what_cannot_be_written_does_not_end_a_run(tmp_path, quick):
    gone = tmp_path / "gone"
    with ProgressFile(gone, workers=1) as told:
        told.stage("round 1", 2)
        told.advance(1, "\ud800 is no text")
        time.sleep(0.1)
    assert not gone.exists()


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, quick):
    with ProgressFile(tmp_path, workers=1) as told:
        told.stage("round 1", 2)
        wait_for(lambda: read_progress(tmp_path).stage == "round 1")

        def full(path, *_, **__):
            path.touch()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.write_text", full)
        told.stage("round 2", 2)
    assert read_progress(tmp_path).stage == "round 1"
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS_FILE]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', "\udcff"])
def test_what_is_no_progress_is_none(tmp_path, text):
    (tmp_path / PROGRESS_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1, 1e300])
def test_times_that_are_none_are_no_progress(tmp_path, time):
    with ProgressFile(tmp_path, workers=1):
        pass
    content = json.loads((tmp_path / PROGRESS_FILE).read_text())
    (tmp_path / PROGRESS_FILE).write_text(json.dumps(content | {"started": time}))
    assert read_progress(tmp_path) is None


def test_its_thread_ends_with_it(tmp_path):
    with ProgressFile(tmp_path, workers=1):
        assert "progress" in [thread.name for thread in threading.enumerate()]
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_several_listen_together():
    class Heard(Silent):
        def __init__(self):
            self.all = []

        def stage(self, name, total):
            self.all.append((name, total))

        def advance(self, done, note=""):
            self.all.append((done, note))

        def say(self, text):
            self.all.append(text)

    one, other = Heard(), Heard()
    together = Together(one, other)
    together.stage("rounds", 3)
    together.advance(1, "best")
    together.say("a word")
    assert one.all == other.all == [("rounds", 3), (1, "best"), "a word"]
