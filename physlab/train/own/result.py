"""What a training on data of one's own gave: what was trained, and every method on the same test samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physlab.train.own.compare import Row, thinned
from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method
from physlab.train.own.task import Trained


@dataclass
class Result:
    """What a training gave.

    Attributes
    ----------
    rows : methods on the test samples `at`.
    trained : seed -> what came out.
    chosen : the seed that validated best, whose model is that of the folder.
    best, gains : variable -> the best baseline (by validation); variable -> name of the other -> gain and interval.
    validation : name -> variable -> RMSE on the validation block.
    command : to make it again.
    """

    method: Method
    constraint: str
    data: OwnData
    folder: Path
    trained: dict[int, Trained]
    chosen: int
    rows: list[Row]
    at: np.ndarray
    best: dict[str, str]
    gains: dict[str, dict[str, tuple[float, float, float]]]
    validation: dict[str, dict[str, float]]
    command: str = ""
    truth: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        """The one of the folder."""
        return self.trained[self.chosen].model

    def row(self, name: str) -> Row:
        """Of a method; of what was trained that of the chosen seed."""
        found = [r for r in self.rows if r.name == name and r.seed in (None, self.chosen)]
        return found[0]

    @property
    def own(self) -> Row:
        """Of what was trained."""
        return self.row(self.label)

    @property
    def label(self) -> str:
        """Of what was trained, in tables."""
        return label_of(self.method, self.constraint)

    @property
    def shown(self) -> OwnData:
        """The samples that were scored."""
        return thinned(self.data, "test", self.at)


def label_of(method: Method, constraint: str) -> str:
    """Name and constraint."""
    return method.name + ("" if constraint == "none" else f" + {constraint}")
