"""A small U-Net that can be looked at: its graph, how far it sees, and slopes with and without a skip."""

from __future__ import annotations

from functools import lru_cache

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from physlab.teach.pictures import closed
from physlab.teach.schematic import schematic


def draw_unet() -> Figure:
    """The graph of a U-Net of two levels, with the shape of each array."""
    boxes = {
        "x": ("field\n1 x 64 x 64", 0, 2), "a": ("convolution\n8 x 64 x 64", 1.2, 2),
        "b": ("halve, convolve\n16 x 32 x 32", 2.1, 1), "c": ("halve, convolve\n32 x 16 x 16", 3.2, 0),
        "d": ("double, join\n16 x 32 x 32", 4.3, 1),
        "e": ("double, join\n8 x 64 x 64", 5.2, 2), "y": ("result\n1 x 64 x 64", 6.4, 2),
    }  # fmt: skip
    arrows = [
        ("x", "a"),
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
        ("d", "e"),
        ("e", "y"),
        ("b", "d", "skip"),
        ("a", "e", "skip"),
    ]
    return schematic(boxes, arrows, learned=("a", "b", "c", "d", "e"), width=9.5, height=3.2)


class Small(nn.Module):
    """A U-Net with `levels` halvings of the grid and 3 x 3 kernels, for a field (1, 1, H, W)."""

    def __init__(self, levels: int, channels: int = 4, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)

        def layer(c: int, k: int) -> nn.Conv2d:
            return nn.Conv2d(c, k, 3, padding=1, padding_mode="replicate")

        self.first = layer(1, channels)
        self.down = nn.ModuleList(layer(channels, channels) for _ in range(levels))
        self.up = nn.ModuleList(layer(2 * channels, channels) for _ in range(levels))
        self.last = layer(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, kept = torch.relu(self.first(x)), []
        for work in self.down:
            kept.append(x)
            x = torch.relu(work(functional.avg_pool2d(x, 2)))
        for work in self.up:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.relu(work(torch.cat([x, kept.pop()], 1)))  # the skip joins here
        return self.last(x)


@lru_cache(maxsize=8)
def reach(levels: int, size: int = 64) -> Tensor:
    """Mean size of the slope of the middle cell of the result by each cell of the input, over twelve networks."""
    found = torch.zeros(size, size)
    for seed in range(12):
        x = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed), requires_grad=True)
        (slope,) = torch.autograd.grad(Small(levels, seed=seed)(x)[0, 0, size // 2, size // 2], x)
        found += slope[0, 0].abs()
    return found / 12


def draw_reach(levels: int) -> Figure:
    """Which cells of the input the middle cell of the result listens to."""
    seen = reach(levels)
    rows = torch.nonzero(seen > 0)
    edge = int((rows.max(0).values - rows.min(0).values).max()) + 1
    fig, ax = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
    image = ax.imshow(seen.clamp(min=1e-7), norm=LogNorm(1e-5, 1.0), cmap="viridis")
    ax.plot(32, 32, "+", color="w", ms=8)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{levels} halvings: a square of {edge} x {edge} cells", fontsize=9)
    fig.colorbar(image, ax=ax, label="slope")
    return closed(fig)


def slopes(depths: tuple[int, ...] = (1, 5, 10, 20, 40), width: int = 32) -> pd.DataFrame:
    """Size of the slope by the input after so many layers of tanh, over that of the slope at the result."""
    rows = {}
    for depth in depths:
        row = {}
        for name, skip in (("plain", False), ("with skips", True)):
            dice = torch.Generator().manual_seed(depth)
            x = torch.randn(64, width, generator=dice, dtype=torch.float64, requires_grad=True)
            y = x
            for _ in range(depth):
                weight = 0.5 * torch.randn(width, width, generator=dice, dtype=torch.float64) / width**0.5
                y = torch.tanh(y @ weight) + (y if skip else 0)
            back = torch.randn(y.shape, generator=dice, dtype=torch.float64)
            (slope,) = torch.autograd.grad(y, x, back)
            row[name] = float(slope.norm() / back.norm())
        rows[depth] = row
    return pd.DataFrame(rows).T
