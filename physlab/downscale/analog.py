"""Analogs and weather types: look up what the fine field did when the coarse field looked like this.

Both compare coarse fields (or neighbourhoods) by their leading principal components, as Zorita and von Storch (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from physlab.downscale.grouped import Grouped
from physlab.downscale.statistical import Stochastic
from physlab.registry import register


@register(
    "analog",
    title="Analogs",
    kind="statistical",
    order=15,
    cell={"window": 0, "nearest": 10},
    child={"window": 3, "bands": 16, "points": 4000, "nearest": 15},
)
@dataclass(eq=False)
class Analog(Stochastic, Grouped):
    """The details of the `nearest` training cases, averaged with weights 1 / distance; `sample` draws one of them.

    A member is a detail that has happened, so that it is as rough as the truth; the average is smoother.

    Attributes
    ----------
    nearest : number of analogs.
    leading : principal components of the predictors in which distances are measured.
    """

    nearest: int = 10
    leading: int = 8
    standard: bool = False

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.decomposition import PCA

        pca = PCA(min(self.leading, *x.shape), svd_solver="full").fit(x)
        return {"axes": pca.components_, "origin": pca.mean_, "library": pca.transform(x), "details": d}

    def _neighbours(self, arrays: dict, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (m, k) in the library and weights (m, k) that sum to one."""
        from sklearn.neighbors import KDTree

        tree = KDTree(arrays["library"])
        count = min(self.nearest, len(arrays["library"]))
        distance, index = tree.query((x - arrays["origin"]) @ arrays["axes"].T, k=count)
        weight = 1.0 / np.maximum(distance, 1e-9 * max(float(distance.max()), 1e-300))
        return index, weight / weight.sum(1, keepdims=True)

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        index, weight = self._neighbours(arrays, x)
        out = np.zeros((len(x), arrays["details"].shape[1]))
        for k in range(index.shape[1]):
            out += weight[:, k, None] * arrays["details"][index[:, k]]
        return out

    def _draw(self, arrays: dict, x: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        index, weight = self._neighbours(arrays, x)
        pick = torch.multinomial(torch.from_numpy(weight), members, replacement=True, generator=generator).numpy()
        return arrays["details"][np.take_along_axis(index, pick, 1).T]


@register(
    "weather types",
    title="Weather types",
    kind="statistical",
    order=16,
    cell={"window": 0, "alpha": 30.0},
    child={"window": 5, "bands": 8, "points": 20000},
)
@dataclass(eq=False)
class WeatherTypes(Grouped):
    """k-means on the leading principal components of the coarse field, and one ridge regression for each type.

    Attributes
    ----------
    types : number of weather types.
    leading : principal components that define them.
    alpha : ridge penalty on standardised predictors.
    """

    types: int = 4
    leading: int = 6
    alpha: float = 1.0

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge

        pca = PCA(min(self.leading, *x.shape), svd_solver="full").fit(x)
        state = pca.transform(x)
        means = KMeans(min(self.types, len(x)), n_init=4, random_state=int(rng.integers(2**31))).fit(state)
        models = [Ridge(self.alpha).fit(x[means.labels_ == t], d[means.labels_ == t]) for t in range(means.n_clusters)]
        return {
            "axes": pca.components_, "origin": pca.mean_, "centres": means.cluster_centers_,
            "weights": np.stack([m.coef_.T for m in models]), "intercept": np.stack([m.intercept_ for m in models]),
        }  # fmt: skip

    @staticmethod
    def _types(arrays: dict, x: np.ndarray) -> np.ndarray:
        state = (x - arrays["origin"]) @ arrays["axes"].T
        return np.stack([((state - centre) ** 2).sum(1) for centre in arrays["centres"]]).argmin(0)

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        kind = self._types(arrays, x)
        out = np.empty((len(x), arrays["intercept"].shape[1]))
        for t in range(len(arrays["centres"])):
            rows = kind == t
            out[rows] = x[rows] @ arrays["weights"][t] + arrays["intercept"][t]
        return out
