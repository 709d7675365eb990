"""`Predictor`: the final accuracy of nets from their layers and, where known, their first epochs.

The surrogate of a search ranks nets around one source from a few trials. This one is for tables of
hundreds of different nets: it sees where along the net the layers lie, and averages regressions
whose errors differ, CNNs among them (docs/choices.md, "Predicting published nets").
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from archpress.architecture import Architecture
from archpress.embedding.descriptors import describe
from archpress.embedding.layer_cnn import LayerCNN
from archpress.embedding.positions import describe_positions, layer_sums
from archpress.errors import EmbeddingError

Array = NDArray[np.float64]
CUT_OFF = 4.0  # standard deviations at which an input is cut off
NEARNESS = 0.08  # of the kernel, exp(-NEARNESS d²), where all inputs of a kind have the length 1
TREES, BOOSTED = 300, 3  # trees of a forest, and forests that are boosted from different seeds
CNNS = 5  # that see the numbers of the whole net, and as many that see its layers alone
CNN_SHARE = 0.65  # of the weight
CNN_SHARE_WITH_EPOCHS = 0.3  # which are no sequence of layers: others read them as well


class _Regression(Protocol):
    """What scikit-learn's have in common."""

    def fit(self, inputs: Array, target: Array) -> object: ...

    def predict(self, inputs: Array) -> Array: ...


