"""Paths as they are typed."""

from pathlib import Path


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
