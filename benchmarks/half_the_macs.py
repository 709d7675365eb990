"""ResNet-20 and MobileNetV2 at half of their multiply-adds, timed by onnxruntime before and after.

    python benchmarks/half_the_macs.py runs/half --out benchmarks/results/half_the_macs.jsonl

CIFAR-10, a part of its training images and one epoch: nothing here is about accuracy. Limits are
50 % of the macs and 1/1.5 of the latency at batch 1 on one thread with onnxruntime; only widths
change (`--any-layers`: anything may), so that all joins stay. Both networks are exported to ONNX
and timed in turns. Wants a machine that does nothing else.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from archpress.architecture import Architecture, named
from archpress.architecture.network import build
from archpress.compression import compress, settings_for
from archpress.data import load_data
from archpress.evaluation import measure_in_turns, onnx_stopwatch, ready_to_time
from archpress.reading.tracing import trace
from archpress.shipping import ship
from archpress.space import Form, LatencyConditions, LatencyModel, Limits

STAGES = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)]  # expansion, channels,
STAGES += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # blocks, stride of the first


class Bottleneck(nn.Module):
    """Wide inside, one depthwise convolution, joined where shapes allow it."""

    def __init__(self, before: int, expansion: int, after: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        self.joined = stride == 1 and before == after
        self.layers = nn.Sequential(
            *(pointwise(before, wide) if expansion > 1 else ()),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return x + self.layers(x) if self.joined else self.layers(x)


def pointwise(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU6()


def mobilenet_v2() -> Architecture:
    """In the form for 32 x 32 pixels: the first two strides are 1."""
    blocks: list[nn.Module] = []
    width = 32
    for expansion, channels, count, stride in STAGES:
        for number in range(count):
            blocks.append(Bottleneck(width, expansion, channels, stride if number == 0 else 1))
            width = channels
    network = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()),
        *blocks,
        *pointwise(width, 1280),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)),
    )
    return trace(network, (3, 32, 32)).architecture


def main() -> None:
    parser = argparse.ArgumentParser(description="Half of the macs, and how much faster.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train-images", type=int, default=3000)
    parser.add_argument("--any-layers", action="store_true")
    given = parser.parse_args()
    images = load_data("cifar10", max_train=given.train_images)
    smoke = settings_for("smoke")
    settings = replace(smoke, final=replace(smoke.final, epochs=1), seeds=1)
    conditions = LatencyConditions(backend="onnxruntime")
    for name, source in (("resnet20", named("resnet20")), ("mobilenet_v2", mobilenet_v2())):
        limits = Limits(
            max_macs=source.macs // 2,
            max_latency_share=1 / 1.5,
            latency=LatencyModel(conditions),
        )
        folder = given.run / name
        form = Form(widths_only=not given.any_layers)
        result = compress(
            source, images, limits, run=folder, form=form, settings=settings, name=name
        )
        shipment = ship(folder, "onnx")
        shape = source.input_shape
        whole, half = measure_in_turns(
            [
                ready_to_time(build(source).eval(), shape, conditions),
                onnx_stopwatch(shipment.path.read_bytes(), shape),
            ],
            seconds=2,
            rounds=10,
        )
        net = result.architecture
        row = {
            "source": name,
            "widths_only": form.widths_only,
            "macs": [source.macs, net.macs],
            "parameters": [source.parameters, net.parameters],
            "joins": [sum(layer.kind == "add" for layer in one.layers) for one in (source, net)],
            "difference": shipment.difference,
            "milliseconds": [1e3 * whole.median_seconds, 1e3 * half.median_seconds],
            "faster": whole.median_seconds / half.median_seconds,
            "met": result.met,
        }
        with given.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row)


if __name__ == "__main__":
    main()