class Predictor:
    """Fitted on nets of known final accuracy.

    Args:
        nets: at least two, of one input shape.
        accuracies: final ones, fractions, one a net.
        curves: `N x E`, accuracies after the first E epochs; None: the layers alone.
        seed: of trees and CNNs.

    Raises:
        EmbeddingError: scikit-learn is not installed, or nets, accuracies and curves differ in
            number.
    """

    def __init__(
        self,
        nets: Sequence[Architecture],
        accuracies: Sequence[float],
        curves: Array | None = None,
        *,
        seed: int = 0,
    ) -> None:
        if not len(nets) == len(accuracies) == len(nets if curves is None else curves):
            raise EmbeddingError("a predictor needs one accuracy, and one curve or none, a net")
        self._epochs = _epochs_of(curves)
        self._machine, self._forests = _regressions(seed, with_epochs=curves is not None)
        inputs = _inputs(nets, curves)
        self._scales = [_Scale(values) for values in inputs]
        final = np.asarray(accuracies, dtype=np.float64)
        self._slope = _slope(curves, final)
        target = final - self._expected(curves)
        self._machine.fit(self._blocks(inputs), target)
        for forest in self._forests:
            forest.fit(_table(inputs), target)
        self._cnns = [
            LayerCNN(nets, numbers, target, members=CNNS, seed=seed + CNNS * at)
            for at, numbers in enumerate(self._beside_layers(inputs))
        ]
        self._cnn_share = CNN_SHARE if curves is None else CNN_SHARE_WITH_EPOCHS

    def predict(self, nets: Sequence[Architecture], curves: Array | None = None) -> Array:
        """Final accuracies, `B`; `curves` as in the fit, one row a net.

        Raises:
            EmbeddingError: not as many epochs are known as in the fit.
        """
        if _epochs_of(curves) != self._epochs:
            raise EmbeddingError(
                f"this predictor was fitted on curves of {self._epochs} epochs, "
                f"not of {_epochs_of(curves)}"
            )
        inputs = _inputs(nets, curves)
        near = self._machine.predict(self._blocks(inputs))
        *boosted, extra = (forest.predict(_table(inputs)) for forest in self._forests)
        beside = self._beside_layers(inputs)
        cnns = [cnn.predict(nets, seen) for cnn, seen in zip(self._cnns, beside, strict=True)]
        others = np.mean([near, np.mean(boosted, axis=0), extra], axis=0)
        beyond = self._cnn_share * np.mean(cnns, axis=0) + (1 - self._cnn_share) * others
        return np.asarray(beyond + self._expected(curves))

    def _expected(self, curves: Array | None) -> Array | float:
        """By the last accuracy known alone, but for a constant; the regressions add the rest."""
        return 0.0 if curves is None else self._slope * np.asarray(curves[:, -1])

    def _beside_layers(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        """What each half of the CNNs sees beside the layers: the table, or the epochs in it."""
        scaled = self._scaled(inputs)
        _, _, *first_epochs = scaled
        return _table(scaled), np.hstack([scaled[0][:, :0], *first_epochs])

    def _scaled(self, inputs: Sequence[Array]) -> list[Array]:
        return [scale.of(values) for scale, values in zip(self._scales, inputs, strict=True)]

    def _blocks(self, inputs: Sequence[Array]) -> Array:
        """What the support vector machine sees: all inputs, each kind with the same weight."""
        return np.hstack([_of_length_one(values) for values in self._scaled(inputs)])


def _epochs_of(curves: Array | None) -> int:
    return 0 if curves is None else np.shape(curves)[1]


def _inputs(nets: Sequence[Architecture], curves: Array | None) -> list[Array]:
    """Numbers of the whole net, sums over its layers, and of the first epochs where known."""
    values = [np.hstack([describe(nets), describe_positions(nets)]), layer_sums(nets)]
    if curves is not None:
        values.append(_shape_of(curves))
    return values


def _shape_of(curves: Array) -> Array:
    """First epochs, their steps and how these change, the best, the spread, the last as a logit."""
    last = logit(curves[:, -1:].clip(0.02, 0.98))
    best, spread = curves.max(1, keepdims=True), curves.std(1, keepdims=True)
    changes = [np.diff(curves, n, axis=1) for n in (1, 2)]
    return np.hstack([curves, *changes, best, spread, last])


def _of_length_one(scaled: Array) -> Array:
    return np.asarray(scaled / math.sqrt(max(scaled.shape[1], 1)))


def _table(inputs: Sequence[Array]) -> Array:
    """What trees and CNNs see: all but the sums over layers."""
    whole, _, *first_epochs = inputs
    return np.hstack([whole, *first_epochs])


class _Scale:
    """Mean 0 and variance 1 in each column that varies; the others are dropped."""

    def __init__(self, values: Array) -> None:
        spread = values.std(0)
        self._kept = spread > 1e-9
        self._mean, self._std = values.mean(0)[self._kept], spread[self._kept]

    def of(self, values: Array) -> Array:
        scaled = (values[:, self._kept] - self._mean) / self._std
        return np.asarray(scaled.clip(-CUT_OFF, CUT_OFF))


def _slope(curves: Array | None, final: Array) -> float:
    """How much of a lead in the last accuracy known is left in the end, from 0 to 1.

    All of it where curves run beside each other, about half where laggards catch up.
    """
    if curves is None:
        return 0.0
    last = np.asarray(curves[:, -1]) - np.mean(curves[:, -1])
    spread = float(last @ last)
    return min(max(float(last @ final) / spread, 0.0), 1.0) if spread else 1.0


def _regressions(seed: int, *, with_epochs: bool) -> tuple[_Regression, list[_Regression]]:
    """A support vector machine; boosted trees from several seeds, then extremely randomized ones.

    What is left to predict after some epochs is small but for a few nets that break down or begin
    late: a softer machine, larger leaves and Huber's loss keep them from ruling.
    """
    try:
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVR
    except ImportError:
        raise EmbeddingError(
            "predictions need scikit-learn: pip install 'archpress[prediction]'"
        ) from None
    machine = SVR(C=3.0 if with_epochs else 10.0, gamma=NEARNESS)
    boosted = [
        GradientBoostingRegressor(
            n_estimators=TREES,
            max_depth=4,
            learning_rate=0.04,
            subsample=0.6,
            max_features=0.3,
            min_samples_leaf=3,
            loss="huber" if with_epochs else "squared_error",
            alpha=0.95,
            random_state=seed + number,
        )
        for number in range(BOOSTED)
    ]
    leaf = 5 if with_epochs else 2
    extra = ExtraTreesRegressor(TREES, max_features=0.5, min_samples_leaf=leaf, random_state=seed)
    standardised = TransformedTargetRegressor(machine, transformer=StandardScaler())
    return standardised, [*boosted, extra]
