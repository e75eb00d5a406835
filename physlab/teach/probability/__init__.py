"""The chapter on probability: Bayes on counts, bells, divergences, a bound, scores of ensembles, and calibration."""

from __future__ import annotations

from physlab.teach.probability import exercises
from physlab.teach.probability.analysis import (
    Bound,
    bell,
    by_claim,
    chances,
    crps_integral,
    divergence,
    ensembles,
    fit_bell,
    ranks,
    two_humps,
)
from physlab.teach.probability.figures import (
    draw_bayes,
    draw_bound,
    draw_claims,
    draw_crps,
    draw_divergence,
    draw_errors,
    draw_ideas,
    draw_ranks,
)
