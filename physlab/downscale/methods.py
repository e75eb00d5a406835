"""The statistical methods by name, with settings that suit either task: the rows of a benchmark.

The settings stand where each method is registered: `cell` for a fixed domain, where each cell may have its own model,
and `child` for patches from anywhere, where the place within a coarse cell is all that cells share.
"""

from __future__ import annotations

import numpy as np

from physlab.data.patches import SRData
from physlab.downscale.statistical import Statistical
from physlab.errors import PhysLabError
from physlab.registry import Registered, unknown

#: Name -> class of the methods that stand in tables; others (`table=False`) answer other questions.
STATISTICAL: Registered[type[Statistical]] = Registered(
    "methods", lambda spec: spec.kind == "statistical" and spec.facts.get("table", True)
)


def fixed_place(data: SRData) -> bool:
    """All samples of all splits lie on one grid, so that each cell may have its own model."""
    first = [longitude[:, 0] for longitude in data.longitude.values()]
    return bool(np.ptp(np.concatenate(first)) == 0)


def make_statistical(name: str, data: SRData) -> Statistical:
    """A method of :data:`STATISTICAL`, not yet fitted, for a fixed domain or for patches, whichever the data are.

    "qdm" takes the coarse fields of the split "test" as its projection period.

    Raises
    ------
    PhysLabError : unknown name.
    """
    if name not in STATISTICAL:
        raise PhysLabError(unknown("statistical method", name, STATISTICAL))
    method = STATISTICAL[name]
    per = "cell" if fixed_place(data) else "child"
    settings = dict(method.entry.facts.get(per, {}))
    if "per" in {option.name for option in method.entry.options}:
        settings["per"] = per
    if "bands" in settings:
        settings["bands"] = min(settings["bands"], data.shape[0] // data.factor)
    return method(**settings)
