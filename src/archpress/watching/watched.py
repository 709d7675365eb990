"""`Watched`: a run folder, read when it has changed, for all viewers once."""

import json
import math
import os
import secrets
import threading
import time
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archpress.errors import StoreError
from archpress.progress_file import PROGRESS_FILE, RunProgress, read_progress
from archpress.run_files import PLAN_FILE, REPORT_FILE, RESULT_FILE, STORE_FILE
from archpress.watching.condition import MISSING, State, condition_of
from archpress.watching.rows import TrialRow, read_rows
from archpress.watching.standing import Standing, limits_of, standing_of

PAGES = {REPORT_FILE: "report", "compare.html": "comparison"}  # file -> what it is
LOOK_SECONDS = 1.0  # between two looks at the folder, however many viewers ask
BODIES = 16  # answers that are kept for viewers who know as much as others

Stamp = tuple[int, int, int] | None  # of a file: its place, size and time; None: it is not there


class Watched:
    """What is known of a run, as JSON for its page.

    May be asked from several threads. The store is opened only when its file has changed, and
    never written.

    Args:
        folder: of the run; may be empty as yet.

    Raises:
        StoreError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            told = "is a file, not a run folder" if folder.exists() else "does not exist"
            raise StoreError(f"{folder} {told}: give the folder of --run, once the run has made it")
        self.folder = folder
        self._lock = threading.Lock()
        self._session, self._version = secrets.token_hex(4), 0
        self._looked = -LOOK_SECONDS
        self._stamps: dict[str, Stamp] = {}
        self._progress: RunProgress | None = None
        self._stepped = 0.0  # when the step that is the last was told
        self._plan: dict[str, Any] = {}
        self._result: dict[str, Any] = {}
        self._rows: list[TrialRow] = []
        self._ends: list[str] = []  # when trials ended, ISO 8601, in order
        self._ended = 0.0  # the last of them, seconds since 1970
        self._standing, self._trouble = Standing(), ""  # the latter of the store
        self._content: dict[str, Any] = {}
        self._bodies: dict[int, bytes] = {}

    def answer(self, since: str = "", tag: str = "") -> tuple[str, bytes | None]:
        """A tag of what is known, and what a viewer does not know yet, as JSON.

        Args:
            since: of the viewer's last answer, its "next"; points before it are left out.
            tag: of the viewer's last answer; where nothing changed there is no JSON.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= LOOK_SECONDS:
                self._look()
                self._looked = now
            own = f'"{self._session}-{self._version}"'
            return own, None if own in tag else self._body(since)

    def _body(self, since: str) -> bytes:
        points, store = self._standing.points, self._store_name()
        name, _, count = since.rpartition(".")
        first = int(count) if name == store and count.isdecimal() and len(count) < 10 else 0
        first = first if first <= len(points) else 0
        if first not in self._bodies:
            if len(self._bodies) >= BODIES:
                self._bodies.clear()
            told = {
                **self._content,
                "first": first,
                "next": f"{store}.{len(points)}",
                "points": [_point(row) for row in points[first:]],
            }
            self._bodies[first] = json.dumps(told, separators=(",", ":")).encode()
        return self._bodies[first]

    def _store_name(self) -> str:
        """Of the file: points of another one are no part of what a viewer knows."""
        stamp = self._stamps.get(STORE_FILE)
        return f"{self._session}-{stamp[0] if stamp else 0}"

    # --- looking ---

    def _look(self) -> None:
        if self._has_changed(PROGRESS_FILE):
            before, self._progress = self._progress, read_progress(self.folder)
            if self._progress and _step(before) != _step(self._progress):
                self._stepped = self._progress.updated
        is_new_plan = self._has_changed(PLAN_FILE)
        if is_new_plan:
            self._plan = _read_json(self.folder / PLAN_FILE)
        if self._has_changed(RESULT_FILE):
            self._result = _read_json(self.folder / RESULT_FILE)
        is_new_store = [self._has_changed(name) for name in (STORE_FILE, f"{STORE_FILE}-wal")]
        if any(is_new_store) or is_new_plan or self._trouble:
            self._read_store()
        content = self._told()
        if content != self._content:
            self._content, self._version = content, self._version + 1
            self._bodies.clear()

    def _has_changed(self, name: str) -> bool:
        """Whether a file is another than when this was asked last."""
        stamp = _stamp(self.folder / name)
        if name in self._stamps and self._stamps[name] == stamp:
            return False
        self._stamps[name] = stamp
        return True

    def _read_store(self) -> None:
        try:
            self._rows = read_rows(self.folder / STORE_FILE)
            self._standing = standing_of(self._rows, self._plan)
            self._ends = sorted(row.created for row in self._rows)
            self._ended = datetime.fromisoformat(self._ends[-1]).timestamp() if self._rows else 0.0
            self._trouble = ""
        except StoreError as error:
            self._trouble = f"{error}."
        except (TypeError, ValueError) as error:
            self._trouble = f"The store {self.folder / STORE_FILE} is damaged: {error}."

    # --- telling ---

    def _told(self) -> dict[str, Any]:
        progress, standing = self._progress, self._standing
        is_there = self.folder.is_dir()
        condition = MISSING
        if is_there:
            condition = condition_of(
                progress, time.time(), trials=len(self._rows), outcome=self._outcome()
            )
        is_running = condition.state is State.RUNNING
        return {
            "state": condition.state,
            "sentence": condition.sentence,
            "trouble": self._trouble,
            "source": str(self._plan.get("source", "")),
            "data": str(self._plan.get("data_name", "")),
            "pages": self._pages(is_running=is_running) if is_there else [],
            "progress": self._told_progress(is_running=is_running),
            "limits": limits_of(self._plan),
            "explorable": is_there and "effort" in self._plan and bool(standing.points),
            "trials": len(standing.points),
            "failed": standing.failed,
            "reasons": standing.reasons,
            "rule": standing.rule,
            "unit": standing.unit,
            "best": standing.best,
            "fronts": standing.fronts or {},
            "latest": [_latest(row) for row in standing.latest],
        }

    def _told_progress(self, *, is_running: bool) -> dict[str, Any] | None:
        progress = self._progress
        if progress is None:
            return None
        kept = ("stage", "done", "total", "note", "started", "begun", "workers", "pid", "host")
        told = progress.model_dump(include=set(kept))
        steps, until = self._steps(progress)
        passed = until - progress.started
        told["rate"] = steps / passed if steps and passed > 0 else None  # steps a second
        told["until"] = until
        told["updated"] = (
            None if is_running else progress.updated
        )  # else it would never be the same
        return told

    def _steps(self, progress: RunProgress) -> tuple[int, float]:
        """Steps of the stage that took time, and when the last ended.

        Trials that the store had already are done at once, and say nothing about the rest.
        """
        started = datetime.fromtimestamp(progress.started, UTC).isoformat(timespec="milliseconds")
        trained = len(self._ends) - bisect_left(self._ends, started)
        if trained and progress.total:
            return trained, self._ended
        return progress.done, self._stepped

    def _outcome(self) -> str | None:
        sentence = self._result.get("sentence")
        stamp, progress = self._stamps.get(RESULT_FILE), self._progress
        if not isinstance(sentence, str) or stamp is None:
            return None
        return sentence if progress is None or stamp[2] / 1e9 >= progress.begun else None

    def _pages(self, *, is_running: bool) -> list[dict[str, str]]:
        """Pages that the run has written, and whether an earlier run did."""
        begun = self._progress.begun if self._progress else 0.0
        found = []
        for name, what in PAGES.items():
            stamp = _stamp(self.folder / name)
            if stamp is None:
                continue
            is_old = stamp[2] / 1e9 < begun
            when = " of an earlier run" if is_old else " so far" if is_running else ""
            found.append({"href": name, "text": f"The {what}{when}"})
        return found


def _step(progress: RunProgress | None) -> tuple[float, int] | None:
    return None if progress is None else (progress.started, progress.done)


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time, and asked every second
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where there is nothing that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _point(row: TrialRow) -> list[Any]:
    expected = _finite(row.predicted)
    return [row.accuracy, row.parameters, row.macs, row.origin, row.round, expected]


def _latest(row: TrialRow) -> list[Any]:
    error = row.error[:300] if row.error else None
    place = [row.created, row.origin, row.round, row.seed, row.parameters]
    return [*place, *map(_finite, (row.predicted, row.accuracy, row.seconds)), error]


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None
