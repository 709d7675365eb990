"""`TensorBoardSink`: event files in the run folder.

They are written at once, by the parts of tensorboardX below its `SummaryWriter`: that one writes in
a thread, where a full disk is never told.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from archpress.errors import EvaluationError
from archpress.tracking.sink import Entry, How, LoggedRun, Outcome

FOLDER = "tensorboard"  # in the run folder; a folder a run, should limits or recipes change


class TensorBoardSink:
    """Scalars a step, and tables of settings and result, as text.

    Raises:
        EvaluationError: tensorboardX is not installed.
    """

    name = "tensorboard"
    where = ""

    def __init__(self) -> None:
        if find_spec("tensorboardX") is None:
            raise EvaluationError(
                "logging to tensorboard needs tensorboardX: pip install 'archpress[tensorboard]'"
            )
        self._writer: Any = None

    def begin(self, run: Path, place: LoggedRun | None, settings: Mapping[str, str]) -> LoggedRun:
        """A new file; what an earlier one has after the trials that are known is hidden by it."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import text

        self._close()
        place = place or LoggedRun(_new_name(run / FOLDER), 0)
        folder = run / FOLDER / place.name
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = RecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}.archpress"))
        self._write(file_version="brain.Event:2")
        self._write(step=place.logged + 1, session_log=SessionLog(status=SessionLog.START))
        if place.logged == 0:
            self._write(step=0, summary=text("settings", _table(settings)))
        self._writer.flush()
        return place

    def log(self, entries: Sequence[Entry]) -> None:
        """One event a trial."""
        for entry in entries:
            self._write(step=entry.step, wall_time=entry.when, summary=_scalars(entry.values))
        self._writer.flush()

    def finish(self, step: int, outcome: Outcome) -> None:
        """Numbers of the result at the last step, and its sentence."""
        from tensorboardX.summary import text

        values = {f"result/{name}": value for name, value in outcome.values.items()}
        told = f"{outcome.sentence}\n\n{_table(outcome.settings)}"
        self._write(step=step, summary=_scalars(values))
        self._write(step=step, summary=text("result", told))
        self._writer.flush()

    def end(self, how: How) -> None:
        """Close the file."""
        self._close()

    def _write(self, **fields: Any) -> None:  # noqa: ANN401
        from tensorboardX.proto.event_pb2 import Event

        event = Event(**{"wall_time": time.time(), **fields})
        self._writer.write(event.SerializeToString())

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # what was not flushed is written again
                writer.close()


def _scalars(values: Mapping[str, float]) -> Any:  # noqa: ANN401
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(
        value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    )


def _new_name(folder: Path) -> str:
    taken = {path.name for path in folder.glob("*")}
    return next(name for name in map(str, count(1)) if name not in taken)


def _table(values: Mapping[str, str]) -> str:
    rows: Iterable[str] = (f"| {name} | {value} |" for name, value in values.items())
    return "\n".join(["| | |", "|---|---|", *rows])
