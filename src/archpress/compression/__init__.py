"""From a net, images and limits to a result: search in the embedding, final training, measures."""

from archpress.compression.assess import Assessment, assess
from archpress.compression.compress import compress
from archpress.compression.plain_training import train_to_folder
from archpress.compression.result import LimitCheck, Measured, Result, Spread
from archpress.compression.search import SearchResult, Task
from archpress.compression.settings import (
    EFFORTS,
    MIRRORED,
    Settings,
    default_effort,
    settings_for,
    settings_of,
    with_counts,
)
from archpress.compression.timing import Timing, nets_to_time

__all__ = [
    "EFFORTS",
    "MIRRORED",
    "Assessment",
    "LimitCheck",
    "Measured",
    "Result",
    "SearchResult",
    "Settings",
    "Spread",
    "Task",
    "Timing",
    "assess",
    "compress",
    "default_effort",
    "nets_to_time",
    "settings_for",
    "settings_of",
    "train_to_folder",
    "with_counts",
]
