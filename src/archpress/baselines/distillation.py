"""FitNets: a student that starts from the hints of its teacher's middle layer."""

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archpress.architecture import ACTIVATIONS, Architecture
from archpress.architecture.network import Network, build, load_weights
from archpress.data import ImageData, require_shape
from archpress.errors import EvaluationError
from archpress.evaluation import DivergedError, Recipe
from archpress.evaluation.loop import optimizer_of
from archpress.evaluation.precision import computing, precision_of
from archpress.evaluation.preparation import Prepared, augment, prepare
from archpress.evaluation.training import isolated

HINT_SHARE = 0.25  # of the recipe's epochs, one at least; the paper trains until it stops helping
FOLLOWERS = {"batch_norm", *ACTIVATIONS}  # belong to the convolution before them


def hint_weights(
    teacher: Network,
    teacher_architecture: Architecture,
    student: Architecture,
    images: ImageData,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Weights for a student to start from: its first half imitates that of its teacher.

    Stage 1 of FitNets. The student up to its middle layer, and a 1x1 convolution on top of it, are
    trained to give the outputs of the teacher's middle layer. Where the two maps differ in size,
    both are averaged down to the smaller. The rest of the student keeps the fresh weights that
    `train` draws for this seed. Stage 2 is `train` with these weights as `initial`, by a recipe
    whose `distillation` is above 0.

    Args:
        teacher: trained with the recipe's normalisation; stays as it is.
        teacher_architecture: of the teacher.
        student: to be trained.
        images: whose shape both read.
        recipe: of the student; its optimizer, schedule and augmentation, for a share of its epochs.
        seed: of the fresh weights, the order of the images and augmentation.
        device: as `choose_device` names it, not "auto".

    Returns:
        A state dict for `build(student)`, on the CPU.

    Raises:
        EvaluationError: teacher or student has no convolution to hint at.
        DataError: the images do not fit the student or the teacher.
        DivergedError: the loss became infinite or not a number.

    Source:
        Romero et al. 2015, section 2.2 and equation 3; which layer is the middle one, and for how
        long to train, are our guesses.
    """
    for net in (teacher_architecture, student):
        require_shape(images, net.input_shape, net.classes)
    with isolated(seed, device, 1):
        fresh = build(student)  # the first draw, as in `train`
        guided = _first_part(student, "student", fresh.state_dict())
        hint = _first_part(teacher_architecture, "teacher", teacher.state_dict())
        _imitate(
            _Imitation(guided, hint), prepare(images, recipe, torch.device(device)), recipe, seed
        )
    weights = fresh.state_dict() | guided.state_dict()
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _first_part(architecture: Architecture, role: str, weights: Mapping[str, Tensor]) -> Network:
    """The network up to its middle layer, with the weights of the whole one."""
    end = _middle(architecture, role) + 1
    part = build(Architecture(architecture.input_shape, architecture.layers[:end]))
    names = part.state_dict().keys()
    known = {name: value for name, value in weights.items() if name in names}
    load_weights(part, known, where=f"the {role}")
    return part


def _middle(architecture: Architecture, role: str) -> int:
    """Index of the middle convolution, or of the norm and activation that follow it."""
    layers = architecture.layers
    convs = [i for i, layer in enumerate(layers) if layer.kind in {"conv", "depthwise"}]
    if not convs:
        raise EvaluationError(f"the {role} has no convolution, so there is no layer for hints")
    index = convs[(len(convs) - 1) // 2]
    while layers[index + 1 :] and layers[index + 1].kind in FOLLOWERS:
        if layers[index + 1].inputs != (1,):
            break
        index += 1
    return index


class _Imitation(nn.Module):
    """The student's first part, a regressor on top, and the teacher's first part to be matched."""

    def __init__(self, guided: Network, hint: Network) -> None:
        super().__init__()
        self.guided, self.hint = guided, hint
        channels, height, width = guided.architecture.shapes[-1]
        hinted, *size = hint.architecture.shapes[-1]
        self.size = (min(height, size[0]), min(width, size[1]))
        self.regressor = nn.Conv2d(channels, hinted, 1)

    def loss(self, images: Tensor) -> Tensor:
        """Half the mean squared difference.

        Args:
            images: `B x C x H x W`, normalised.
        """
        with torch.no_grad():
            wanted = self._map(self.hint, images)
        given = self.regressor(self._map(self.guided, images))
        return F.mse_loss(given.float(), wanted.float()) / 2

    def _map(self, part: Network, images: Tensor) -> Tensor:
        values = part(images).unflatten(1, part.architecture.shapes[-1])  # B x CHW -> B x C x H x W
        return F.adaptive_avg_pool2d(values, self.size)


def _imitate(pair: _Imitation, prepared: Prepared, recipe: Recipe, seed: int) -> None:
    """Train the guided part and the regressor; the hints stay."""
    pair.to(prepared.images.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pair.guided.train()
    pair.hint.eval()
    weights = [*pair.guided.parameters(), *pair.regressor.parameters()]
    optimizer = optimizer_of(weights, recipe)
    precision = precision_of(pair, recipe.precision, prepared.images.device)
    rng = torch.Generator().manual_seed(seed)
    steps = list(_batches(len(prepared.labels), recipe, rng))
    for number, chosen in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(number / len(steps))
        mirrored = torch.rand(len(chosen), generator=rng) < 0.5 if recipe.flip else None
        chosen = chosen.to(prepared.images.device)
        with computing(precision, prepared.images.device):
            loss = pair.loss(augment(prepared.images[chosen], mirrored, recipe.crop, rng))
        if not math.isfinite(value := float(loss.detach())):
            raise DivergedError(f"the loss of the hints became {value} in step {number + 1}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(weights, recipe.clip)
        optimizer.step()


def _batches(images: int, recipe: Recipe, rng: torch.Generator) -> Iterator[Tensor]:
    """Indices of each step's images, over all epochs; batches of one would break batch norm."""
    for _ in range(max(1, round(HINT_SHARE * recipe.epochs))):
        order = torch.randperm(images, generator=rng)
        yield from (part for part in torch.split(order, recipe.batch_size) if len(part) > 1)
