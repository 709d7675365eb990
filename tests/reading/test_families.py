"""Other people's networks are read exactly: parameters, multiply-adds and outputs."""

import pytest
import torch
from families import FAMILIES, IMAGE
from more_families import MORE_FAMILIES
from torch.utils.flop_counter import FlopCounterMode

from archpress.architecture import Architecture
from archpress.architecture.blocks import as_written
from archpress.architecture.export import Preprocessing, to_source
from archpress.architecture.network import build
from archpress.reading.tracing import carry_into, trace
from archpress.shipping import TrainedNet, to_onnx, to_program
from archpress.shipping.agreement import largest_difference
from archpress.shipping.onnx_file import OnnxNetwork
from archpress.shipping.program import load_program

ALL = FAMILIES | MORE_FAMILIES


@pytest.mark.parametrize("family", list(ALL))
def test_a_family_is_read_exactly(family, shake, outputs):
    module = shake(ALL[family]())
    traced = trace(module, IMAGE)
    network = carry_into(build(traced.architecture), module, traced)
    expected, got = outputs(module, IMAGE).flatten(1), outputs(network, IMAGE)
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    assert traced.architecture.parameters == sum(w.numel() for w in module.parameters())
    assert Architecture.from_json(traced.architecture.to_json()) == traced.architecture
    if family in MORE_FAMILIES:  # which multiply where no convolution is, or have fixed ones
        return
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *IMAGE))
    scales = sum(  # a factor a channel is no convolution where it comes from
        macs
        for name, macs in zip(traced.names, traced.architecture.layer_macs, strict=True)
        if name.endswith("gamma")
    )
    assert 2 * (traced.architecture.macs - scales) == counter.get_total_flops()


@pytest.mark.parametrize("family", list(ALL))
def test_the_source_of_a_family_is_plain_pytorch_that_computes_the_same(family, shake, outputs):
    module = shake(ALL[family]())
    traced = trace(module, IMAGE)
    network = carry_into(build(traced.architecture), module, traced)
    classes = tuple("abcde")
    code = to_source(traced.architecture, Preprocessing((0.0,) * 3, (1.0,) * 3, classes))
    namespace = {"__name__": "written"}
    exec(compile(code, "network.py", "exec"), namespace)
    written = namespace["Network"]()
    written.load_state_dict(as_written(traced.architecture, network.state_dict()))
    assert torch.equal(outputs(written, IMAGE), outputs(network, IMAGE))


@pytest.mark.slow
@pytest.mark.parametrize("family", list(ALL))
def test_a_family_computes_the_same_as_an_onnx_file_and_as_a_program(family, shake):
    module = shake(ALL[family]())
    traced = trace(module, IMAGE)
    network = carry_into(build(traced.architecture), module, traced).eval()
    trained = TrainedNet(network, Preprocessing((0.0,) * 3, (1.0,) * 3, tuple("abcde")))
    for shipped in (OnnxNetwork(to_onnx(trained)), load_program(to_program(trained))):
        assert largest_difference(network, shipped, most=1e-5, called=family) <= 1e-5
