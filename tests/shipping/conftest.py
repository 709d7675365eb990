"""A folder as `train` leaves it, of a net that was not trained: exporting does not mind."""

from dataclasses import replace

import pytest
import torch

from archpress.architecture import named
from archpress.architecture.network import build
from archpress.compression.network_files import write_network
from archpress.compression.run_folder import open_folder
from archpress.evaluation import Normalisation, final


@pytest.fixture
def folder(tmp_path, images):
    net = named("tiny")
    torch.manual_seed(0)
    path = open_folder(tmp_path / "run")
    images = replace(images, split_seed=7)
    normalisation = Normalisation.of(images, final(epochs=1, flip=False))
    write_network(path, net, build(net), images, normalisation)
    return path
