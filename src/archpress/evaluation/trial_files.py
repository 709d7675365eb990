"""Trials as files for other programs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from archpress.errors import ArchitectureError, EvaluationError
from archpress.evaluation.trial import SUMMARY_FIELDS, Trial
from archpress.whole_files import whole_file


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """Write trials, whole or not at all.

    Args:
        trials: in the order they are to be written.
        path: `.jsonl`: everything, one trial a line, for `read_trials`; `.csv`: a table without
            curves and layers.

    Raises:
        EvaluationError: the name ends otherwise.
        OSError: the file cannot be written.
    """
    writers = {".jsonl": _write_jsonl, ".csv": _write_csv}
    if path.suffix not in writers:
        raise EvaluationError(f"the name of {path} must end in .jsonl or .csv")
    with whole_file(path) as unfinished:
        writers[path.suffix](trials, unfinished)


def read_trials(path: Path) -> list[Trial]:
    """The trials of a `.jsonl` file that `write_trials` wrote.

    Raises:
        EvaluationError: the file cannot be read, or a line is no trial; says which.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read trials from {path}: {error}") from None
    trials = []
    for number, line in enumerate(lines, start=1):
        try:
            trials.append(Trial.from_dict(json.loads(line)))
        except (ArchitectureError, ValueError, TypeError, KeyError) as error:
            raise EvaluationError(f"{path}, line {number} is no trial: {error}") from None
    return trials


def _write_jsonl(trials: Sequence[Trial], path: Path) -> None:
    lines = (json.dumps(trial.to_dict()) + "\n" for trial in trials)
    path.write_text("".join(lines), encoding="utf-8")


def _write_csv(trials: Sequence[Trial], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SUMMARY_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(trial.summary() for trial in trials)
