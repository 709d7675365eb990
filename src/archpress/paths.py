"""Paths as they are typed."""

import shlex
from pathlib import Path

from archpress.errors import StoreError
from archpress.run_files import STORE_FILE


def typed_path(place: str | Path) -> Path:
    """The path, `~` replaced by the user's folder; as it is where there is no such user.

    >>> typed_path("~nobody-of-this-name/net.json").name
    'net.json'
    """
    path = Path(place)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def quoted(path: Path) -> str:
    """As a shell takes it."""
    return shlex.quote(str(path))


def store_place(place: str | Path, *, new: bool = False) -> str:
    """Where the store is that was typed as a folder of a run, a file or a URL.

    Args:
        place: as typed.
        new: whether the file may be missing.

    Raises:
        StoreError: it is missing.
    """
    if "://" in str(place):
        return str(place)
    path = typed_path(place)
    if path.is_dir():
        path /= STORE_FILE
    if not new and not path.exists():
        raise StoreError(f"there is no store {path}")
    return str(path)
