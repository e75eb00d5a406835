"""Learning the features of a content loss on the training block (see :mod:`physlab.nn.features`)."""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.data.patches import SRData
from physlab.nn import bicubic
from physlab.nn.features import Features
from physlab.nn.share import Draws
from physlab.train.batches import Drawn
from physlab.train.settings import Steps
from physlab.train.steps import take_steps

FIELDS = 512
"""Frames of the training block that are learned from, at most."""
WINDOW = 64
"""Edge of the windows of a batch in cells, at most."""
STEPS = Steps(steps=300, batch=16, rate=3e-3, validate_every=100)


def learn_features(
    detail: Tensor, seed: int = 0, device: torch.device | str = "cpu", settings: Steps | None = None
) -> Features:
    """Train features of the detail of training fields, and freeze them.

    Parameters
    ----------
    detail : (S, H, W) of order one, see :func:`detail_of`.
    settings : of the training; by default :data:`STEPS`.

    Returns
    -------
    features : in evaluation mode, without gradients for its weights.

    Raises
    ------
    PhysLabError : a loss that is not a number.
    """
    detail, settings = detail.to(device), STEPS if settings is None else settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2000)
        features = Features().to(device)

    def make(generator: Draws, mine: slice) -> tuple[Tensor, Tensor]:
        height, width = (min(WINDOW, size) for size in detail.shape[-2:])
        chosen = torch.randint(len(detail), (settings.batch,), generator=generator)[mine]
        row = int(torch.randint(detail.shape[-2] - height + 1, (), generator=generator))
        column = int(torch.randint(detail.shape[-1] - width + 1, (), generator=generator))
        frames = detail[chosen.to(detail.device), row : row + height, column : column + width]
        noise = torch.randn((settings.batch, height, width), generator=generator)[mine]
        return frames, noise.to(frames)

    batches = Drawn(settings.batch, seed, make)
    take_steps(features, lambda model, x, n, _: model.loss(x, n), settings, seed, "features", batches=batches)
    features.measure(detail[:64])
    return features.requires_grad_(False).eval()


def detail_of(data: SRData, unit: float) -> Tensor:
    """(S, H, W): what bicubic interpolation lacks in evenly spaced frames of the training block, over `unit`, the error
    of nearest neighbour in physical units."""
    every = slice(None, None, -(-len(data.fine["train"]) // FIELDS))
    coarse = data.all_coarse("train")[every]
    return ((data.fine["train"][every] - bicubic(coarse, data.factor)) / unit).flatten(0, 1)[:FIELDS]
