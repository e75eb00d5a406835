"""A network that is built to look upstream is told from one that is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from physlab.data.patches import sr_pairs
from physlab.downscale import make_downscaler
from physlab.nn import Upscaler
from physlab.teach.sequences.upstream import looks, slope


class West(Upscaler):
    """The hour before, from one column to the west, and the hour behind, from one to the east."""

    frames = (3, 3)

    def __init__(self) -> None:
        super().__init__(4)
        self.share = nn.Parameter(torch.tensor(0.5))

    def run(self, x, noise=None, static=None):
        middle = self.share * torch.roll(x[:, :1], 1, -1) + (1 - self.share) * torch.roll(x[:, 2:], -1, -1)
        full = torch.cat([x[:, :1], middle, x[:, 2:]], 1)
        return full.repeat_interleave(4, -1).repeat_interleave(4, -2), x


def test_where_a_shift_looks() -> None:
    model = make_downscaler(West(), "none", 10.0, "tcw", "west")
    found = looks(model, sr_pairs("tcw-t1", 4), count=8)
    np.testing.assert_allclose(found["moved columns"], -2, atol=1e-5)
    np.testing.assert_allclose(found["moved rows"], 0, atol=1e-5)
    np.testing.assert_allclose(found[["before", "now", "behind"]], np.tile([0.5, 0, 0.5], (8, 1)), atol=1e-6)
    assert (found["radius"] == 1).all() and found[["wind rows", "wind columns"]].abs().max(axis=None) < 1


def test_the_slope_is_that_of_the_wind() -> None:
    generator = np.random.default_rng(0)
    wind = generator.normal(0, 0.1, (60, 2))
    moved = 0.3 - wind + generator.normal(0, 0.02, (60, 2))
    table = pd.DataFrame({"wind rows": wind[:, 0], "wind columns": wind[:, 1], "moved rows": moved[:, 0],
                          "moved columns": moved[:, 1], "block": np.arange(60) // 5})  # fmt: skip
    value, low, high = slope(table)
    assert value == pytest.approx(-1, abs=0.1) and low < -0.9 and low < value < high < -0.7
