"""The one training loop: architecture, data, recipe and seed in, a trained network out."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.architecture.network import build, load_weights
from archpress.architecture.shape_rules import format_shape
from archpress.data import ImageData, Split
from archpress.errors import EvaluationError
from archpress.evaluation.checkpoint import Checkpoint, fingerprint
from archpress.evaluation.device import torch_threads
from archpress.evaluation.loop import DivergedError, Loop
from archpress.evaluation.preparation import (
    Normalisation,
    Prepared,
    prepare,
    used_images,
)
from archpress.evaluation.recipe import Recipe
from archpress.randomness import seeded

EVALUATION_BATCH = 256  # images; larger ones were no faster on a CPU and need more memory


@dataclass(frozen=True, slots=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: 1 for the first.
        train_loss: mean over the epoch's steps.
        accuracy: on the validation images, in [0, 1]; None where the recipe skips it.
    """

    number: int
    train_loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False, slots=True)
class TrainingResult:
    """A trained network and how it came out.

    Attributes:
        network: in evaluation mode, on the device it was trained on.
        accuracy: on the validation images after the last epoch, in [0, 1].
        curve: validation accuracy after each epoch that the recipe evaluates; ends with `accuracy`.
        train_loss: mean over the last epoch's steps.
        validation_loss: mean cross-entropy of the validation images, at the end.
        seconds: wall time of the training and its evaluations.
    """

    network: nn.Module
    accuracy: float
    curve: tuple[float, ...]
    train_loss: float
    validation_loss: float
    seconds: float


