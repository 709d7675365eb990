"""Gaussian-process regression on blocks of inputs: ranks candidates with uncertainty.

With tens to hundreds of noisy trials an exact process is quick and its variance means something;
the accuracy heads, which the descent needs for gradients, are neither (docs/choices.md).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

Array = NDArray[np.float64]
JITTER = 1e-6
MOST_STEPS, MORE_STEPS = 60, 10  # of the fit, from the prior and from an earlier process
MOST_FITTED = 800  # trials that hyperparameters are fitted to: each step takes their cube

# Normal priors of logs, (mean, standard deviation): inputs of order 1, a standardised target.
AMPLITUDE = (-0.5, 1.0)
SCALE = (0.3, 0.7)
NOISE = (-2.5, 1.5)


@dataclass(frozen=True, slots=True)
class Block:
    """Inputs with a kernel of their own; the process adds the kernels of all blocks.

    Attributes:
        values: `B x F`, of order 1.
        kernel: "near" is squared exponential, "linear" a scalar product.
        own_scales: of "near", a length scale for each column or one for all.
    """

    values: Array
    kernel: Literal["near", "linear"]
    own_scales: bool = False

    @property
    def scales(self) -> int:
        """Number of length scales."""
        if self.kernel == "linear":
            return 0
        return self.values.shape[1] if self.own_scales else 1


@dataclass(frozen=True, slots=True)
class Features:
    """Inputs of a process.

    Attributes:
        blocks: all with B rows.
    """

    blocks: tuple[Block, ...]

    def rows(self, index: NDArray[np.intp]) -> "Features":
        """The inputs at these positions."""
        return Features(
            tuple(Block(one.values[index], one.kernel, one.own_scales) for one in self.blocks)
        )


class GaussianProcess:
    """Posterior of a standardised target given features.

    Hyperparameters (an amplitude a block, length scales, the noise) at the maximum of their
    posterior, of many trials that of some, evenly spaced; predictions are from all.

    Args:
        features: of the trials, N rows.
        target: `N`, any unit.
        start: an earlier process on the same blocks; the fit goes on from it and takes less time.
    """

    def __init__(
        self, features: Features, target: Array, start: "GaussianProcess | None" = None
    ) -> None:
        self._blocks = features.blocks
        self._inputs = [torch.from_numpy(one.values) for one in features.blocks]
        self._mean, self._std = float(np.mean(target)), float(np.std(target)) or 1.0
        self._target = torch.from_numpy((np.asarray(target) - self._mean) / self._std)
        self._log = self._maximise(start)
        self._cholesky = torch.linalg.cholesky(self._covariance(self._log, self._inputs))
        self._weights = torch.cholesky_solve(self._target[:, None], self._cholesky)

    def _kernel(self, log: Tensor, a: list[Tensor], b: list[Tensor]) -> Tensor:
        total, at = torch.zeros(()), 1
        for block, left, right in zip(self._blocks, a, b, strict=True):
            amplitude, scale = log[at].exp(), log[at + 1 : at + 1 + block.scales].exp()
            if block.kernel == "linear":
                total = total + amplitude * (left @ right.T)
            else:
                total = total + amplitude * torch.exp(-0.5 * _squares(left / scale, right / scale))
            at += 1 + block.scales
        return total

    def _variance(self, log: Tensor, inputs: list[Tensor]) -> Tensor:
        """Of each input before any trial, `B`."""
        total, at = torch.zeros(()), 1
        for block, values in zip(self._blocks, inputs, strict=True):
            linear = block.kernel == "linear"
            total = total + log[at].exp() * (values.square().sum(1) if linear else 1.0)
            at += 1 + block.scales
        return total

    def _covariance(self, log: Tensor, inputs: list[Tensor]) -> Tensor:
        noise = (log[0].exp() + JITTER) * torch.eye(len(inputs[0]), dtype=torch.float64)
        return self._kernel(log, inputs, inputs) + noise

    def _maximise(self, start: "GaussianProcess | None") -> Tensor:
        priors = [NOISE]
        for block in self._blocks:
            priors += [AMPLITUDE, *[SCALE] * block.scales]
        mean, std = torch.tensor(priors, dtype=torch.float64).T
        count = len(self._target)
        some = torch.linspace(0, count - 1, min(count, MOST_FITTED)).long()
        inputs, target = [values[some] for values in self._inputs], self._target[some]

        def loss(values: Array) -> tuple[float, Array]:
            log = torch.tensor(values, dtype=torch.float64, requires_grad=True)
            cholesky, failed = torch.linalg.cholesky_ex(self._covariance(log, inputs))
            if int(failed):
                return 1e10, np.zeros_like(values)
            solved = torch.cholesky_solve(target[:, None], cholesky)
            fit = 0.5 * (target @ solved).squeeze() + cholesky.diagonal().log().sum()
            total = fit + 0.5 * (((log - mean) / std) ** 2).sum()
            total.backward()
            assert log.grad is not None
            return total.item(), log.grad.numpy().copy()

        first, steps = (mean, MOST_STEPS) if start is None else (start._log, MORE_STEPS)
        best = minimize(
            loss, first.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": steps}
        )
        return torch.tensor(best.x, dtype=torch.float64)

    def predict(self, features: Features, *, noise: bool = False) -> tuple[Array, Array]:
        """Mean and standard deviation, `B` each, in the target's unit.

        Args:
            features: B rows of the same blocks.
            noise: whether the deviation is that of one measurement or of what it measures.
        """
        with torch.no_grad():
            inputs = [torch.from_numpy(one.values) for one in features.blocks]
            cross = self._kernel(self._log, inputs, self._inputs)  # B N
            mean = (cross @ self._weights).squeeze(1)
            solved = torch.linalg.solve_triangular(self._cholesky, cross.T, upper=False)  # N B
            variance = self._variance(self._log, inputs) - solved.square().sum(0)
            variance = variance.clamp(min=1e-9) + (self._log[0].exp() if noise else 0.0)
        return (
            mean.numpy() * self._std + self._mean,
            variance.sqrt().numpy() * self._std,
        )


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances, `A x B`."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)
