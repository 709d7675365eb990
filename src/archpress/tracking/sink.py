"""What a sink is: numbers, settings and files of a run go there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

How = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Numbers of one trial, and of the search when it had ended.

    Attributes:
        step: 1 for the first trial that was logged.
        values: by name; "/" parts groups.
        when: the trial ended, seconds since 1970.
    """

    step: int
    values: Mapping[str, float]
    when: float


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """Where a run lies in a sink.

    Attributes:
        name: of it there, by which it is found again.
        logged: trials that are there.
    """

    name: str
    logged: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        values: numbers of the result, by name.
        settings: that are known by now.
        sentence: what came of it, in words.
        files: worth keeping beside the numbers.
    """

    values: Mapping[str, float]
    settings: Mapping[str, str]
    sentence: str
    files: Sequence[Path]


class Sink(Protocol):
    """Takes what is told of a run to another program.

    Calls come from one thread, `begin` first. An exception means that what was given was not taken:
    `begin` is called again later, with the place, and then the rest.

    Attributes:
        name: for people.
    """

    name: str

    @property
    def where(self) -> str:
        """What tells it from others of its kind; only a digest of it is kept."""

    def begin(self, run: Path, place: LoggedRun | None, settings: Mapping[str, str]) -> LoggedRun:
        """Go on at a place, or make one where there is none yet.

        Args:
            run: folder.
            place: as it was given back, with the trials that were surely logged since.
            settings: of the run.
        """

    def log(self, entries: Sequence[Entry]) -> None:
        """Take numbers; steps follow each other."""

    def finish(self, step: int, outcome: Outcome) -> None:
        """Take what came of the run, after so many trials."""

    def end(self, how: How) -> None:
        """Nothing more comes."""
