"""Regressions of the detail on coarse predictors: linear, quantile, neural and support vectors.

The estimators are scikit-learn's; what is kept are their coefficients. SDSM (Wilby et al. 2002) is the multiple linear
regression with screened predictors and a transformed predictand; `StochasticRegression` adds the noise of residuals.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from physlab.downscale.grouped import Grouped
from physlab.downscale.screening import screen
from physlab.downscale.statistical import Stochastic
from physlab.errors import PhysLabError
from physlab.registry import register

KEPT = 256  # residuals kept of each group


@register(
    "linear",
    title="Multiple regression",
    kind="statistical",
    order=10,
    reference="Wilby et al. (2002)",
    cell={"window": 0, "alpha": 10.0},
    child={"window": 5, "bands": 32, "alpha": 1.0},
)
@dataclass(eq=False)
class MultipleRegression(Grouped):
    """Least squares or ridge, with screened predictors.

    Attributes
    ----------
    alpha : ridge penalty on standardised predictors; 0 for ordinary least squares.
    screening, most : "none", "partial" or "forward", and how many predictors to keep.
    """

    alpha: float = 0.0
    screening: str = "none"
    most: int = 9

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.linear_model import LinearRegression, Ridge

        columns = screen(x, d, self.screening, self.most)
        model = (Ridge(self.alpha) if self.alpha else LinearRegression()).fit(x[:, columns], d)
        rows = rng.choice(len(x), min(KEPT, len(x)), replace=False)
        residuals = d[rows] - model.predict(x[rows][:, columns])
        weights = np.zeros((x.shape[1], d.shape[1]))
        weights[columns] = model.coef_.T
        return {"columns": columns, "weights": weights, "intercept": model.intercept_, "residuals": residuals}

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        return x @ arrays["weights"] + arrays["intercept"]


@register(
    "linear + residuals",
    title="Multiple regression with residuals",
    kind="statistical",
    order=20,
    ensemble=True,
    table=False,
)
@dataclass(eq=False)
class StochasticRegression(Stochastic, MultipleRegression):
    """Multiple regression whose `sample` adds residuals of training cases, whole blocks (or maps) at a time.

    Attributes
    ----------
    inflation : factor on the variance of the residuals, those of the training block, a little too small.
    """

    inflation: float = 1.0

    def _draw(self, arrays: dict, x: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        residuals = arrays["residuals"]
        pick = torch.randint(len(residuals), (members, len(x)), generator=generator).numpy()
        return self._apply(arrays, x) + np.sqrt(self.inflation) * residuals[pick]


@register(
    "quantile regression",
    title="Quantile regression",
    kind="statistical",
    order=11,
    cell={"window": 0, "components": 12, "points": 300, "penalty": 0.001},
    child={"window": 5, "bands": 16, "components": 6, "points": 400},
    quick=False,
)
@dataclass(eq=False)
class QuantileRegression(Stochastic, Grouped):
    """Linear quantile regression (pinball loss) of each detail, or of each principal component of the details.

    The median is the prediction; `sample` draws from the distribution that the quantiles describe, linear in the normal
    score between them and beyond them, each predictand on its own. With `components` the predictands are nearly
    uncorrelated, and the members are coherent within a block or a map. Crossing quantiles are sorted.

    Attributes
    ----------
    levels : rising, 0.5 among them.
    penalty : weight of the sum of absolute coefficients.
    """

    draws: ClassVar[bool] = False

    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = list(self.levels)
        if levels != sorted(set(levels)) or 0.5 not in levels or not 0 < levels[0] <= levels[-1] < 1:
            raise PhysLabError(f"quantile levels {self.levels}: pass rising numbers between 0 and 1, 0.5 among them")

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.linear_model import QuantileRegressor

        weights = np.empty((len(self.levels), x.shape[1], d.shape[1]))
        intercept = np.empty((len(self.levels), 1, d.shape[1]))
        for q, level in enumerate(self.levels):
            for j in range(d.shape[1]):
                model = QuantileRegressor(quantile=level, alpha=self.penalty, solver="highs").fit(x, d[:, j])
                weights[q, :, j], intercept[q, 0, j] = model.coef_, model.intercept_
        return {"weights": weights, "intercept": intercept}

    def _quantiles(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        return np.sort(x @ arrays["weights"] + arrays["intercept"], axis=0)

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        return self._quantiles(arrays, x)[self.levels.index(0.5)]

    def _draw(self, arrays: dict, x: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        values = self._quantiles(arrays, x)
        if len(values) < 2:
            raise PhysLabError("one quantile level describes no distribution: pass at least 2 levels")
        nodes = torch.special.ndtri(torch.tensor(self.levels, dtype=torch.float64)).numpy()
        score = torch.randn((members, *values.shape[1:]), generator=generator, dtype=torch.float64).numpy()
        slope = np.diff(values, axis=0) / np.diff(nodes)[:, None, None]
        out = values[0] + slope[0] * (score - nodes[0])
        for k in range(1, len(slope)):  # the broken line, one bend at a time
            out += (slope[k] - slope[k - 1]) * np.maximum(score - nodes[k], 0.0)
        return out


@register(
    "mlp",
    title="Perceptron",
    kind="statistical",
    order=19,
    cell={"window": 0, "components": 20, "epochs": 100, "decay": 10.0, "hidden": (128,)},
    child={"window": 5, "points": 30000, "epochs": 30},
)
@dataclass(eq=False)
class NeuralRegression(Grouped):
    """A multilayer perceptron on the neighbourhood (scikit-learn's MLPRegressor, ReLU, Adam)."""

    hidden: tuple[int, ...] = (64,)
    epochs: int = 30
    decay: float = 1e-4

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        middle, unit = d.mean(0), max(float(d.std()), 1e-12)
        model = MLPRegressor(
            hidden_layer_sizes=self.hidden, alpha=self.decay, max_iter=self.epochs, learning_rate_init=2e-3,
            random_state=int(rng.integers(2**31)),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is a setting
            model.fit(x, ((d - middle) / unit).squeeze(-1) if d.shape[1] == 1 else (d - middle) / unit)
        last = len(model.coefs_) - 1
        arrays = {f"weights{i}": w * (unit if i == last else 1.0) for i, w in enumerate(model.coefs_)}
        biases = {f"bias{i}": b * unit + middle if i == last else b for i, b in enumerate(model.intercepts_)}
        return arrays | biases

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        for i in range(len(self.hidden)):
            x = np.maximum(x @ arrays[f"weights{i}"] + arrays[f"bias{i}"], 0.0)
        return x @ arrays[f"weights{len(self.hidden)}"] + arrays[f"bias{len(self.hidden)}"]


@register(
    "svr",
    title="Support vectors",
    kind="statistical",
    order=18,
    cell={"window": 0, "components": 20, "points": 0},
    child={"window": 5, "bands": 8, "points": 1500, "cost": 3.0},
)
@dataclass(eq=False)
class SupportVector(Grouped):
    """Support vector regression with a Gaussian kernel, one for each predictand, on a subsample of the points.

    Attributes
    ----------
    cost : C of scikit-learn's SVR, for predictands divided by their common standard deviation.
    tube : errors below it are free, in the same unit.
    """

    draws: ClassVar[bool] = False

    points: int = 1000
    cost: float = 10.0
    tube: float = 0.1

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.svm import SVR

        gamma = 1.0 / x.shape[1]  # the predictors have unit variance
        duals, intercept = np.zeros((len(x), d.shape[1])), np.zeros(d.shape[1])
        unit = max(float(d.std()), 1e-12)
        for j in range(d.shape[1]):
            model = SVR(C=self.cost, epsilon=self.tube, gamma=gamma).fit(x, d[:, j] / unit)
            duals[model.support_, j] = model.dual_coef_[0] * unit
            intercept[j] = model.intercept_[0] * unit
        used = np.flatnonzero(np.abs(duals).sum(1))
        return {"support": x[used], "duals": duals[used], "intercept": intercept, "gamma": np.array(gamma)}

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        support, gamma = arrays["support"], float(arrays["gamma"])
        out = np.empty((len(x), len(arrays["intercept"])))
        for start in range(0, len(x), 8192):
            part = x[start : start + 8192]
            distance = (part**2).sum(1)[:, None] + (support**2).sum(1) - 2.0 * part @ support.T
            out[start : start + 8192] = np.exp(-gamma * np.maximum(distance, 0.0)) @ arrays["duals"]
        return out + arrays["intercept"]
