"""The chapter on reading a results table: artefacts made again, and the exercises."""

from __future__ import annotations

from physlab.teach.results.artefacts import (
    broken_crps,
    copies_of_first,
    failed_normalisation,
    min_max,
    report_generator_loss,
    reported_psnr,
    restless,
    soft_gradients,
)
from physlab.teach.results.exercises import lottery_share
from physlab.teach.results.figures import draw_runs, draw_sizes
