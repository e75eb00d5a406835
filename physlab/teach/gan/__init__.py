"""The chapter on GANs: what errors pay for, a game by hand, ensembles; and what the chapter on sequences computes."""

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
from physlab.teach.gan.byhand import draw_scores, draw_state, fair, little, possible, slope_penalty
from physlab.teach.gan.exercises import ten_copies
from physlab.teach.gan.figures import draw_filament, draw_ranks
from physlab.teach.gan.showers import RAIN, draw_showers
