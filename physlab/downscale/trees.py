"""Random forest (scikit-learn), kept as arrays: each leaf holds the mean detail of its training cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physlab.downscale.grouped import Grouped
from physlab.registry import register


@register(
    "random forest",
    title="Random forest",
    kind="statistical",
    order=17,
    cell={"window": 0, "trees": 50, "components": 20},
    child={"window": 5, "bands": 8, "points": 4000, "trees": 20},
)
@dataclass(eq=False)
class RandomForest(Grouped):
    """Trees on bootstrap samples; all cells of a block share a tree, so that a forest conserves the block mean.

    Attributes
    ----------
    trees, depth, leaf : number of trees, largest depth, fewest cases in a leaf.
    features : share of the predictors that a split may choose from.
    """

    trees: int = 30
    depth: int = 12
    leaf: int = 5
    features: float = 0.5
    standard: bool = False

    def _estimate(self, x: np.ndarray, d: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            n_estimators=self.trees, max_depth=self.depth, min_samples_leaf=self.leaf, max_features=self.features,
            random_state=int(rng.integers(2**31)), n_jobs=1,
        ).fit(x, d)  # fmt: skip
        trees = [estimator.tree_ for estimator in forest.estimators_]
        first = np.cumsum([0] + [tree.node_count for tree in trees])
        # a leaf (children -1) points to itself, so that all points can walk as many steps
        left, right = (
            np.concatenate([
                np.where(child < 0, np.arange(len(child)), child) + start
                for child, start in zip([getattr(t, side) for t in trees], first, strict=False)
            ])
            for side in ("children_left", "children_right")
        )  # fmt: skip
        return {
            "left": left.astype(np.int32), "right": right.astype(np.int32),
            "feature": np.concatenate([np.maximum(t.feature, 0) for t in trees]).astype(np.int32),
            "threshold": np.concatenate([t.threshold for t in trees]),
            "value": np.concatenate([t.value[:, :, 0] for t in trees]),
            "first": first[:-1].astype(np.int32), "steps": np.array(max(t.max_depth for t in trees)),
        }  # fmt: skip

    def _apply(self, arrays: dict, x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float32)  # as scikit-learn compares
        out = np.zeros((len(x), arrays["value"].shape[1]))
        rows = np.arange(len(x))
        for first in arrays["first"]:
            node = np.full(len(x), first)
            for _ in range(int(arrays["steps"])):
                goes_left = x[rows, arrays["feature"][node]] <= arrays["threshold"][node]
                node = np.where(goes_left, arrays["left"][node], arrays["right"][node])
            out += arrays["value"][node]
        return out / len(arrays["first"])
