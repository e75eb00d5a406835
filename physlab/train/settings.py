"""The numbers that decide a training: those that all have, and those of a training by pixels."""

from __future__ import annotations

from dataclasses import dataclass

from physlab.constrain import ALPHA
from physlab.errors import PhysLabError


@dataclass(frozen=True)
class Steps:
    """What every training has.

    Attributes
    ----------
    steps : optimiser steps;  batch : samples a step, over all processes.
    rate : peak learning rate; None for that of the model (its attribute `rate`, or 1e-3).
    warm_up : share of the steps until it is reached;  decay : AdamW weight decay;  clip : gradient norm.
    schedule : "cosine" (the rate falls to 1 % of its peak) or "constant" (it stays there).
    ema : decay of the running mean of the weights, reached gradually.
    precision : "bf16", "fp32", or "auto": bf16 where the processor multiplies in it, else fp32.
    validate_every : steps between entries of the history, validations and states.
    patience : validations without a better score until the run stops.
    budget_s : seconds of training after which the schedule must have ended, or None. A budget makes the result depend
        on the machine.
    """

    steps: int = 600
    batch: int = 8
    rate: float | None = None
    warm_up: float = 0.05
    schedule: str = "cosine"
    decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.99
    precision: str = "auto"
    validate_every: int = 50
    patience: int = 10
    budget_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or not (self.rate is None or self.rate > 0):
            raise PhysLabError("steps and batch must be at least 1 and the rate positive")
        if min(self.validate_every, self.patience) < 1:
            raise PhysLabError("validate_every and patience must be at least 1")
        if not (0 <= self.warm_up < 1 and 0 <= self.ema < 1 and self.decay >= 0 and self.clip > 0):
            raise PhysLabError("warm_up and ema must lie in 0 to below 1, decay be at least 0 and clip positive")
        if self.schedule not in ("cosine", "constant"):
            raise PhysLabError(f"schedule is {self.schedule!r}: choose cosine or constant")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise PhysLabError(f"precision is {self.precision!r}: choose auto, bf16 or fp32")


@dataclass(frozen=True)
class Settings(Steps):
    """Those of a training by pixels, beside what every training has.

    Attributes
    ----------
    crop : edge in fine cells of the random window of each batch, a multiple of the factor; None for the whole field.
    flips : "y" (north-south, by batch: on a planet without seasons the mirror image of a flow is a flow), "x"
        (east-west, by sample), "xy" (both) or "" (fixed geography).
    alpha : share of the conservation penalty in the loss of constraint "soft".
    loss : "mse", "mae", or "crps": the fair CRPS of `members` draws, for networks with noise (without it they learn to
        ignore the noise, because the mean square error is least for the mean).
    members : draws a sample that the loss "crps" compares.
    extreme : weight of the points above the 99th percentile of the training block, 1 for all points alike.
    """

    steps: int = 1000
    batch: int = 16
    rate: float = 2e-3
    validate_every: int = 100
    crop: int | None = None
    flips: str = "x"
    alpha: float = ALPHA
    loss: str = "mse"
    members: int = 2
    extreme: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flips not in ("", "x", "y", "xy"):
            raise PhysLabError(f"flips is {self.flips!r}: choose '', 'x', 'y' or 'xy'")
        if self.loss not in ("mse", "mae", "crps") or self.members < 2 or not self.extreme >= 1:
            raise PhysLabError(
                f"loss is {self.loss!r}, members {self.members}, extreme {self.extreme}: choose mse, mae or crps, at "
                "least 2 members, and a weight of at least 1"
            )
