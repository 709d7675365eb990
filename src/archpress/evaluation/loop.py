"""Epoch by epoch: the steps of one training, and its state between epochs."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from archpress.errors import EvaluationError
from archpress.evaluation.checkpoint import TrainingState
from archpress.evaluation.precision import computing, precision_of
from archpress.evaluation.preparation import Prepared, augment
from archpress.evaluation.recipe import Recipe


class DivergedError(EvaluationError):
    """The loss of a training became infinite or not a number."""


class Loop:
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
        self.precision = precision_of(network, recipe.precision, prepared.images.device)
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
        with computing(self.precision, images.device):
            logits = self.network(images).float()  # B x K
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


def _dropout_state(device: torch.device) -> Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


def _distance(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(teacher || student)` of softened outputs, `B x K` each (Hinton et al. 2015)."""
    return temperature**2 * F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
