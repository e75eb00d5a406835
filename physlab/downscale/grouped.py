"""Methods that learn the detail of a fine field from coarse predictors, one estimator for each group of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from physlab.cluster import Runs, present
from physlab.downscale.layout import Layout
from physlab.downscale.screening import invert, transform
from physlab.downscale.statistical import Statistical, choose_points
from physlab.grid import refine


@dataclass(eq=False)
class Grouped(Statistical):
    """Base of the regressions; see :class:`physlab.downscale.layout.Layout` for `per`, `window` and `bands`.

    A subclass implements `_estimate(x, d, rng) -> arrays`, standardised predictors x (m, p), details d (m, n), and
    `_apply(arrays, x) -> d`; a stochastic one `_draw(arrays, x, members, generator) -> (M, m, n)`.

    Attributes
    ----------
    points : at most so many rows of a group are used, drawn by the seed; 0 for all.
    components : the details are replaced by so many of their principal components (0: not). Each is a pattern with
        zero block means, so that any estimator then conserves, and far fewer estimators are needed.
    standard : divide the predictors by their standard deviation.
    transform : of the variable, before anything else: none, sqrt, log, power (non-negative variables).
    """

    takes_predictors: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    """Whether `_estimate` takes random numbers; if not, groups may be fitted side by side, with the same result."""

    per: str = "child"
    window: int = 3
    bands: int = 1
    points: int = 0
    components: int = 0
    standard: bool = True
    transform: str = "none"

    def _bind(self) -> None:
        super()._bind()
        self.layout = Layout(self.factor, tuple(self.card["shape"]), self.per, self.window, self.bands)
        self.domain = self.layout.domain

    @property
    def needs_rows(self) -> bool:
        """More than one band."""
        return self.bands > 1

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        first, further = self._parts(coarse)
        x, y = transform(first, self.transform), transform(fine, self.transform)
        detail = y - refine(x, self.factor)
        client = None if self.draws or self.layout.groups == 1 else present()
        given = ((group, self._given(x, further, detail, group, rng)) for group in range(self.layout.groups))
        if client is None:
            found = {group: self._group(*one, rng) for group, one in given}
        else:
            runs = {group: Runs(client).submit(self._group, *one, rng) for group, one in given}
            found = {group: run.result() for group, run in runs.items()}
        for group, arrays in found.items():
            self.arrays |= {f"{group}/{key}": np.asarray(value) for key, value in arrays.items()}

    def _given(
        self, x: np.ndarray, further: np.ndarray, detail: np.ndarray, group: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictors and predictands that a group learns from."""
        predictors, targets = self._matrix(x, further, group), self.layout.targets(detail, group)
        rows = choose_points(len(predictors), self.points, rng)
        return predictors[rows], targets[rows]

    def _group(self, predictors: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """What is learned of one group."""
        from sklearn.decomposition import PCA

        mean = predictors.mean(0)
        scale = predictors.std(0) if self.standard else np.ones_like(mean)
        arrays = {"mean": mean, "scale": np.where(scale > 1e-12, scale, 1.0)}
        if self.components:
            pca = PCA(min(self.components, *targets.shape), svd_solver="full").fit(targets)
            arrays |= {"centre": pca.mean_, "patterns": pca.components_}
            targets = pca.transform(targets)
        return arrays | self._estimate((predictors - mean) / arrays["scale"], targets, rng)

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        return self._assemble(coarse, lambda arrays, x: self._patterns(arrays, self._apply(arrays, x))[None])[0]

    def _members(self, coarse: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        return self._assemble(
            coarse, lambda arrays, x: self._patterns(arrays, self._draw(arrays, x, members, generator)), members
        )

    def _assemble(self, coarse: np.ndarray, predict, members: int = 1) -> np.ndarray:
        """The details of all groups in their places, added to the coarse values: (M, S, H, W)."""
        first, further = self._parts(coarse)
        x = transform(first, self.transform)
        base = refine(x, self.factor)
        detail = np.empty((members, *base.shape))
        for group in range(self.layout.groups):
            arrays = self.group(group)
            values = predict(arrays, (self._matrix(x, further, group) - arrays["mean"]) / arrays["scale"])
            for member in range(members):
                self.layout.put(detail[member], values[member], group)
        return invert(base + detail, self.transform)

    @staticmethod
    def _parts(coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The variable (S, h, w), and further coarse fields (P, S, h, w)."""
        if coarse.ndim == 3:
            return coarse, np.empty((0, *coarse.shape))
        return coarse[:, 0], coarse[:, 1:].swapaxes(0, 1)

    def _matrix(self, x: np.ndarray, further: np.ndarray, group: int) -> np.ndarray:
        """(m, p): what the group sees of the variable, and of each further field alike."""
        parts = [self.layout.predictors(field, group) for field in (x, *further)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)

    @staticmethod
    def _patterns(arrays: dict, values: np.ndarray) -> np.ndarray:
        return values @ arrays["patterns"] + arrays["centre"] if "patterns" in arrays else values

    def group(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of a group."""
        start = f"{index}/"
        return {key[len(start) :]: value for key, value in self.arrays.items() if key.startswith(start)}

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _draw(self, arrays: dict, x: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        raise NotImplementedError
