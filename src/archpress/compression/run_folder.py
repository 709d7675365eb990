"""The run folder: everything that a compression leaves behind, each file whole or not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from archpress.compression.result import Result
from archpress.errors import StoreError
from archpress.evaluation import Trial
from archpress.paths import store_place
from archpress.run_files import PLAN_FILE, RESULT_FILE, STORE_FILE
from archpress.search import Objective, Silent
from archpress.store import Store, TrialFilter
from archpress.whole_files import write_text

LOCK_FILE = ".lock"


def open_folder(folder: Path) -> Path:
    """Make the folder and its parts where they are missing, and see that it can be written.

    Raises:
        StoreError: it cannot.
    """
    try:
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise StoreError(f"cannot write into the run folder {folder}: {error.strerror}") from None
    return folder


@contextmanager
def store_of(folder: Path, place: Path | str | None, data_key: str) -> Iterator[Store]:
    """The store of a run: the folder's own, or one elsewhere, which may be shared.

    One elsewhere first gets the folder's own trials, and when the run has ended, the folder's own
    gets its trials, so that the folder is whole by itself.

    Args:
        folder: of the run.
        place: of the store; None: in the folder.
        data_key: of the images; trials of others stay where they are.

    Raises:
        StoreError: a store cannot be opened, read or written.
    """
    with Store(folder / STORE_FILE) as own:
        if place is None:
            yield own
            return
        which = TrialFilter(data=data_key)
        with Store(store_place(place, new=True)) as store:
            store.merge(own, which)
            yield store
            own.merge(store, which)


class FolderTrials(Silent):
    """Keeps what a search learns from a store elsewhere in the run folder too, as it comes.

    So that who looks at the folder meanwhile, such as `archpress watch`, sees the trials.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._store = Store(folder / STORE_FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def trial(self, trial: Trial, objective: Objective | None) -> None:
        """Kept, in the place of one that failed before."""
        self._store.add_soon(trial, replace_failed=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a run folder meanwhile; reading it is free.

    Raises:
        StoreError: another one works there.
    """
    lock = FileLock(folder / LOCK_FILE)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"another process works in {folder}: wait for its end, or give another folder"
        ) from None
    with held:
        yield


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """`run.json`: what the run set out to do, for commands that look at it before it ends."""
    write_text(folder / PLAN_FILE, json.dumps(plan, indent=1) + "\n")


def known_plan(folder: Path) -> dict[str, Any]:
    """What `write_plan` wrote; empty where there is nothing that can be read."""
    try:
        return read_plan(folder)
    except StoreError:
        return {}


def read_plan(folder: Path) -> dict[str, Any]:
    """What `write_plan` wrote.

    Raises:
        StoreError: the folder is no run.
    """
    path = folder / PLAN_FILE
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} is no run folder of archpress: {error}") from None
    if not isinstance(plan, dict):
        raise StoreError(f"{folder} is no run folder of archpress: {path.name} holds no object")
    return plan


def write_result(folder: Path, result: Result) -> None:
    """`result.json`."""
    write_text(folder / RESULT_FILE, json.dumps(result.to_dict(), indent=1) + "\n")
