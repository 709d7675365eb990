from dataclasses import replace

import pytest
import torch

from archpress.architecture import Layer, chain
from archpress.architecture.network import build
from archpress.errors import EvaluationError
from archpress.evaluation import choose_precision, train
from archpress.evaluation.precision import computing

DEPTHWISE = chain(
    (1, 8, 8),
    Layer("conv", 3, 8, 1, 1),
    Layer("depthwise", 3, 0, 1, 1),
    Layer("linear", channels=4),
)


def test_names_and_what_auto_means(monkeypatch):
    assert choose_precision("float32") == "float32"
    assert choose_precision("bfloat16") == "bfloat16"
    for has_units, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda on=has_units: {"amx_bf16": on})
        assert choose_precision("auto", "cpu") == expected
    assert choose_precision("auto", "mps") == "float32"


@pytest.mark.parametrize(
    ("name", "device", "told"),
    [("float16", "cpu", "known are auto, float32, bfloat16"), ("bfloat16", "mps", "on mps")],
)
def test_what_cannot_be_is_told(name, device, told):
    with pytest.raises(EvaluationError, match=told):
        choose_precision(name, device)


def test_a_net_learns_in_bfloat16_and_keeps_weights_of_float32(data, net, brief):
    recipe = replace(brief, epochs=4)
    exact = train(net, data, recipe, seed=0)
    rounded, again = (
        train(net, data, replace(recipe, precision="bfloat16"), seed=0) for _ in range(2)
    )
    assert rounded.accuracy > 0.9
    assert {weight.dtype for weight in rounded.network.parameters()} == {torch.float32}
    assert exact.train_loss != rounded.train_loss == again.train_loss


@pytest.mark.parametrize(("is_grouped", "dtype"), [(True, torch.float32), (False, torch.bfloat16)])
def test_nets_with_grouped_convolutions_compute_in_float32_on_a_cpu(net, is_grouped, dtype):
    network = build(DEPTHWISE if is_grouped else net)
    with computing(network, "bfloat16", torch.device("cpu")):
        assert network(torch.zeros(2, 1, 8, 8)).dtype == dtype
