"""Right and known-wrong answers of the page, for tests and instructors: never installed."""

from __future__ import annotations

from physlab.teach.answers import Submission, answer

answer(
    "back-through-skip",
    lambda slope, through: slope + through(slope),
    Submission("forgets the skip", lambda slope, through: through(slope), "through f alone"),
    Submission("forgets f", lambda slope, through: 1.0 * slope, "round f alone"),
    Submission("takes the mean", lambda slope, through: 0.5 * (slope + through(slope)), "nobody divides"),
    Submission("multiplies", lambda slope, through: slope * through(slope), "slopes that come back are added"),
)
