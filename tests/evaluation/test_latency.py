import torch

from archpress.architecture import named
from archpress.architecture.network import build
from archpress.evaluation import measure_latency


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
