"""The running mean of the weights, from which a diffusion model is sampled.

A single step of the optimiser moves a denoiser at one noise level and not at another, so that the last weights are
worse than their mean (Karras et al. 2024, arXiv 2312.02696). The decay grows as (1 + n) / (10 + n) with the number n
of updates, so that the first random weights are soon forgotten.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from physlab.errors import PhysLabError


class Average:
    """Exponential moving average of a module.

    Parameters
    ----------
    module : what is trained; it is copied.
    decay : largest decay, in [0, 1).

    Attributes
    ----------
    module : the averaged copy, without gradients: sample from this.
    updates : number of updates so far.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise PhysLabError(f"decay is {decay}: pass a number from 0 to below 1, for example 0.999")
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay, self.updates = float(decay), 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """mean <- decay * mean + (1 - decay) * module; buffers are copied."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, parameter in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.lerp_(parameter, 1.0 - decay)
        for kept, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(buffer)
