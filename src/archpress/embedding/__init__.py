"""A continuous space of architectures: learned from architectures, bent by measured accuracies.

Alphabet, Tokens        architectures as padded arrays
Embedding               encode, decode, predict; saved as safetensors
begin_with_pretrained   take over weights that ship with the package
fit_unlabelled, refit   train it: long on architectures alone, short on each round's trials
Surrogate               guesses accuracy with uncertainty, to rank candidates
held_out_ranking        Kendall's tau beside "parameters alone" and "macs alone"
reconstruction          what decoding restores
"""

from archpress.embedding.embedding import Embedding
from archpress.embedding.fitting import FitSettings, Labelled, fit_unlabelled, refit
from archpress.embedding.latency_head import LatencyHead, fit_latency_head
from archpress.embedding.model import ModelSize
from archpress.embedding.pretrained import begin_with_pretrained
from archpress.embedding.quality import Ranking, Reconstruction, held_out_ranking, reconstruction
from archpress.embedding.surrogate import Guess, Surrogate
from archpress.embedding.tokens import Alphabet, Tokens

__all__ = [
    "Alphabet",
    "Embedding",
    "FitSettings",
    "Guess",
    "Labelled",
    "LatencyHead",
    "ModelSize",
    "Ranking",
    "Reconstruction",
    "Surrogate",
    "Tokens",
    "begin_with_pretrained",
    "fit_latency_head",
    "fit_unlabelled",
    "held_out_ranking",
    "reconstruction",
    "refit",
]
