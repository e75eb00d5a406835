"""Diffusion: a prior for fields, learned from examples, that draws new ones and meets observations.

The nouns of the theory are the modules: the noise (`noise`), what undoes it (`denoise`; `gaussian` in closed form), the
way back (`sample`, `multistep`), and observations on the way (`observe`, `guide`).

>>> denoiser = Denoiser(UNet(1, 1, level=True), NoiseSchedule("cosine"))
>>> loss = denoiser.loss(fields)                                                   # (B, 1, H, W), standardised
>>> draws = Heun(denoiser, steps=32)((8, 1, 64, 64), generator)
>>> analysis = Heun(MMPS(denoiser, y, A, R), steps=64)((8, 1, 64, 64), generator)  # A: matrix or function
"""

from __future__ import annotations

from physlab.diffusion.average import Average
from physlab.diffusion.denoise import PARAMETERISATIONS, Denoiser, PosteriorMean
from physlab.diffusion.gaussian import GaussianDenoiser, SpectralDenoiser
from physlab.diffusion.guide import DPS, GUIDES, MMPS, SDA, Guided, PiGDM
from physlab.diffusion.krylov import solve_shifted
from physlab.diffusion.multistep import AdamsBashforth
from physlab.diffusion.noise import KINDS, QUANTITIES, NoiseSchedule
from physlab.diffusion.observe import Observation
from physlab.diffusion.sample import DDIM, DDPM, GRIDS, Euler, Heun, PredictorCorrector, Sampler
from physlab.diffusion.steps import steps_by_spread
from physlab.errors import Cancelled

__all__ = [
    "DDIM",
    "DDPM",
    "DPS",
    "GRIDS",
    "GUIDES",
    "KINDS",
    "MMPS",
    "PARAMETERISATIONS",
    "QUANTITIES",
    "SDA",
    "AdamsBashforth",
    "Average",
    "Cancelled",
    "Denoiser",
    "Euler",
    "GaussianDenoiser",
    "Guided",
    "Heun",
    "NoiseSchedule",
    "Observation",
    "PiGDM",
    "PosteriorMean",
    "PredictorCorrector",
    "Sampler",
    "SpectralDenoiser",
    "solve_shifted",
    "steps_by_spread",
]
