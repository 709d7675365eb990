"""The one training loop: architecture, data, recipe and seed in, a trained network out."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from archpress.architecture import Architecture
from archpress.architecture.network import build, load_weights
from archpress.data import ImageData, Split
from archpress.data.images import format_shape
from archpress.errors import EvaluationError
from archpress.evaluation.checkpoint import Checkpoint, TrainingState, fingerprint
from archpress.evaluation.preparation import (
    Normalisation,
    Prepared,
    augment,
    prepare,
    used_images,
)
from archpress.evaluation.recipe import Recipe

EVALUATION_BATCH = 256  # images; larger ones were no faster on a CPU and need more memory


class DivergedError(EvaluationError):
    """The loss of a training became infinite or not a number."""


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
        seconds: wall time of the training and its evaluations.
    """

    network: nn.Module
    accuracy: float
    curve: tuple[float, ...]
    train_loss: float
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
            to the same weights; gone at the end.

    Raises:
        DivergedError: the loss became infinite or not a number.
        EvaluationError: data, architecture and teacher do not fit together.
        ArchitectureError: a name or a shape of `initial` does not fit.
    """
    started = time.perf_counter()
    with isolated(seed, device, threads):
        network = build(start) if isinstance(start, Architecture) else start
        prepared = prepare(data, recipe, torch.device(device))
        _check(start, prepared, recipe, teacher_logits)
        if initial is not None:
            load_weights(network, dict(initial), where="the initial weights")
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loop = _Loop(network, prepared, recipe, seed, teacher_logits)
        kept = _checkpoint_of(checkpoint, start, data, recipe, seed, teacher_logits, network)
        curve: list[float] = []
        done, before, train_loss = 0, 0.0, math.nan
        if (state := kept.read()) is not None:
            loop.restore(state)
            done, before = state.epoch, state.seconds
            curve, train_loss = list(state.curve), state.train_loss
        for number in range(done + 1, recipe.epochs + 1):
            train_loss = loop.run_epoch(number)
            accuracy = None
            if _is_evaluated(recipe, number):
                accuracy = _accuracy(
                    network, prepared.validation_images, prepared.validation_labels
                )
                curve.append(accuracy)
            if on_epoch is not None:
                on_epoch(Epoch(number, train_loss, accuracy))
            if kept.is_due and number < recipe.epochs:
                seconds = before + time.perf_counter() - started
                kept.write(loop.state(number, seconds, train_loss, curve))
        network.eval()
        kept.remove()
    seconds = before + time.perf_counter() - started
    return TrainingResult(network, curve[-1], tuple(curve), train_loss, seconds)


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


class _Loop:
    """Optimizer, order of the images and schedule of one training."""

    def __init__(
        self,
        network: nn.Module,
        prepared: Prepared,
        recipe: Recipe,
        seed: int,
        teacher_logits: Tensor | None,
    ) -> None:
        self.network, self.prepared, self.recipe = network, prepared, recipe
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimizer = optimizer_of(self.weights, recipe)
        self.rng = Generator().manual_seed(seed)  # apart from dropout: same order for every net
        self.teacher_logits = None
        if recipe.distillation > 0 and teacher_logits is not None:
            self.teacher_logits = teacher_logits.to(prepared.images.device)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = recipe.batch_norm_momentum

    def state(
        self, number: int, seconds: float, train_loss: float, curve: list[float]
    ) -> TrainingState:
        """Everything that the next epochs depend on; the arguments as `TrainingState` has them."""
        return TrainingState(
            number,
            seconds,
            train_loss,
            curve,
            self.network.state_dict(),
            self.optimizer.state_dict(),
            self.rng.get_state(),
            _dropout_state(self.prepared.images.device),
        )

    def restore(self, state: TrainingState) -> None:
        """Be as after the epoch of a state."""
        self.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        self.rng.set_state(state.order)
        device = self.prepared.images.device
        if device.type == "cuda":
            torch.cuda.set_rng_state(state.dropout, device)
        else:
            torch.set_rng_state(state.dropout)

    def run_epoch(self, number: int) -> float:
        """Train for one epoch; the mean loss of its steps."""
        self.network.train()
        batches = self._batches()
        total = torch.zeros((), device=self.prepared.images.device)
        for step, chosen in enumerate(batches):
            progress = (number - 1 + step / len(batches)) / self.recipe.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate_at(progress)
            total += self._step(chosen)
        mean = float(total) / len(batches)
        if not math.isfinite(mean):
            raise DivergedError(
                f"the loss became {mean} in epoch {number} of {self.recipe.epochs} "
                f"at a learning rate of up to {self.recipe.learning_rate:g}"
            )
        return mean

    def _batches(self) -> list[Tensor]:
        order = torch.randperm(len(self.prepared.labels), generator=self.rng)
        batches = list(torch.split(order, self.recipe.batch_size))
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches.pop()  # batch norm cannot train on one image; the next epoch leaves out another
        return batches

    def _step(self, chosen: Tensor) -> Tensor:
        recipe = self.recipe
        mirrored = None
        if recipe.flip:
            mirrored = torch.rand(len(chosen), generator=self.rng) < 0.5
        chosen = chosen.to(self.prepared.images.device)
        images = augment(self.prepared.images[chosen], mirrored, recipe.crop, self.rng)
        logits = self.network(images)  # B x K
        loss = F.cross_entropy(
            logits, self.prepared.labels[chosen], label_smoothing=recipe.label_smoothing
        )
        if self.teacher_logits is not None:
            side = torch.zeros_like(chosen) if mirrored is None else mirrored.to(chosen)
            taught = _distance(logits, self.teacher_logits[side, chosen], recipe.temperature)
            loss = (1 - recipe.distillation) * loss + recipe.distillation * taught
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, recipe.clip)
        self.optimizer.step()
        return loss.detach()


def _dropout_state(device: torch.device) -> Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


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
        about = [design, data.key, recipe.key, recipe.evaluate_every, seed, begun]
    return Checkpoint(path, about)


def _distance(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(teacher || student)` of softened outputs, `B x K` each (Hinton et al. 2015)."""
    return temperature**2 * F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )


def optimizer_of(weights: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """A recipe's optimizer; weights of two or more dimensions decay, others do not."""
    decayed = [weight for weight in weights if weight.dim() >= 2]
    others = [weight for weight in weights if weight.dim() < 2]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, betas = recipe.learning_rate, (recipe.momentum, 0.999)
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.momentum > 0
            return torch.optim.SGD(
                groups, lr=rate, momentum=recipe.momentum, nesterov=nesterov, fused=True
            )
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=betas, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)


def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=images.device)
    with torch.inference_mode():
        batches = torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH)
        for batch, expected in zip(*batches, strict=True):
            right += (network(batch).argmax(1) == expected).sum()
    return int(right) / len(labels)


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
    before = torch.get_num_threads()
    cuda = [torch.device(device).index or 0] if device.startswith("cuda") else []
    with (
        torch.random.fork_rng(devices=cuda),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