def train(
    start: Architecture | nn.Module,
    data: ImageData,
    recipe: Recipe,
    seed: int,
    *,
    device: str = "cpu",
    threads: int = 1,
    teacher_logits: Tensor | None = None,
    initial: Mapping[str, Tensor] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train a network.

    The same arguments give the same weights, in this process or another and whatever ran before,
    on one kind of processor and one version of torch; torch's global generator and thread count are
    left as they were.

    Args:
        start: an architecture, which starts from fresh weights, or a network, which goes on from
            its own and is changed.
        data: images whose shape the architecture reads.
        recipe: how.
        seed: of the fresh weights, the order of the images, augmentation and dropout.
        device: as `choose_device` names it, not "auto".
        threads: of torch on a CPU; other counts give results that differ by rounding.
        teacher_logits: `2 x N x K`, of the recipe's N training images and of their mirror images,
            by `teacher_logits_of`; needed when the recipe distils.
        initial: the whole network's weights by name, to start from them; they stay as they are.
        on_epoch: called after each epoch.
        checkpoint: file for the state of a long training, from which one that was killed goes on,
            to the same weights (on MPS with other dropout). Who saves the weights removes it then.

    Raises:
        DivergedError: the loss became infinite or not a number.
        EvaluationError: data, architecture and teacher do not fit together.
        ArchitectureError: a name or a shape of `initial` does not fit.
    """
    started = time.perf_counter()
    with isolated(seed, device, threads):
        prepared = prepare(data, recipe, torch.device(device))
        _check(start, prepared, recipe, teacher_logits)
        network = build(start) if isinstance(start, Architecture) else start
        if initial is not None:
            load_weights(network, dict(initial), where="the initial weights")
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loop = Loop(network, prepared, recipe, seed, teacher_logits)
        kept = _checkpoint_of(checkpoint, start, data, recipe, seed, teacher_logits, network)
        curve: list[float] = []
        done, before, train_loss, loss = 0, 0.0, math.nan, math.nan
        if (state := kept.read()) is not None:
            loop.restore(state)
            done, before = state.epoch, state.seconds
            curve, train_loss = list(state.curve), state.train_loss
        for number in range(done + 1, recipe.epochs + 1):
            try:
                train_loss = loop.run_epoch(number)
            except DivergedError:
                kept.remove()
                raise
            accuracy = None
            if _is_evaluated(recipe, number):
                accuracy, loss = _judged(
                    network, prepared.validation_images, prepared.validation_labels
                )
                curve.append(accuracy)
            if on_epoch is not None:
                on_epoch(Epoch(number, train_loss, accuracy))
            if kept.is_due and number < recipe.epochs:
                seconds = before + time.perf_counter() - started
                kept.write(loop.state(number, seconds, train_loss, curve))
        network.eval()
    seconds = before + time.perf_counter() - started
    return TrainingResult(network, curve[-1], tuple(curve), train_loss, loss, seconds)


def accuracy_of(
    network: nn.Module, split: Split, normalisation: Normalisation, *, device: str = "cpu"
) -> float:
    """Share of a split's images that a network classifies rightly, in [0, 1].

    Args:
        network: left in evaluation mode, on the device.
        split: uint8 images.
        normalisation: the one that the network was trained with.
        device: as `choose_device` names it, not "auto".
    """
    logits = logits_of(network, split, normalisation, device=device)
    return float((logits.argmax(1) == split.labels).double().mean())


def logits_of(
    network: nn.Module,
    split: Split,
    normalisation: Normalisation,
    *,
    device: str = "cpu",
    mirrored: bool = False,
) -> Tensor:
    """A network's outputs for all images of a split, normalised by the batch.

    Args:
        network: left in evaluation mode, on the device.
        split: uint8 images.
        normalisation: the one that the network was trained with.
        device: as `choose_device` names it, not "auto".
        mirrored: of the images mirrored left to right.

    Returns:
        `N x K`, float32, on the CPU.
    """
    return outputs_for(
        network.eval().to(device), split, normalisation, device=device, mirrored=mirrored
    )


def outputs_for(
    run: Callable[[Tensor], Tensor],
    split: Split,
    normalisation: Normalisation,
    *,
    device: str = "cpu",
    mirrored: bool = False,
) -> Tensor:
    """`logits_of` for whatever gives outputs for images, as it is; arguments as of that."""
    parts = []
    with torch.inference_mode():
        for images in torch.split(split.images, EVALUATION_BATCH):
            batch = normalisation.apply(images.flip(3) if mirrored else images, device)
            parts.append(run(batch).float().cpu())
    return torch.cat(parts).clone()


def teacher_logits_of(
    network: nn.Module,
    data: ImageData,
    recipe: Recipe,
    *,
    normalisation: Normalisation | None = None,
    device: str = "cpu",
) -> Tensor:
    """What `train` needs to distil a teacher.

    Args:
        network: the teacher.
        data: of the student.
        recipe: of the student.
        normalisation: that the teacher was trained with; None: the recipe's.
        device: where the teacher runs.

    Returns:
        `2 x N x K`, float32: for the N images the recipe uses, as they are and mirrored; where the
        recipe does not mirror, both as they are.
    """
    chosen = used_images(data, recipe)
    split = Split(data.train.images[chosen], data.train.labels[chosen])
    normalisation = normalisation or Normalisation.of(data, recipe)
    return torch.stack(
        [
            logits_of(network, split, normalisation, device=device, mirrored=mirrored)
            for mirrored in (False, recipe.flip)
        ]
    )


def _checkpoint_of(
    path: Path | None,
    start: Architecture | nn.Module,
    data: ImageData,
    recipe: Recipe,
    seed: int,
    teacher_logits: Tensor | None,
    network: nn.Module,
) -> Checkpoint:
    """The checkpoint of just this training; arguments as of `train`, the network as it begins."""
    about: list[object] = []
    if path is not None:
        design = start.key if isinstance(start, Architecture) else str(start)
        taught = () if teacher_logits is None else (teacher_logits,)
        begun = fingerprint([*network.state_dict().values(), *taught])
        device = next(network.parameters()).device.type
        about = [design, data.key, recipe.key, recipe.evaluate_every, seed, begun, device]
    return Checkpoint(path, about)


def _judged(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=images.device)
    loss = torch.zeros((), device=images.device)
    with torch.inference_mode():
        batches = torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH)
        for batch, expected in zip(*batches, strict=True):
            logits = network(batch)
            right += (logits.argmax(1) == expected).sum()
            loss += F.cross_entropy(logits, expected, reduction="sum")
    return int(right) / len(labels), float(loss) / len(labels)


def _is_evaluated(recipe: Recipe, epoch: int) -> bool:
    every = recipe.evaluate_every
    return epoch == recipe.epochs or (every > 0 and epoch % every == 0)


def _check(
    start: Architecture | nn.Module,
    prepared: Prepared,
    recipe: Recipe,
    teacher_logits: Tensor | None,
) -> None:
    count, shape = len(prepared.labels), tuple(prepared.images.shape[1:])
    if isinstance(start, Architecture):
        if start.input_shape != shape:
            raise EvaluationError(
                f"the architecture reads images of {format_shape(start.input_shape)}, "
                f"the data has {format_shape(shape)}"
            )
        largest = int(max(prepared.labels.max(), prepared.validation_labels.max()))
        if largest >= start.classes:
            raise EvaluationError(
                f"the architecture has {start.classes} outputs, the data a class {largest}"
            )
    if count < 2 or not len(prepared.validation_labels):
        raise EvaluationError("training needs two images or more, and one or more for validation")
    if recipe.distillation > 0:
        if teacher_logits is None:
            raise EvaluationError(f"recipe {recipe.name!r} distils but no teacher logits are given")
        if teacher_logits.shape[:2] != (2, count):
            raise EvaluationError(
                f"teacher logits must be 2 x {count} x classes, not {tuple(teacher_logits.shape)}"
            )


@contextmanager
def isolated(seed: int, device: str, threads: int) -> Iterator[None]:
    """Torch's global generators seeded, threads set, and both put back afterwards."""
    with (
        seeded(seed, device),
        torch_threads(threads),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield
