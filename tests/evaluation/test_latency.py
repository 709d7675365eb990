import pytest
import torch

from archpress.architecture import named
from archpress.architecture.export import Preprocessing
from archpress.architecture.network import build
from archpress.evaluation import (
    Latency,
    measure_in_turns,
    measure_latency,
    onnx_stopwatch,
    stopwatch,
)
from archpress.shipping import TrainedNet, to_onnx


def test_a_wider_network_takes_longer_and_nothing_is_changed():
    threads = torch.get_num_threads()
    small, large = build(named("tiny")), build(named("conv7"))
    times = [measure_latency(net, (1, 28, 28), seconds=0.05) for net in (small, large)]
    assert 0 < times[0].median_seconds < times[1].median_seconds
    assert all(latency.runs >= 1 and latency.iqr_seconds >= 0 for latency in times)
    assert (times[0].batch, times[0].threads, times[0].device) == (1, 1, "cpu")
    assert torch.get_num_threads() == threads
    assert small.training
    assert small.conv1.weight.is_contiguous()


def test_a_batch_of_images_takes_longer_than_one():
    network = build(named("tiny"))
    one, many = (
        measure_latency(network, (1, 28, 28), batch=batch, seconds=0.05) for batch in (1, 64)
    )
    assert many.median_seconds > one.median_seconds
    assert many.batch == 64


def test_a_record_without_a_backend_is_of_torch():
    old = {"median_seconds": 1e-3, "iqr_seconds": 0.0, "runs": 9}
    assert Latency(**old, batch=1, threads=1, device="cpu").backend == "torch"


@pytest.mark.slow
def test_torch_and_onnxruntime_are_timed_beside_each_other():
    network = build(named("tiny")).eval()
    model = to_onnx(TrainedNet(network, Preprocessing((0.5,), (0.5,), ())))
    shape, many = (1, 28, 28), 8
    ours, theirs = measure_in_turns(
        [stopwatch(network, shape, batch=many), onnx_stopwatch(model, shape, batch=many)],
        seconds=0.05,
    )
    assert (ours.backend, theirs.backend) == ("torch", "onnxruntime")
    for latency in (ours, theirs):
        assert latency.median_seconds > 0
        assert latency.runs >= 5
        assert (latency.batch, latency.threads, latency.device) == (many, 1, "cpu")
