"""`progress.json`: what a run does now, in its folder, for whoever looks from another process."""

import os
import platform
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archpress.errors import reason

PROGRESS_FILE = "progress.json"
WRITE_SECONDS = 1.0  # between two writes at least
ALIVE_SECONDS = 5.0  # between two writes at most, also while nothing happens
GOODBYE_SECONDS = 5.0  # that the end of a run waits for a write that hangs

Time = Annotated[float, Field(ge=0, le=1e11)]  # seconds since 1970


class RunProgress(BaseModel):
    """What a run does now.

    Attributes:
        stage: that it is in; empty before the first.
        done: steps of the stage.
        total: steps of the stage; 0 where they are not counted.
        note: of the last step: the best so far, or what was found.
        started: of the stage, seconds since 1970, as all times here.
        begun: of the run, by this process.
        updated: when this was written.
        workers: that train at once; None: as many as a cluster has room for.
        pid: of the process that searches.
        host: that it runs on.
        ended: how it ended; empty while it runs.
        error: that it failed with.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    stage: str = ""
    done: int = 0
    total: int = 0
    note: str = ""
    started: Time
    begun: Time
    updated: Time
    workers: int | None
    pid: int
    host: str
    ended: Literal["", "finished", "stopped", "failed"] = ""
    error: str = ""


def read_progress(folder: Path) -> RunProgress | None:
    """What `ProgressFile` wrote; None where there is nothing that can be read."""
    try:
        return RunProgress.model_validate_json((folder / PROGRESS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


class ProgressFile:
    """Keeps `progress.json` of a run folder; a `Progress` like that of a terminal.

    Calls return at once: a thread writes, at most once a second, and every five seconds as a sign
    of life. What cannot be written is not: progress is not worth the end of a run.

    Args:
        folder: of the run.
        workers: that train at once; None: as many as a cluster has room for.
    """

    def __init__(self, folder: Path, *, workers: int | None) -> None:
        self._path = folder / PROGRESS_FILE
        now = time.time()
        self._now = RunProgress(
            started=now,
            begun=now,
            updated=now,
            workers=workers,
            pid=os.getpid(),
            host=platform.node(),
        )
        self._is_new = False  # whether something was told since the last write
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join(GOODBYE_SECONDS)
        if self._thread.is_alive():
            return
        if error is None:
            self._tell(ended="finished")
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            self._tell(ended="stopped")
        else:
            self._tell(ended="failed", error=reason(error))
        self._write()

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""
        self._tell(stage=name, done=0, total=total, note="", started=time.time())

    def advance(self, done: int, note: str = "") -> None:
        """So many steps are done."""
        self._tell(done=done, note=note)

    def say(self, text: str) -> None:
        """Not kept: failed trials are in the store, with their reasons."""

    def trial(self, trial: object, objective: object) -> None:
        """Not kept: trials are in the store."""

    def _tell(self, **changes: object) -> None:
        self._now = self._now.model_copy(update=changes)
        self._is_new = True

    def _keep_writing(self) -> None:
        written = time.monotonic()
        while not self._ending.wait(WRITE_SECONDS):
            if self._is_new or time.monotonic() - written >= ALIVE_SECONDS:
                self._write()
                written = time.monotonic()

    def _write(self) -> None:
        """Whole or not at all for readers; not forced to the disk, where it would cost time."""
        self._is_new = False
        unfinished = self._path.with_name(f"{PROGRESS_FILE}.unfinished")
        try:
            text = self._now.model_copy(update={"updated": time.time()}).model_dump_json(indent=1)
            unfinished.write_text(text + "\n", encoding="utf-8")
            unfinished.replace(self._path)
        except (OSError, ValueError):  # no room, no permission, a text that is no text
            with suppress(OSError):
                unfinished.unlink()
