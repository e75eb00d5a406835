"""The statistical methods by name, with settings that suit either task: the rows of a benchmark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from physlab.data.patches import SRData
from physlab.downscale.analog import Analog, WeatherTypes
from physlab.downscale.quantile import BCSD, EmpiricalQuantileMapping, QuantileDeltaMapping
from physlab.downscale.regression import MultipleRegression, NeuralRegression, QuantileRegression, SupportVector
from physlab.downscale.statistical import Statistical
from physlab.downscale.trees import RandomForest
from physlab.errors import PhysLabError


def fixed_place(data: SRData) -> bool:
    """All samples of all splits lie on one grid, so that each cell may have its own model."""
    first = [longitude[:, 0] for longitude in data.longitude.values()]
    return bool(np.ptp(np.concatenate(first)) == 0)


def _both(make: type[Statistical], cell: dict, child: dict) -> Callable[[SRData], Statistical]:
    def made(data: SRData) -> Statistical:
        settings = {"per": "cell", **cell} if fixed_place(data) else {"per": "child", **child}
        if "bands" in settings:
            settings["bands"] = min(settings["bands"], data.shape[0] // data.factor)
        return make(**settings)

    return made


MAP = {"window": 0}  # predictors are all coarse cells of the domain
STATISTICAL: dict[str, Callable[[SRData], Statistical]] = {
    "linear": _both(MultipleRegression, MAP | {"alpha": 10.0}, {"window": 5, "bands": 32, "alpha": 1.0}),
    "quantile regression": _both(
        QuantileRegression, MAP | {"components": 12, "points": 300, "penalty": 1e-3},
        {"window": 5, "bands": 16, "components": 6, "points": 400},
    ),
    "eqm": _both(EmpiricalQuantileMapping, {}, {}),
    "qdm": _both(QuantileDeltaMapping, {"period": "test"}, {"period": "test"}),
    "bcsd": _both(BCSD, {}, {}),
    "analog": _both(Analog, MAP | {"nearest": 10}, {"window": 3, "bands": 16, "points": 4000, "nearest": 15}),
    "weather types": _both(WeatherTypes, MAP | {"alpha": 30.0}, {"window": 5, "bands": 8, "points": 20000}),
    "random forest": _both(
        RandomForest, MAP | {"trees": 50, "components": 20}, {"window": 5, "bands": 8, "points": 4000, "trees": 20}
    ),
    "svr": _both(
        SupportVector, MAP | {"components": 20, "points": 0},
        {"window": 5, "bands": 8, "points": 1500, "cost": 3.0},
    ),
    "mlp": _both(
        NeuralRegression, MAP | {"components": 20, "epochs": 100, "decay": 10.0, "hidden": (128,)},
        {"window": 5, "points": 30000, "epochs": 30},
    ),
}  # fmt: skip
"""Name -> maker of the unfitted method for given data."""


def make_statistical(name: str, data: SRData) -> Statistical:
    """A method of :data:`STATISTICAL`, not yet fitted, for a fixed domain or for patches, whichever the data are.

    "qdm" takes the coarse fields of the split "test" as its projection period.
    """
    if name not in STATISTICAL:
        raise PhysLabError(f"unknown statistical method {name!r}: choose one of {', '.join(STATISTICAL)}")
    return STATISTICAL[name](data)
