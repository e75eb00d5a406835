r"""Predictors and predictands of a statistical downscaling method, as matrices and back.

Every regression here learns the **detail** :math:`d = y - U x`, the fine field minus the replicated coarse value. The
truth has :math:`P d = 0` in each block. So a method whose prediction is a weighted average of training details (least
squares, ridge, trees, analogs; the same predictors for all cells of a block) conserves without a constraint layer.

Two ways to pool the data:

`cell`
    One place for ever: each fine cell has its own model, with all coarse cells (`window` 0) or a k x k neighbourhood
    as predictors.
`child`
    Patches from anywhere: one model for each of the N x N positions inside a block, shared by all blocks of a band of
    latitude. Predictors are the k x k neighbours minus the centre, and the centre value itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physlab.errors import PhysLabError

PER = ("cell", "child")


@dataclass(frozen=True)
class Layout:
    """How coarse fields (S, h, w) become predictors (m, p) and details (S, H, W) become predictands (m, n), by group.

    Attributes
    ----------
    factor : N.
    shape : (h, w) of the coarse training fields.
    per : "cell" or "child".
    window : odd edge k of the neighbourhood, beyond the border the outermost cell is repeated; 0 for all coarse cells.
    bands : of latitude, per="child" only; 1 fits any grid, more are bound to the rows of the training grid.
    """

    factor: int
    shape: tuple[int, int]
    per: str = "child"
    window: int = 3
    bands: int = 1

    def __post_init__(self) -> None:
        if self.per not in PER:
            raise PhysLabError(f"per={self.per!r} is unknown: choose one of {', '.join(PER)}")
        if self.window < 0 or (self.window and self.window % 2 == 0) or (self.per == "child" and not self.window):
            raise PhysLabError(
                f"window {self.window} is not an odd number: pass 3 or 5, or 0 for all coarse cells with per='cell'"
            )
        if not 1 <= self.bands <= self.shape[0]:
            raise PhysLabError(f"{self.bands} bands of {self.shape[0]} coarse rows: pass 1 to {self.shape[0]}")

    @property
    def groups(self) -> int:
        """Number of separate models."""
        if self.per == "child":
            return self.bands
        return self.shape[0] * self.shape[1] if self.window else 1

    @property
    def domain(self) -> tuple[int, int] | None:
        """(h, w) if the layout holds for one domain alone."""
        return self.shape if self.per == "cell" else None

    def _block(self, group: int, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the coarse cells of a group."""
        if self.per == "cell" and self.window:
            row, column = divmod(group, self.shape[1])
            return slice(row, row + 1), slice(column, column + 1)
        if self.per == "child" and self.bands > 1:
            rows = np.array_split(np.arange(self.shape[0]), self.bands)[group]
            return slice(int(rows[0]), int(rows[-1]) + 1), slice(0, width)
        return slice(0, height), slice(0, width)

    def predictors(self, x: np.ndarray, group: int) -> np.ndarray:
        """(S, h, w) -> (m, p): a row for each frame and coarse cell of the group."""
        if not self.window:
            return x.reshape(len(x), -1)
        rows, columns = self._block(group, *x.shape[-2:])
        reach = self.window // 2
        padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
        padded = padded[:, rows.start : rows.stop + 2 * reach, columns.start : columns.stop + 2 * reach]
        views = np.lib.stride_tricks.sliding_window_view(padded, (self.window, self.window), axis=(1, 2))
        values = views.reshape(-1, self.window**2).copy()
        centre = values[:, self.window**2 // 2].copy()
        values -= centre[:, None]
        values[:, self.window**2 // 2] = centre
        return values

    def targets(self, detail: np.ndarray, group: int) -> np.ndarray:
        """(S, H, W) -> (m, n), the fine cells of a coarse one (or of the whole field) side by side."""
        if not self.window:
            return detail.reshape(len(detail), -1)
        n = self.factor
        height, width = detail.shape[-2] // n, detail.shape[-1] // n
        rows, columns = self._block(group, height, width)
        part = detail[:, rows.start * n : rows.stop * n, columns.start * n : columns.stop * n]
        part = part.reshape(len(part), rows.stop - rows.start, n, columns.stop - columns.start, n)
        return part.transpose(0, 1, 3, 2, 4).reshape(-1, n * n)

    def put(self, fields: np.ndarray, values: np.ndarray, group: int) -> None:
        """The inverse of `targets`: write (m, n) into its place of (S, H, W)."""
        if not self.window:
            fields[:] = values.reshape(fields.shape)
            return
        n = self.factor
        rows, columns = self._block(group, fields.shape[-2] // n, fields.shape[-1] // n)
        blocks = values.reshape(len(fields), rows.stop - rows.start, columns.stop - columns.start, n, n)
        part = blocks.transpose(0, 1, 3, 2, 4).reshape(len(fields), blocks.shape[1] * n, blocks.shape[2] * n)
        fields[:, rows.start * n : rows.stop * n, columns.start * n : columns.stop * n] = part
