"""Files that are there whole or not at all, also when the process is killed while it writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MASK = os.umask(0)  # which can be read only by setting it
os.umask(_MASK)
_MODE = 0o666 & ~_MASK  # safetensors alone would have 0o600


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its name once all is on the disk.

    It is readable as other new files are, whatever wrote it. Where writing fails, what was there
    before is left as it is.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)
