"""The chapter on one number, one observation and one cycle: Bayes on a line, two towns, a line of towns, a walk."""

from __future__ import annotations

from physlab.teach.kalman.exercises import box
from physlab.teach.kalman.figures import draw_bayes, draw_cycle, draw_line, draw_plane, draw_spreads, draw_steps
from physlab.teach.kalman.worlds import (
    HERE,
    along,
    bayes_by_hand,
    bell,
    by_length,
    cycle,
    plane,
    steady,
    thermometer,
    walk,
)
