"""What a network is: layers, architectures as values, and the networks built from them."""

from archpress.architecture.architecture import Architecture, chain
from archpress.architecture.heads import with_classes, with_linear_head
from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import Layer
from archpress.architecture.ordering import exchangeable, hamiltonian_path
from archpress.architecture.simplify import simplify
from archpress.architecture.zoo import ZOO, named

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "ZOO",
    "Architecture",
    "Layer",
    "chain",
    "exchangeable",
    "hamiltonian_path",
    "named",
    "simplify",
    "with_classes",
    "with_linear_head",
]
