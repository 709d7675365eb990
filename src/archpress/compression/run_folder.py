"""The run folder: everything that a compression leaves behind, each file whole or not there."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file

from archpress.architecture import Architecture
from archpress.architecture.blocks import as_written
from archpress.architecture.export import Preprocessing, to_source
from archpress.architecture.file_size import SEED_DIGITS, SPLIT_SEED
from archpress.architecture.network import Network
from archpress.compression.result import Result
from archpress.data import ImageData
from archpress.errors import StoreError
from archpress.evaluation import Normalisation, Trial
from archpress.run_files import COMPRESSED_FILE, PLAN_FILE, RESULT_FILE, STORE_FILE
from archpress.search import Objective, Silent
from archpress.store import Store, TrialFilter
from archpress.whole_files import whole_file, write_text

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
def trials_of(folder: Path, place: Path | str | None, data_key: str) -> Iterator[Store]:
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
        with Store(place) as store:
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


def write_network(
    folder: Path,
    architecture: Architecture,
    network: Network,
    data: ImageData,
    normalisation: Normalisation,
) -> None:
    """`compressed.json`, `network.py`, `weights.safetensors` and `weights.pt`.

    A result and a report that are there tell of the network before, and are taken away.

    Args:
        folder: of the run.
        architecture: of the network.
        network: trained.
        data: whose classes `network.py` tells. The weights' file tells the seed by which they were
            divided, so that nobody takes training images for validation images later.
        normalisation: of the images that the network reads, which `network.py` tells.
    """
    for name in (RESULT_FILE, "report.html"):
        (folder / name).unlink(missing_ok=True)
    preprocessing = Preprocessing(normalisation.mean, normalisation.std, data.class_names)
    write_text(folder / COMPRESSED_FILE, architecture.to_json())
    write_text(folder / "network.py", to_source(architecture, preprocessing))
    state = as_written(architecture, network.state_dict())
    weights = {name: value.contiguous() for name, value in state.items()}
    seed = "" if data.split_seed is None else f"{data.split_seed:0{SEED_DIGITS}d}"
    about = {SPLIT_SEED: seed.ljust(SEED_DIGITS)}
    savers: dict[str, Callable[..., object]] = {
        "weights.safetensors": partial(save_file, metadata=about),
        "weights.pt": torch.save,
    }
    for name, save in savers.items():
        try:
            with whole_file(folder / name) as unfinished:
                save(weights, unfinished)
        except (SafetensorError, RuntimeError) as error:  # a full disk, as both libraries tell it
            reason = str(error).splitlines()[0]
            raise StoreError(f"cannot write {folder / name}: {reason}") from None


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
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} is no run folder of archpress: {error}") from None
    return plan


def write_result(folder: Path, result: Result) -> None:
    """`result.json`."""
    write_text(folder / RESULT_FILE, json.dumps(result.to_dict(), indent=1) + "\n")
