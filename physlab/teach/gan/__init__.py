"""The chapter on GANs and time: ensembles, a missing hour, a judge that knows a law, and the exercises."""

from __future__ import annotations

from physlab.teach.gan.analysis import (
    calm_and_steep,
    crests,
    ensemble_scores,
    health,
    hourly_motion,
    missing_hour,
    moving_filament,
    two_outcomes,
)
from physlab.teach.gan.budget import closure, relative_residuals, rms
from physlab.teach.gan.exercises import ten_copies
from physlab.teach.gan.figures import draw_filament, draw_ranks
