import os
import subprocess
import sys
import time

import pytest

from archpress.progress_file import read_progress
from archpress.watching.condition import QUIET_SECONDS, condition_of


def condition(run, make, **fields):
    make.tell(run, **fields)
    return condition_of(read_progress(run), time.time(), trials=2, outcome=None)


@pytest.fixture(scope="module")
def dead():
    """The number of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_that_works_tells_its_stage(run, make):
    found = condition(run, make)
    assert (found.state, found.sentence) == ("running", "At work: round 1 of 5.")


def test_a_process_that_is_gone_is_told(run, make, dead):
    found = condition(run, make, pid=dead, updated=time.time() - 20)
    assert found.state == "gone"
    assert str(dead) in found.sentence
    assert "round 1 of 5" in found.sentence


def test_a_fresh_sign_counts_more_than_a_process_that_is_not_seen(run, make, dead):
    assert condition(run, make, pid=dead).state == "running"


def test_a_process_of_another_machine_is_judged_by_its_signs(run, make, dead):
    elsewhere = {"host": "elsewhere", "pid": dead}
    assert condition(run, make, **elsewhere, updated=time.time() - 20).state == "running"
    long_ago = time.time() - QUIET_SECONDS - 1
    assert condition(run, make, **elsewhere, updated=long_ago).state == "quiet"


def test_a_process_that_lives_and_tells_nothing_is_quiet(run, make):
    found = condition(run, make, pid=os.getpid(), updated=time.time() - QUIET_SECONDS - 1)
    assert found.state == "quiet"
    assert "over a minute" in found.sentence


def test_an_end_is_told_however_long_ago(run, make, dead):
    ended = {"pid": dead, "updated": time.time() - 9999}
    assert condition(run, make, ended="finished", **ended).sentence == "The run has ended."
    assert condition(run, make, ended="stopped", **ended).state == "stopped"
    failed = condition(run, make, ended="failed", error="no room", **ended)
    assert failed.sentence == "The run failed during: round 1 of 5. no room"


def test_without_progress_the_trials_and_the_result_speak():
    now = time.time()
    assert condition_of(None, now, trials=0, outcome=None).state == "waiting"
    assert condition_of(None, now, trials=3, outcome=None).state == "untold"
    assert condition_of(None, now, trials=3, outcome="Smaller.").sentence == "Smaller."
