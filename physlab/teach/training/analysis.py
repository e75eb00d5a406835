"""Training a network by hand: the pairs that the chapter learns from, descent on a parabola, and over-fitting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from physlab.data.patches import SRData
from physlab.errors import FieldError
from physlab.nn.upscaler import bicubic

KERNELS: dict[str, Tensor] = {
    "mean of nine": torch.full((3, 3), 1 / 9),
    "slope to the east": torch.tensor([[0.0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]]),
    "slope to the north": torch.tensor([[0.0, -0.5, 0], [0, 0, 0], [0, 0.5, 0]]),
    "bend": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "sharpen": torch.tensor([[0.0, -0.25, 0], [-0.25, 2, -0.25], [0, -0.25, 0]]),
}
"""Kernels of 3 x 3 weights, first row to the south, because rows of our fields run from south to north."""


def convolve(field: Tensor, kernel: Tensor) -> Tensor:
    """Nine shifted copies of a field (..., H, W), each times its weight, added up; the edge is repeated."""
    if kernel.shape != (3, 3):
        raise FieldError(f"the kernel has shape {tuple(kernel.shape)}: pass (3, 3)")
    height, width = field.shape[-2:]
    flat = field.reshape(-1, 1, height, width)
    wide = nn.functional.pad(flat, (1, 1, 1, 1), mode="replicate").reshape(*field.shape[:-2], height + 2, width + 2)
    out = torch.zeros_like(field)
    for i in range(3):
        for j in range(3):
            out = out + kernel[i, j].to(field) * wide[..., i : i + height, j : j + width]
    return out


def rms(error: Tensor, weights: Tensor) -> float:
    """Root of the mean square over an area with weights (H, W) of mean one."""
    return float((error.square() * weights).mean().sqrt())


# ---- pairs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pairs:
    """Coarse and fine fields in units of the standard deviation of the training block.

    Attributes
    ----------
    coarse, fine : (S, 1, h, w), (S, 1, H, W).
    scale : that standard deviation, kg m-2.
    weights : (H, W) areas, mean one.
    """

    coarse: Tensor
    fine: Tensor
    scale: float
    weights: Tensor

    @classmethod
    def of(cls, data: SRData, split: str, at: Sequence[int] | slice = slice(None)) -> Pairs:
        """Of a split; the scale is that of the training block, whichever split is asked for."""
        scale = float(data.fine["train"].std())
        fine, coarse = data.fine[split][at][:, :1], data.coarse[split][at][:, :1]
        return cls(coarse / scale, fine / scale, scale, data.weights.to(fine))

    def __len__(self) -> int:
        return len(self.fine)

    @torch.no_grad()
    def error(self, network: Callable[[Tensor], Tensor]) -> float:
        """RMSE of a network over all pairs, kg m-2."""
        return self.scale * rms(network(self.coarse) - self.fine, self.weights)


def interpolated(pairs: Pairs) -> float:
    """RMSE of bicubic interpolation, kg m-2."""
    factor = pairs.fine.shape[-1] // pairs.coarse.shape[-1]
    return pairs.error(lambda coarse: bicubic(coarse, factor))


# ---- descent on a parabola ------------------------------------------------------------------------------------------


def descend(slope: Callable[[float], float], start: float, rate: float, steps: int = 20) -> np.ndarray:
    """Where gradient descent with one rate goes, the start included: (steps + 1,)."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * slope(path[-1]))
    return np.array(path)


def shake(loss: Callable[[], Tensor], weight: Tensor, step: float = 1e-3) -> Tensor:
    """The gradient of a loss by central differences, one weight after another: no calculus at all."""
    out = torch.zeros_like(weight)
    with torch.no_grad():
        for k in np.ndindex(*weight.shape):
            kept = weight[k].clone()
            ends = []
            for sign in (1, -1):
                weight[k] = kept + sign * step
                ends.append(float(loss()))
            weight[k] = kept
            out[k] = (ends[0] - ends[1]) / (2 * step)
    return out


# ---- over-fitting ---------------------------------------------------------------------------------------------------


def memorise(
    network: nn.Module, seen: Pairs, held: dict[str, Pairs], steps: int, rate: float = 3e-3, every: int = 25
) -> pd.DataFrame:  # fmt: skip
    """Train on all pairs at once with Adam and look at the errors on the way.

    Parameters
    ----------
    network : is trained in place.  seen : what it learns from.  held : name -> what it never learns from.

    Returns
    -------
    DataFrame by step: "seen" and one column for each of `held`, RMSE over that of bicubic interpolation of the same
    frames, because some weather is easier than other.
    """
    optimiser, rows, all_pairs = torch.optim.Adam(network.parameters(), lr=rate), {}, {"seen": seen} | held
    plain = {name: interpolated(pairs) for name, pairs in all_pairs.items()}
    for step in range(steps + 1):
        if step % every == 0:
            rows[step] = {name: pairs.error(network) / plain[name] for name, pairs in all_pairs.items()}
        loss = (network(seen.coarse) - seen.fine).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return pd.DataFrame(rows).T


def overfit(
    make: Callable[[int], nn.Module], hourly: SRData, widths: Sequence[int], frames: int = 1, steps: int = 300
) -> dict[int, pd.DataFrame]:  # fmt: skip
    """Networks of several widths on the same few frames, each beside two ways to hold frames back.

    Parameters
    ----------
    make : width -> network with random weights of a fixed seed.
    hourly : pairs of triplets, frames an hour apart.

    Returns
    -------
    width -> DataFrame of :func:`memorise`: "an hour later" is the frame after each that was seen, as a random split of
    hours would hold back; "another month" is the validation block.
    """
    spread = [len(hourly.fine["train"]) * (2 * k + 1) // (2 * frames) for k in range(frames)]
    scale = float(hourly.fine["train"].std())
    weights = hourly.weights.to(hourly.fine["train"])

    def pairs(split: str, at: Sequence[int], hour: int) -> Pairs:
        coarse, fine = (part[split][at][:, hour : hour + 1] / scale for part in (hourly.coarse, hourly.fine))
        return Pairs(coarse, fine, scale, weights)

    seen, later = pairs("train", spread, 0), pairs("train", spread, 1)
    other = pairs("val", torch.linspace(0, len(hourly.fine["val"]) - 1, 6).long().tolist(), 0)
    held = {"an hour later": later, "another month": other}
    return {width: memorise(make(width), seen, held, steps) for width in widths}


def lucky(count: int, trials: int = 20000, seed: int = 0) -> float:
    """Mean of the best of `count` equal competitors, in standard deviations of a score that is nothing but chance."""
    generator = np.random.default_rng(seed)
    return float(generator.standard_normal((trials, count)).max(1).mean())
