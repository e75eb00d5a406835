r"""The chapter on reading a results table: each artefact of the course report, made again by running it.

What is broken here is broken on purpose, and named so; the working forms are in :mod:`physlab.score`,
:mod:`physlab.train` and :mod:`physlab.constrain`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.constrain import make_constraint
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.score import mse
from physlab.train import get_recipe
from physlab.train.pixels import Pixels
from physlab.zoo import load_model


def broken_crps(members: Tensor, truth: Tensor, width: int) -> Tensor:
    """CRPS as the published code computes it: (M, ...) members, one divisor wrong.

    The right score is a sum over the sorted members f_(i): (2i - 1)/M^2 (o - f_(i)) for members below the observation
    and the same from the other side for members above it. Here the first branch is divided by the image width squared.
    """
    count = len(members)
    ordered = members.sort(0).values
    share = (2 * torch.arange(1, count + 1, dtype=members.dtype) - 1).reshape(-1, *[1] * truth.ndim)
    below = share * (truth - ordered).clamp_min(0) / width**2
    above = share.flip(0) * (ordered - truth).clamp_min(0) / count**2
    return (below + above).sum(0).mean()


def copies_of_first(members: Tensor) -> Tensor:
    """The de-normalisation of the report: member 0 is written into all places."""
    return members[:1].expand_as(members)


def report_generator_loss(made: Tensor, truth: Tensor, coarse: Tensor, verdict: Tensor, soft: bool = False) -> Tensor:
    """MSE + 1e-4 BCE. `coarse` and `soft` are taken and never used, as in the published code."""
    real = torch.ones_like(verdict)
    return functional.mse_loss(made, truth) + 1e-4 * functional.binary_cross_entropy_with_logits(verdict, real)


def soft_gradients(data: SRData, samples: int = 8) -> pd.DataFrame:
    """Change of a trained network's gradient when "soft" is switched on, for the report's loss and for PhysLab's.

    Returns
    -------
    DataFrame, one row per loss: `change`, |g_soft - g_none| / |g_none| over all parameters, and `angle` in degrees.
    """
    trained = load_model("tcw-x4-none")
    settings = get_recipe("tcw-x4-gan-report").presets["cpu"].settings
    x, y = data.coarse["train"][:samples] / trained.scale, data.fine["train"][:samples] / trained.scale
    gradients: dict[tuple[str, bool], Tensor] = {}
    for soft in (False, True):
        model = CNN(trained.network, "soft" if soft else "none", trained.scale).requires_grad_()
        made = model(x, data.weights)
        verdict = made.mean((1, 2, 3))  # any discriminator does
        losses = {
            "the report's": report_generator_loss(made, y, x, verdict, soft),
            "PhysLab's": Pixels(model, data, settings).error(made[None], x, y, data.weights),
        }
        for name, loss in losses.items():
            parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            gradients[name, soft] = torch.cat([part.flatten() for part in parts]).double()
    rows = {}
    for name in ("the report's", "PhysLab's"):
        without, with_soft = gradients[name, False], gradients[name, True]
        cosine = float(functional.cosine_similarity(without, with_soft, dim=0).clamp(-1, 1))
        change = float((with_soft - without).norm() / without.norm())
        rows[name] = {"change": change, "angle": float(np.degrees(np.arccos(cosine)))}
    return pd.DataFrame.from_dict(rows, orient="index")


class Triplets(nn.Module):
    """A small network from three coarse frames to three fine ones, without any skip, as the report's had none."""

    def __init__(self, factor: int, channels: int = 32) -> None:
        super().__init__()
        self.factor = factor
        self.body = nn.Sequential(
            *(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()),
            nn.Conv2d(channels, 3 * factor**2, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.body(x), self.factor)


def min_max(data: SRData, frames: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Offset and scale (1, 3, 1, 1) of a min-max normalisation of the named frames; the others stay as they are."""
    low, high = float(data.fine["train"].min()), float(data.fine["train"].max())
    offset, scale = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    for t in frames:
        offset[:, t], scale[:, t] = low, high - low
    return offset, scale


def failed_normalisation(data: SRData, steps: int = 150, batch: int = 8, crop: int = 16, seed: int = 0) -> pd.DataFrame:
    """Train a small network on triplets, all frames normalised or frame 0 alone, without a layer and with softmax.

    Parameters
    ----------
    crop : edge of the random windows in coarse cells.

    Returns
    -------
    DataFrame: for each of the four the test MSE of frame 0 in kg2 m-4, the one that was scored, its bias (prediction
    minus truth) and the share of the training loss that frame 0 has at the start.
    """
    fine, coarse = data.fine["train"], data.coarse["train"]
    truth, given = data.fine["test"], data.coarse["test"]
    rows = {}
    for frames, constraint in itertools.product(((0, 1, 2), (0,)), ("none", "softmax")):
        offset, scale = min_max(data, frames)
        layer = make_constraint(constraint, data.factor)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Triplets(data.factor)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        generator, share = torch.Generator().manual_seed(seed), None
        for _ in range(steps):
            pick = torch.randint(len(fine), (batch,), generator=generator)
            top, left = (int(torch.randint(n - crop + 1, (), generator=generator)) for n in coarse.shape[-2:])
            x, y = (
                (field[pick, :, n * top : n * (top + crop), n * left : n * (left + crop)] - offset) / scale
                for field, n in ((coarse, 1), (fine, data.factor))
            )
            error = (layer(network(x), x) - y).square().mean((0, 2, 3))
            share = float(error[0].detach() / error.detach().sum()) if share is None else share
            optimiser.zero_grad()
            error.mean().backward()
            optimiser.step()
        with torch.no_grad():
            x = (given - offset) / scale
            made = torch.cat([layer(network(part), part) for part in x.split(32)]) * scale + offset
        error = (made - truth)[:, 0]
        name = ("all frames" if len(frames) == 3 else "frame 0 alone", constraint)
        rows[name] = {"mse": float(error.square().mean()), "bias": float(error.mean()), "share": share}
    return pd.DataFrame.from_dict(rows, orient="index")


def restless(model: CNN, data: SRData, steps: int = 60, every: int = 5, batch: int = 8, crop: int = 24) -> list[float]:
    """Go on training a network as the report did, Adam at a constant 1e-3 without averaged weights; the test MSE on
    the way, kg2 m-4, on every twentieth field.

    Parameters
    ----------
    crop : edge of the random windows in coarse cells.
    """
    model = copy.deepcopy(model).requires_grad_().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator, scores, n = torch.Generator().manual_seed(0), [], data.factor
    fine, coarse = data.fine["train"], data.coarse["train"]
    for step in range(1, steps + 1):
        pick = torch.randint(len(fine), (batch,), generator=generator)
        top, left = (int(torch.randint(size - crop + 1, (), generator=generator)) for size in coarse.shape[-2:])
        y = fine[pick, :, n * top : n * (top + crop), n * left : n * (left + crop)] / model.scale
        loss = functional.mse_loss(model(coarse[pick, :, top : top + crop, left : left + crop] / model.scale), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0:
            made = model.predict(data.coarse["test"][::20], data.weights)
            scores.append(float(mse(made, data.fine["test"][::20], data.weights)))
    return scores


def reported_psnr(truth: Tensor, error: Tensor) -> dict[str, float]:
    """PSNR of one error with three peaks that papers use: the range, the largest value, and one (a scaled field)."""
    rmse = float(error.double().square().mean().sqrt())
    peaks = {"max - min": float(truth.max() - truth.min()), "max": float(truth.max())}
    return {name: 20 * float(np.log10(peak / rmse)) for name, peak in peaks.items()}
