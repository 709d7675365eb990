from dataclasses import replace

import pytest
import torch

from archpress.architecture import Layer, chain
from archpress.architecture.frozen import Frozen
from archpress.architecture.network import build
from archpress.cli.options import PrecisionName
from archpress.errors import EvaluationError
from archpress.evaluation import choose_precision, teacher_logits_of, train
from archpress.evaluation.precision import PRECISION_NAMES, computing, precision_of

CPU = torch.device("cpu")
DEPTHWISE = chain(
    (1, 8, 8),
    Layer("conv", 3, 8, 1, 1),
    Layer("depthwise", 3, 0, 1, 1),
    Layer("linear", channels=4),
)


class AsItIs(Frozen):
    """Stands for any part that stays as it is."""

    def __init__(self):
        torch.nn.Module.__init__(self)


def test_the_command_and_python_know_the_same_names():
    assert [name.value for name in PrecisionName] == list(PRECISION_NAMES)


@pytest.mark.parametrize(("has_units", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_auto_asks_the_processor(monkeypatch, has_units, chosen):
    told = lambda: {"amx_bf16": has_units}  # noqa: E731
    monkeypatch.setattr(torch.cpu, "get_capabilities", told, raising=False)
    assert choose_precision("auto", "cpu") == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "float32"), ((9, 0), "bfloat16")])
def test_auto_asks_the_gpu(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", "cuda:0") == chosen


def test_auto_is_float32_on_mps():
    assert choose_precision("auto", "mps") == "float32"


@pytest.mark.parametrize(
    ("name", "device", "told"),
    [("float16", "cpu", "known are auto, float32, bfloat16"), ("bfloat16", "mps", "on mps")],
)
def test_what_cannot_be_is_told(name, device, told):
    with pytest.raises(EvaluationError, match=told):
        choose_precision(name, device)


def test_a_training_in_bfloat16_on_mps_is_refused(net):
    with pytest.raises(EvaluationError, match="on mps"):
        precision_of(build(net), "bfloat16", torch.device("mps"))


def test_a_net_learns_in_bfloat16_and_keeps_weights_of_float32(data, net, brief):
    recipe = replace(brief, epochs=4, precision="bfloat16")
    result = train(net, data, recipe, seed=0)
    assert result.accuracy > 0.9
    assert {weight.dtype for weight in result.network.parameters()} == {torch.float32}


def test_bfloat16_gives_another_training_and_always_the_same(data, net, brief):
    rounded = replace(brief, precision="bfloat16")
    losses = [train(net, data, recipe, seed=0).train_loss for recipe in (brief, rounded, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == losses[2]


def test_a_teacher_is_followed_in_bfloat16(data, net, brief):
    recipe = replace(brief, epochs=4, precision="bfloat16", distillation=0.5, teacher="itself")
    teacher = train(net, data, brief, seed=1).network
    logits = teacher_logits_of(teacher, data, recipe)
    assert train(net, data, recipe, seed=0, teacher_logits=logits).accuracy > 0.9


def test_some_networks_compute_in_float32_all_the_same(net):
    assert precision_of(build(net), "bfloat16", CPU) == "bfloat16"
    assert precision_of(build(DEPTHWISE), "bfloat16", CPU) == "float32"
    assert precision_of(build(DEPTHWISE), "bfloat16", torch.device("cuda")) == "bfloat16"
    with_part = torch.nn.Sequential(build(net), AsItIs())
    assert precision_of(with_part, "bfloat16", torch.device("cuda")) == "float32"


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_passes_compute_in_it(net, precision, dtype):
    with computing(precision, CPU):
        assert build(net)(torch.zeros(2, 1, 8, 8)).dtype == dtype
