"""The chapter on diffusion: noise, the posterior mean, samplers in ten lines, guidance, a ring and a small field."""

from __future__ import annotations

from physlab.teach.diffusion import exercises
from physlab.teach.diffusion.analysis import (
    RING,
    TWO,
    Guide,
    Mixture,
    ancestral,
    by_steps,
    euler,
    guided,
    heun,
    levels,
    off_ring,
    orders,
    posterior,
)
from physlab.teach.diffusion.fields import Patches, draw_fields, draw_power, gaussian, kurtosis
from physlab.teach.diffusion.figures import (
    draw_denoiser,
    draw_guides,
    draw_method,
    draw_noising,
    draw_orders,
    draw_paths,
    draw_ring,
    draw_score,
)
from physlab.teach.diffusion.networks import Guess, learn
