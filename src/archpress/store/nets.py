"""`open_net`: a net that a user names, also one of the trials of a store."""

import re
from pathlib import Path

from archpress.architecture import Architecture
from archpress.errors import StoreError
from archpress.paths import typed_path
from archpress.reading.sources import NamedSource, open_source
from archpress.run_files import STORE_FILE
from archpress.store.store import Store
from archpress.store.tables import TrialFilter

_KEY = re.compile(r"[0-9a-f]{6,32}")  # six: among a thousand trials one in a hundred clashes


def trial_key(net: str) -> str | None:
    """The key in a text that names a trial; None where it names something else.

    >>> trial_key("conv7"), trial_key("mymodel.py:abcdef")
    (None, None)
    """
    named = _place_and_key(net)
    return named and named[1]


def open_net(net: str) -> NamedSource:
    """Find what a user names, without reading its layers.

    Args:
        net: RUN:KEY, a run folder or its `trials.db` and how the key of a trial's architecture
            begins, as `archpress trials` and the report have it; all else is as in `open_source`.

    Raises:
        StoreError: there is no such trial, or the key begins those of several architectures.
        ArchitectureError: there is no such net, or it cannot be opened.
    """
    named = _place_and_key(net)
    if named is None:
        return open_source(net)
    architecture = _tried(*named)
    return NamedSource(net, architecture.input_shape, architecture)


def _place_and_key(net: str) -> tuple[Path, str] | None:
    place, _, key = net.rpartition(":")
    path = typed_path(place)
    if path.is_dir():
        path /= STORE_FILE
    if not place or not _KEY.fullmatch(key) or path.suffix == ".py" or not path.is_file():
        return None
    if not path.stat().st_size:  # a store would be made of it
        return None
    return path, key


def _tried(path: Path, key: str) -> Architecture:
    with Store(path) as store:
        found = {trial.architecture.key: trial for trial in store.trials(TrialFilter(key=key))}
    if len(found) != 1:
        how_many = f"{len(found)} architectures" if found else "no architecture"
        raise StoreError(f"{path} has {how_many} whose key begins with {key}")
    return next(iter(found.values())).architecture
