"""The chapter on statistical downscaling: methods compared, a split that leaks, rain, and the exercises."""

from __future__ import annotations

from physlab.teach.statistical import exercises
from physlab.teach.statistical.analysis import (
    compare,
    fit_all,
    interpolations,
    leak,
    log_mean,
    rain_members,
    rain_pairs,
    rain_table,
)
