"""Whether a net's layers can be put in one order only (section 7.2 of the paper)."""

from archpress.architecture.architecture import Architecture


def hamiltonian_path(architecture: Architecture) -> tuple[int, ...] | None:
    """The path through all layers along the data, from the input, -1; None where there is none.

    There is one just where the topological order is unique: layers that follow each other in the
    only possible order must be joined by an edge, as otherwise they could be exchanged.

    Source:
        Lemma 7.2.

    >>> from archpress.architecture import Layer, chain
    >>> hamiltonian_path(chain((1, 8, 8), Layer("conv", 3, 4, 1, 1), Layer("linear", channels=2)))
    (-1, 0, 1)
    """
    if exchangeable(architecture) is not None:
        return None
    return tuple(range(-1, len(architecture.layers)))


def exchangeable(architecture: Architecture) -> tuple[int, int] | None:
    """The first two neighbouring layers that could as well change places; None where none can."""
    for index in range(1, len(architecture.layers)):
        if index - 1 not in architecture.input_indices(index):
            return index - 1, index
    return None
