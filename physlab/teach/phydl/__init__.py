"""The chapter on PhyDL: one moment from points, forces of the water, forecasts, and the exercises."""

from __future__ import annotations

from physlab.teach.phydl.analysis import (
    NAMES,
    against_truth,
    find_terms,
    fit_blobs,
    forces,
    held_out_spectra,
    spoiled_winds,
    water,
)
from physlab.teach.phydl.exercises import published_penalty
from physlab.teach.phydl.figures import draw_moment, draw_ratios
