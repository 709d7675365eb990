"""A finished network in forms that other programs run.

ship            a run folder in, one file out, checked against the network; start reading here
read_trained    the network of a run folder, with what its images need
to_onnx         as ONNX
to_program      as a torch.export program
to_int8         ONNX with weights and activations of eight bits
pack            nets to be timed on another device
"""

from archpress.shipping.int8 import to_int8
from archpress.shipping.onnx_file import to_onnx
from archpress.shipping.pack import pack
from archpress.shipping.program import to_program
from archpress.shipping.ship import FORMS, Shipment, ShippedForm, ship
from archpress.shipping.trained import TrainedNet, read_trained

__all__ = [
    "FORMS",
    "Shipment",
    "ShippedForm",
    "TrainedNet",
    "pack",
    "read_trained",
    "ship",
    "to_int8",
    "to_onnx",
    "to_program",
]
