"""`Ledger`: what was logged to a sink, in the run folder, so that it is not logged twice."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from archpress.whole_files import write_text

FOLDER = "tracking"  # in the run folder


class Ledger(BaseModel):
    """What is known of one sink.

    Attributes:
        about: digest of the run and the sink; another one begins anew.
        place: name of where it lies in the sink; empty before it has one.
        keys: of architectures; the trial of the first is step 1. Written before they are logged.
        logged: how many of them surely were.
        outcome: digest of the last result that was logged.
    """

    about: str
    place: str = ""
    keys: list[str] = []
    logged: int = 0
    outcome: str = ""

    @staticmethod
    def read(run: Path, sink: str, about: str) -> "Ledger":
        """What `save` wrote; an empty one where there is none of this run and sink."""
        try:
            found = Ledger.model_validate_json(_path(run, sink).read_bytes())
        except (OSError, ValidationError):
            return Ledger(about=about)
        return found if found.about == about else Ledger(about=about)

    def save(self, run: Path, sink: str) -> None:
        """Write it, whole or not at all.

        Raises:
            OSError: it cannot be written; then nothing must be logged.
        """
        path = _path(run, sink)
        path.parent.mkdir(exist_ok=True)
        write_text(path, self.model_dump_json() + "\n")


def digest(*parts: object) -> str:
    """Of plain values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flat(values: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Nested values as text, names joined by dots; what is not there is left out.

    >>> flat({"source": "conv7", "limits": {"max_parameters": 93000}, "keep": None})
    {'source': 'conv7', 'limits.max_parameters': '93000'}
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        elif value is not None:
            found[f"{before}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def _path(run: Path, sink: str) -> Path:
    return run / FOLDER / f"{sink}.json"
