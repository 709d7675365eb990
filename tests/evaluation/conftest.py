from collections.abc import Iterator

import pytest
import torch

from archpress.architecture import Architecture, Layer, chain
from archpress.data import ImageData, Split
from archpress.evaluation import Candidate, ProcessPool, RayPool, Recipe, connect

CLASSES = 4


def quadrants(count: int, seed: int) -> Split:
    """Noise with one bright quadrant, whose number is the class; learnable in a few steps."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=rng)
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=rng)
    for quadrant in range(CLASSES):
        top, left = 4 * (quadrant // 2), 4 * (quadrant % 2)
        images[labels == quadrant, :, top : top + 4, left : left + 4] += 100
    return Split(images.to(torch.uint8), labels)


@pytest.fixture(scope="session")
def data() -> ImageData:
    names = tuple(f"quadrant {number}" for number in range(CLASSES))
    return ImageData.of("quadrants", quadrants(193, 0), quadrants(100, 1), names)


@pytest.fixture(scope="session")
def brief() -> Recipe:
    return Recipe("brief", epochs=2, batch_size=32, learning_rate=0.02)


@pytest.fixture(scope="session")
def pool(data, brief) -> Iterator[ProcessPool]:
    """One for all tests that do it no harm: a worker takes some seconds to start."""
    with ProcessPool(data, brief, workers=1, device="cpu") as pool:
        yield pool


@pytest.fixture(scope="session")
def cluster():
    """Ray on this machine as two nodes of one core each; its address, and `add_node` and others."""
    pytest.importorskip("ray", reason="needs pip install 'archpress[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.add_node(**node)
    made.wait_for_nodes()
    connect(made.address)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="session")
def ray_pool(cluster, data, brief) -> Iterator[RayPool]:
    with RayPool(data, brief, cluster=cluster.address) as pool:
        yield pool


@pytest.fixture(scope="session")
def net() -> Architecture:
    return with_width(4)


@pytest.fixture(scope="session")
def candidates() -> list[Candidate]:
    """Four that can be trained, and one whose input shape does not fit the data."""
    good = [Candidate(with_width(width), "edit", 2, 0.5) for width in (2, 3, 4, 5)]
    wrong = chain((3, 8, 8), Layer("linear", channels=CLASSES))
    return [*good[:2], Candidate(wrong, "edit", 2, 0.5), *good[2:]]


def with_width(width: int) -> Architecture:
    return chain(
        (1, 8, 8),
        Layer("conv", 3, width, 1, 1),
        Layer("batch_norm"),
        Layer("relu"),
        Layer("max_pool", 2, stride=2),
        Layer("dropout", rate=0.1),
        Layer("linear", channels=CLASSES),
    )
