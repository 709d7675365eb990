"""`Journal`: what a search decided to train, round by round: a killed run goes on from it."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from archpress.architecture import Architecture
from archpress.errors import ArchitectureError, StoreError
from archpress.evaluation import Candidate


class Journal:
    """One line a round in a file, written before anything of the round is trained.

    Trials are in the store; with the journal a run that was killed knows which of them it wanted,
    and asks for the same again instead of drawing anew. Lines that cannot be read are left out.

    Args:
        path: of the file; several searches may share one.
        search: what makes two searches the same; any text.

    Raises:
        StoreError: the file cannot be read, here, or written, in `add`.
    """

    def __init__(self, path: Path, search: str) -> None:
        self._path = path
        self._search = hashlib.sha256(search.encode()).hexdigest()[:16]
        self.rounds: list[list[Candidate]] = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        except OSError as error:
            raise StoreError(f"cannot read the journal {path}: {error.strerror}") from None
        for line in lines:
            candidates = self._read(line)
            if candidates is not None:
                self.rounds.append(candidates)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Keep a round; it is on disk when this returns."""
        rows = [
            {
                "architecture": json.loads(one.architecture.to_json()),
                "origin": one.origin,
                "round": one.round,
                "predicted": one.predicted,
            }
            for one in candidates
        ]
        line = json.dumps({"search": self._search, "candidates": rows})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # the first line break ends a line that was cut off
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"cannot write the journal {self._path}: {error.strerror}") from None
        self.rounds.append(list(candidates))

    def _read(self, line: str) -> list[Candidate] | None:
        try:
            content = json.loads(line)
            if content["search"] != self._search:
                return None
            return [
                Candidate(
                    Architecture.from_json(json.dumps(row["architecture"])),
                    row["origin"],
                    row["round"],
                    row["predicted"],
                )
                for row in content["candidates"]
            ]
        except (json.JSONDecodeError, KeyError, TypeError, ArchitectureError):
            return None
