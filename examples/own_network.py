"""Compress a network of your own on images of your own kind: here digits, in half a minute.

In earnest leave out `settings` and `workers`; `archpress[digits]` brings the images.
"""

from torch import nn

import archpress as ap

network = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(512, 10),
)
result = ap.compress(
    network,
    "digits",
    ap.Limits(max_parameters=3000),
    run="runs/digits",
    settings=ap.settings_for("smoke"),
    workers=1,  # to start another takes longer than these trainings
    name="mine",
)
print(result.sentence)
print(result.build())
