"""Gaussian-process regression on descriptors and embeddings: ranks candidates with uncertainty.

With tens to hundreds of noisy trials an exact process is quick and its variance means something;
the accuracy heads, which the descent needs for gradients, are neither (docs/choices.md).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

Array = NDArray[np.float64]
JITTER = 1e-6

# log of: amplitude and length scale of each of the two groups, amplitude of the linear part, noise
_PRIOR_MEAN = torch.tensor([-0.5, 0.3, -0.5, 0.3, -3.0, -1.5], dtype=torch.float64)
_PRIOR_STD = torch.tensor([1.0, 0.7, 1.0, 0.7, 1.0, 1.0], dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class Features:
    """Two groups of inputs with a length scale each.

    Attributes:
        descriptors: `B x F`, any units; standardised by the process.
        embeddings: `B x D`, each row of mean 0 and variance 1.
    """

    descriptors: Array
    embeddings: Array

    def rows(self, index: NDArray[np.intp]) -> "Features":
        """The inputs at these positions."""
        return Features(self.descriptors[index], self.embeddings[index])


class GaussianProcess:
    """Posterior of a standardised target given features.

    The kernel is a sum: squared exponential on descriptors, the same on embeddings, and linear in
    the descriptors. Six hyperparameters at the maximum of their posterior.
    """

    def __init__(self, features: Features, target: Array) -> None:
        self._low, self._spread = _standard(features.descriptors)
        self._inputs = self._prepare(features)
        self._mean, self._std = float(np.mean(target)), float(np.std(target)) or 1.0
        self._target = torch.from_numpy((np.asarray(target) - self._mean) / self._std)
        self._log = self._maximise()
        cholesky = torch.linalg.cholesky(self._covariance(self._log))
        self._cholesky = cholesky
        self._weights = torch.cholesky_solve(self._target[:, None], cholesky)

    def _prepare(self, features: Features) -> tuple[Tensor, Tensor]:
        descriptors = (features.descriptors - self._low) / self._spread
        width = math.sqrt(descriptors.shape[1])
        return (
            torch.from_numpy(descriptors.clip(-4, 4) / width),
            torch.from_numpy(features.embeddings / math.sqrt(features.embeddings.shape[1])),
        )

    def _kernel(self, log: Tensor, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
        near = log[0].exp() * torch.exp(-0.5 * _squares(a[0], b[0]) * (-2 * log[1]).exp())
        like = log[2].exp() * torch.exp(-0.5 * _squares(a[1], b[1]) * (-2 * log[3]).exp())
        return near + like + log[4].exp() * (a[0] @ b[0].T)

    def _covariance(self, log: Tensor) -> Tensor:
        noise = (log[5].exp() + JITTER) * torch.eye(len(self._target), dtype=torch.float64)
        return self._kernel(log, self._inputs, self._inputs) + noise

    def _maximise(self) -> Tensor:
        def loss(values: Array) -> tuple[float, Array]:
            log = torch.tensor(values, dtype=torch.float64, requires_grad=True)
            cholesky, failed = torch.linalg.cholesky_ex(self._covariance(log))
            if int(failed):
                return 1e10, np.zeros_like(values)
            solved = torch.cholesky_solve(self._target[:, None], cholesky)
            fit = 0.5 * (self._target @ solved).squeeze() + cholesky.diagonal().log().sum()
            prior = 0.5 * (((log - _PRIOR_MEAN) / _PRIOR_STD) ** 2).sum()
            total = fit + prior
            total.backward()
            assert log.grad is not None
            return total.item(), log.grad.numpy().copy()

        best = minimize(
            loss, _PRIOR_MEAN.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 60}
        )
        return torch.tensor(best.x, dtype=torch.float64)

    def predict(self, features: Features) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless target, `B` each, in the target's unit."""
        with torch.no_grad():
            inputs = self._prepare(features)
            cross = self._kernel(self._log, inputs, self._inputs)  # B N
            mean = (cross @ self._weights).squeeze(1)
            solved = torch.cholesky_solve(cross.T, self._cholesky)  # N B
            own = self._log[0].exp() + self._log[2].exp()
            own = own + self._log[4].exp() * inputs[0].square().sum(1)
            variance = (own - (cross.T * solved).sum(0)).clamp(min=1e-9)
        return (
            mean.numpy() * self._std + self._mean,
            variance.sqrt().numpy() * self._std,
        )

    @property
    def noise_std(self) -> float:
        """Standard deviation of one measurement, in the target's unit."""
        return math.exp(0.5 * float(self._log[5])) * self._std


def _standard(values: Array) -> tuple[Array, Array]:
    spread = values.std(0)
    return values.mean(0), np.where(spread > 1e-9, spread, 1.0)


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances, `A x B`."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)
