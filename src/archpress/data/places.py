"""Where the files of the named sets are looked for, and how they are read and downloaded."""

import gzip
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archpress.errors import DataError
from archpress.paths import typed_path

VARIABLE = "ARCHPRESS_DATA"
SYSTEM = Path("/usr/share/datasets")  # Debian's packages dataset-*


@dataclass(frozen=True, slots=True)
class DataFiles:
    """A folder or a .tar.gz that holds the official files of a set."""

    path: Path

    @property
    def is_archive(self) -> bool:
        """Whether the files are inside of a .tar.gz."""
        return self.path.name.endswith(".tar.gz")

    def holds(self, names: tuple[str, ...]) -> bool:
        """Whether all files are here; those of an archive are taken to be."""
        return self.path.is_file() if self.is_archive else all(map(self._find, names))

    def read(self, name: str) -> bytes:
        """The content of a file, unzipped.

        Raises:
            DataError: it is not here, or is truncated or damaged.
        """
        return self.read_all((name,))[0]

    def read_all(self, names: tuple[str, ...]) -> list[bytes]:
        """The contents of several files; an archive is gone through once."""
        try:
            if self.is_archive:
                return self._read_members(names)
            return [self._read_file(name) for name in names]
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise DataError(
                f"{self.path}: {' or '.join(names)} cannot be read; a file is truncated or "
                f"damaged ({error})"
            ) from error

    def _find(self, name: str) -> Path | None:
        candidates = (self.path / name, self.path / f"{name}.gz")
        return next((path for path in candidates if path.is_file()), None)

    def _read_file(self, name: str) -> bytes:
        path = self._find(name)
        if path is None:
            raise DataError(f"{self.path}: there is no {name} or {name}.gz")
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

    def _read_members(self, names: tuple[str, ...]) -> list[bytes]:
        found: dict[str, bytes] = {}
        with tarfile.open(self.path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in names and (stream := archive.extractfile(member)) is not None:
                    found[name] = stream.read()
                if len(found) == len(names):
                    break
        missing = [name for name in names if name not in found]
        if missing:
            raise DataError(f"{self.path}: there is no {missing[0]} in the archive")
        return [found[name] for name in names]


def given_folder() -> Path | None:
    """The folder that the environment variable names, if it is set.

    Raises:
        DataError: there is no such folder.
    """
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    folder = typed_path(value)
    if not folder.is_dir():
        raise DataError(f"{VARIABLE} is set to {value}, but there is no such folder")
    return folder


def cache_folder() -> Path:
    """The user's cache of this package; it need not exist."""
    import pooch

    return Path(pooch.os_cache("archpress"))


def folders_of(name: str, nested: tuple[str, ...]) -> list[Path]:
    """All folders in which the files of a set may lie, in order of preference.

    Args:
        name: of the set.
        nested: folders that its archive or other packages make for it.
    """
    given, cache = given_folder(), cache_folder()
    roots = [cache / name, SYSTEM / name]
    if given is not None:
        roots = [given / name, given, *roots]
    candidates = [root / inner for root in roots for inner in ("", *nested)]
    return [folder for folder in candidates if folder.is_dir()]


def download(address: str, file: str, md5: str, folder: Path) -> None:
    """Download a file into a folder, with its checksum and a progress bar on standard error.

    Raises:
        OSError: the network failed.
        ValueError: the checksum is another.
    """
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        downloader = pooch.HTTPDownloader(progressbar=_Bar(progress, file))
        pooch.retrieve(
            address + file,
            known_hash=f"md5:{md5}",
            fname=file,
            path=folder,
            downloader=downloader,
        )


class _Bar:
    """The progress bar that pooch expects, drawn by rich."""

    def __init__(self, progress: Any, file: str) -> None:  # noqa: ANN401 - imported where used
        self._progress = progress
        self._task = progress.add_task(file, total=None)

    @property
    def total(self) -> int:
        """Bytes to come."""
        return int(self._progress.tasks[0].total or 0)

    @total.setter
    def total(self, count: int) -> None:
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        """Count further bytes."""
        self._progress.update(self._task, advance=count)

    def reset(self) -> None:
        """Start from 0 bytes."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Nothing to close: the bar ends with its context."""
