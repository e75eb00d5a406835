"""Trainings by a function: whatever gives a loss for a model and a batch.

Step k of a seed draws the same samples and noise whatever the model, so that two models differ by what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physlab.train.batches import Batches, Drawn
from physlab.train.loop import Report, optimise
from physlab.train.objective import Objective, rate_of
from physlab.train.settings import Steps

__all__ = ["EVERY", "ByLoss", "Report", "Steps", "rate_of", "take_steps"]

EVERY = Steps.validate_every  # steps between two entries of the history


class ByLoss(Objective):
    """``loss(model, *batch) -> scalar``, a mean over the samples of the batch."""

    first = 0

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor], settings: Steps, batches: Batches, title: str):
        super().__init__(model, settings, batches, title)
        self.loss = loss

    @property
    def device(self) -> torch.device:
        return next(p for p in self.model.parameters() if p.requires_grad).device

    def losses(self, *batch) -> Iterator[Tensor]:
        loss = self.loss(self.model, *batch)
        self.terms = {"loss": loss}
        yield loss


def take_steps(
    model: nn.Module,
    loss: Callable[..., Tensor],
    settings: Steps,
    seed: int = 0,
    title: str = "",
    progress: bool = False,
    watch: Callable[[int, Any], None] | None = None,
    batches: Batches | None = None,
    state: str | Path | None = None,
    fingerprint: dict | None = None,
    held_out: Callable[[Any], float] | None = None,
) -> Report:
    """Train `model` in place, from where it is, and leave it with its averaged weights, in evaluation mode.

    Parameters
    ----------
    loss : ``loss(model, *batch) -> scalar``; without batches, ``loss(model, generator)`` draws its own.
    settings : what all trainings have.
    watch, state : see :func:`physlab.train.loop.optimise`.
    fingerprint : what a state file must agree with, beside the settings and the seed.
    held_out : score of the averaged model on other data, the lower the better: the best weights are kept, and the
        training stops when they are not bettered.

    What has no gradient stays as it is.

    Raises
    ------
    PhysLabError : a loss that is not a number.
    """
    batches = Drawn(settings.batch, seed) if batches is None else batches
    objective = ByLoss(model, loss, settings, batches, title or type(model).__name__)
    objective.fingerprint = {"settings": asdict(settings), "seed": seed, **(fingerprint or {})}
    objective.held_out = held_out
    return optimise(objective, state, progress, watch=watch)
