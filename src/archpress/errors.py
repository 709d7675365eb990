"""What can go wrong because of what a caller gave.

    ArchpressError              one sentence: what was wrong, where, what would be right
    ├── ArchitectureError       not a valid net: names the layer, the rule and the value
    ├── SpaceError              a search space or limits that hold no net
    ├── DataError               images or labels that cannot be read or do not fit
    ├── EvaluationError         a recipe, an evaluator or a device that cannot be used
    ├── StoreError              a store or a run folder that cannot be opened or written
    ├── EmbeddingError          vectors or a saved embedding that cannot be used
    └── ExportError             a network that cannot be written in another form

The command line prints the sentence on standard error and exits with code 2.
"""


class ArchpressError(Exception):
    """Base of all errors a caller can cause; its text is one sentence for a person."""


class ArchitectureError(ArchpressError):
    """A layer or a sequence of layers is not a valid network."""


class SpaceError(ArchpressError):
    """A search space or a set of limits holds no architecture."""


class DataError(ArchpressError):
    """Images or labels cannot be read, or do not fit what they are used for."""


class EvaluationError(ArchpressError):
    """A recipe, an evaluator or a device cannot be used as asked."""


class StoreError(ArchpressError):
    """A store or a run folder cannot be opened, read or written."""


class EmbeddingError(ArchpressError):
    """Vectors or a saved embedding cannot be used."""


class ExportError(ArchpressError):
    """A network cannot be written in a form, or would compute something else in it."""


def reason(error: BaseException) -> str:
    """The first line of another library's error, or its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def told(error: BaseException) -> str:
    """Another library's error in one line: its class and the first line of its text."""
    name, text = type(error).__name__, reason(error)
    return f"{name}: {text}" if text != name else name
