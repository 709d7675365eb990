"""What folders of the same comparison have, with other seeds or arms: it need not be made again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from archpress.comparison.searches import SEARCHES
from archpress.errors import StoreError
from archpress.paths import store_place
from archpress.search import Progress
from archpress.store import Store, TrialFilter
from archpress.whole_files import whole_file

PARTS = (SEARCHES, "weights")  # folders whose files are named after all that makes them others
SUFFIXES = (".safetensors", ".npy", ".json")  # in this order: text tells that weights are whole


def require_comparisons(folders: Sequence[Path]) -> None:
    """See that folders are of comparisons.

    Raises:
        StoreError: one is not.
    """
    for folder in folders:
        if not (folder / SEARCHES).is_dir():
            raise StoreError(f"{folder} is no folder of a comparison, so it cannot be joined")
        store_place(folder)


def join(
    others: Sequence[Path], folder: Path, trials: Store, data_key: str, progress: Progress
) -> None:
    """Bring searches, weights and trials of other folders into this one, which keeps its own.

    Args:
        others: folders of comparisons; they are only read.
        folder: of this comparison.
        trials: its store.
        data_key: of the images; trials of others stay where they are.
        progress: is told what came.

    Raises:
        StoreError: a folder or its store cannot be read, or this one not be written.
    """
    for other in others:
        try:
            searches, _ = (_copy_missing(other / part, folder / part) for part in PARTS)
        except OSError as error:
            raise StoreError(f"cannot join {other}: {error.strerror}") from None
        with Store(store_place(other)) as theirs:
            merged = trials.merge(theirs, TrialFilter(data=data_key))
        new = merged.new + merged.replaced
        progress.say(f"{other}: {searches} new searches, {new} new trials")


def _copy_missing(source: Path, target: Path) -> int:
    """Copy the files that are not in the target; how many there were."""
    found = [path for suffix in SUFFIXES for path in sorted(source.glob(f"*{suffix}"))]
    missing = [path for path in found if not (target / path.name).exists()]
    for path in missing:
        with whole_file(target / path.name) as unfinished:
            shutil.copyfile(path, unfinished)
    return len(missing)
