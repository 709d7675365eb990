"""`archpress compare` as a user types it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from archpress.cli import main

COMPARE = ["compare", "tiny", "--data", "digits", "--effort", "smoke", "--arms", "random,evolution"]
COMPARE += ["--max-parameters", "3000", "--trial-images", "200", "--workers", "1"]


def exit_code(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


def trials_in(folder):
    if not (folder / "trials.db").exists():
        return []
    database = sqlite3.connect(folder / "trials.db")
    try:
        return database.execute("SELECT key, recipe, seed, created FROM trials").fetchall()
    except sqlite3.OperationalError:  # it is made just now
        return []
    finally:
        database.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_the_same_command_goes_on(tmp_path, capsys, how):
    """SIGINT reaches the command alone; SIGTERM also its workers, as from a scheduler."""
    command = [*COMPARE, "--budget", "12", "--seeds", "1", "--run", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "archpress", *command, "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # also where the tests run in the background of a shell, which ignores it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(trials_in(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    if how == signal.SIGTERM:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.strip() == "archpress: stopped; the same command goes on from here"
    before = trials_in(tmp_path)
    assert 2 <= len(before) < 24
    assert exit_code(*command, "--quiet", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["complete"] is True
    assert [row["trained"] for row in result["runs"]] == [12, 12]
    assert set(before) <= set(trials_in(tmp_path))
    assert exit_code(*command, "--quiet") == 0
    assert "default did not take part" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arms", "default,nobody"], "no arm is called 'nobody'; known are default"),
        (["--budget", "0"], "budget must be at least 1, not 0"),
        (["--seeds", "0"], "seeds must be at least 1, not 0"),
        (["--trial-epochs", "0"], "epochs cannot be 0"),
        (["--max-parameters", "nan"], "must be a number"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(capsys, tmp_path, options, said):
    assert exit_code(*COMPARE, "--run", tmp_path / "run", *options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("archpress: ")
    assert said in line
    assert not (tmp_path / "run").exists()


def test_help_has_an_example():
    done = subprocess.run(
        [sys.executable, "-m", "archpress", "compare", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert "Example" in done.stdout
    assert "archpress compare conv7" in done.stdout
