"""The embedding that ships with the package, fitted on nets around many sources, as a beginning.

No image has a part in it. `benchmarks/pretrain_embedding.py` makes the file.
"""

from pathlib import Path

import torch

from archpress.embedding.embedding import Embedding, read_file
from archpress.embedding.tokens import Alphabet

PRETRAINED = Path(__file__).with_name("pretrained.safetensors")

# Which places along one dimension of a weight two models have in common: dimension, the one's, the
# other's.
Shared = tuple[int, list[int], list[int]]


def begin_with_pretrained(embedding: Embedding, path: Path = PRETRAINED) -> bool:
    """Take over the weights of encoder and decoder, as far as both know the same values.

    What the shipped embedding has not seen, kinds and slots beyond its own, keeps its fresh
    weights, as do the heads.

    Args:
        embedding: of any search space; changed in place.
        path: a file of `Embedding.save`.

    Returns:
        Whether it was done; not where the model has other widths.

    Raises:
        EmbeddingError: the file cannot be read.
    """
    file = read_file(path)
    size, other = embedding.size, file.size
    if (size.dimensions, size.width) != (other.dimensions, other.width):
        return False
    shared = _shared(embedding.alphabet, file.alphabet, embedding.size.width)
    for name, fresh in embedding.model.state_dict().items():
        if not name.startswith(("encoder.", "decoder.")):
            continue
        given = file.tensors[name]
        if name in shared:
            along, own, others = shared[name]
            place = torch.tensor(own)
            fresh.index_copy_(along, place, given.index_select(along, torch.tensor(others)))
        else:
            fresh.copy_(given)
    return True


def _shared(own: Alphabet, other: Alphabet, width: int) -> dict[str, Shared]:
    """By the name of the weight; weights that depend on no alphabet are left out."""
    shared: dict[str, Shared] = {}
    logits: tuple[list[int], list[int]] = ([], [])
    first = [0, 0]
    for field, (mine, theirs) in enumerate(zip(own.values, other.values, strict=True)):
        known = {value: index for index, value in enumerate(theirs)}
        pairs = [(index, known[value]) for index, value in enumerate(mine) if value in known]
        one, two = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        shared[f"encoder.categories.{field}.weight"] = (0, one, two)
        logits[0].extend(first[0] + index for index in one)
        logits[1].extend(first[1] + index for index in two)
        first = [first[0] + len(mine), first[1] + len(theirs)]
    logits[0].append(first[0])  # the channels follow the categories
    logits[1].append(first[1])
    shared["decoder.out.weight"] = shared["decoder.out.bias"] = (0, *logits)
    slots = list(range(min(own.slots, other.slots)))
    shared["encoder.position"] = (0, slots, slots)
    coarse = _coarse(own, width, len(slots)), _coarse(other, width, len(slots))
    shared["encoder.out.weight"] = (1, *coarse)
    shared["decoder.start.weight"] = shared["decoder.start.bias"] = (0, *coarse)
    return shared


def _coarse(alphabet: Alphabet, width: int, slots: int) -> list[int]:
    """Where features of the first slots lie once maps of `2 width x slots / 4` are flattened."""
    return [
        channel * (alphabet.slots // 4) + place
        for channel in range(2 * width)
        for place in range(slots // 4)
    ]
