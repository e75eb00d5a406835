"""What a training on data of one's own is, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes
    ----------
    method, data, seed : what, from which pairs, with which random numbers.
    folder : of the result; a run that was interrupted goes on from what it left.
    constraint : of a network or an ensemble.
    steps : of the optimiser; None for the preset's.
    start : folder of a trained network whose weights are the first ones; "" for none.
    """

    method: Method
    data: OwnData
    folder: Path
    seed: int = 0
    constraint: str = "none"
    steps: int | None = None
    start: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = False

    def plan(self) -> dict[str, Any]:
        """What decides the result, beside the data."""
        return {"method": self.method.name, "constraint": self.constraint, "seed": self.seed, "steps": self.steps,
                "start": self.start}  # fmt: skip


@dataclass
class Trained:
    """What came out.

    Attributes
    ----------
    model : the method, ready to be used.
    stages : name -> history of the training, a list of dictionaries; empty for what is fitted at once.
    settings : the numbers of the training.
    seconds : it took; 0 for what was there already.
    """

    model: Any
    stages: dict[str, list[dict]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
