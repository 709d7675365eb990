"""What can be said of a run at this moment: whether it works, waits, ended, or is gone."""

import os
import platform
import sys
from dataclasses import dataclass
from enum import StrEnum

from archpress.progress_file import ALIVE_SECONDS, RunProgress

QUIET_SECONDS = 60.0  # without a sign of life, after which something is wrong
FRESH_SECONDS = 2 * ALIVE_SECONDS  # a sign so young counts more than a process that is not seen


class State(StrEnum):
    """Of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    QUIET = "quiet"
    GONE = "gone"
    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"
    UNTOLD = "untold"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Condition:
    """A state, and the sentence that a person reads."""

    state: State
    sentence: str


MISSING = Condition(State.MISSING, "The folder of this run is no longer there.")


def condition_of(
    progress: RunProgress | None, now: float, *, trials: int, outcome: str | None
) -> Condition:
    """The condition of a run.

    Args:
        progress: that the run told last; None: nothing.
        now: seconds since 1970.
        trials: that its store holds.
        outcome: sentence of a result; None where there is none.
    """
    if progress is None:
        return _without_progress(trials, outcome)
    during = progress.stage or "getting ready"
    match progress.ended:
        case "finished":
            return Condition(State.FINISHED, outcome or "The run has ended.")
        case "stopped":
            told = f"The run was stopped during: {during}. The same command goes on from there."
            return Condition(State.STOPPED, told)
        case "failed":
            return Condition(State.FAILED, f"The run failed during: {during}. {progress.error}")
    age = now - progress.updated
    if age > FRESH_SECONDS and not _lives(progress):
        told = f"The process that searched, {progress.pid}, is gone; it was at: {during}."
        return Condition(State.GONE, f"{told} The same command goes on from there.")
    if age > QUIET_SECONDS:
        told = "The run has told nothing for over a minute: it may hang, or its machine sleeps."
        return Condition(State.QUIET, f"{told} It was at: {during}.")
    return Condition(State.RUNNING, f"At work: {during}.")


def _without_progress(trials: int, outcome: str | None) -> Condition:
    if outcome:
        return Condition(State.FINISHED, outcome)
    if trials:
        told = "There are trials, but nothing tells whether a search is at work."
        return Condition(State.UNTOLD, told)
    told = "The search has not begun: there are no trials yet. This page waits for them."
    return Condition(State.WAITING, told)


def _lives(progress: RunProgress) -> bool:
    """Whether the process is there; where that cannot be asked, it is."""
    if progress.host != platform.node() or sys.platform == "win32":
        return True
    try:
        os.kill(progress.pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True
