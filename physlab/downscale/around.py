"""What is put around a finished method: whom it is for and which grids it takes and gives are those of the method."""

from __future__ import annotations

from typing import Any

import numpy as np

from physlab.downscale.base import FieldDownscaler
from physlab.grid import Grid


class Around(FieldDownscaler):
    """Base of a method that changes how another one computes, or what becomes of its fields.

    Parameters
    ----------
    inner : the other one, a :class:`FieldDownscaler`, or something else with its names and grids.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name, self.factor, self.variable, self.domain = inner.name, inner.factor, inner.variable, inner.domain

    @property
    def bound_rows(self) -> np.ndarray | None:
        """As those of the method."""
        return self.inner.bound_rows

    def refine_grid(self, grid: Grid) -> Grid:
        """As the method does."""
        return self.inner.refine_grid(grid)

    def check_grid(self, grid: Grid) -> None:
        """As the method does."""
        self.inner.check_grid(grid)
