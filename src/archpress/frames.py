"""Trials as a pandas frame, for those who look at them their own way."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from archpress.errors import EvaluationError
from archpress.evaluation.trial import SUMMARY_FIELDS, Trial
from archpress.paths import store_place
from archpress.store import Store

if TYPE_CHECKING:
    import pandas


def trials_frame(trials: "Path | str | Store | Iterable[Trial]") -> "pandas.DataFrame":
    """One row a trial, failed ones too, in the order in which they ended.

    Columns are those of `Trial.summary` ("key", "state", "accuracy", "parameters", "macs",
    "seconds", "origin", "round", "predicted", "error", ...), then the other metrics of the trials,
    e.g. "train_loss". Accuracies are fractions; what a trial does not have is missing.

    Args:
        trials: the folder of a run, which may be at work; a store, or its path; or trials.

    Raises:
        EvaluationError: pandas is not installed.
        StoreError: there is no store, or it cannot be read.
    """
    try:
        import pandas
    except ImportError:
        raise EvaluationError(
            "a frame of trials needs pandas: pip install 'archpress[frames]'"
        ) from None
    records = [{**one.metrics, **one.summary()} for one in _read(trials)]
    frame = pandas.DataFrame.from_records(records, columns=None if records else SUMMARY_FIELDS)
    frame = frame[[*SUMMARY_FIELDS, *sorted({*frame.columns} - {*SUMMARY_FIELDS})]]
    frame = frame.astype({"accuracy": "float64", "predicted": "float64"})  # None becomes NaN
    return frame.assign(created=pandas.to_datetime(frame["created"], utc=True, format="ISO8601"))


def _read(trials: "Path | str | Store | Iterable[Trial]") -> Iterable[Trial]:
    if isinstance(trials, Store):
        return trials.trials()
    if not isinstance(trials, Path | str):
        return trials
    with Store(store_place(trials)) as store:
        return store.trials()
