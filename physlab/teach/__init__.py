"""Teaching: exercises that grade themselves by physics, the running case, and what the chapters show.

>>> from physlab.teach import check
>>> check("block-mean", my_layer)
"""

from __future__ import annotations

from physlab.teach.answers import Answers, Submission, answer, answers, load_answers
from physlab.teach.case import Storm, find_storm, thin
from physlab.teach.check import Exercise, Verdict, check, exercises
from physlab.teach.methods import draw_method
from physlab.teach.show import explorer_link, explorer_url, say, slider, table, with_spread

__all__ = [
    "Answers",
    "Exercise",
    "Storm",
    "Submission",
    "Verdict",
    "answer",
    "answers",
    "check",
    "draw_method",
    "exercises",
    "explorer_link",
    "explorer_url",
    "find_storm",
    "load_answers",
    "say",
    "slider",
    "table",
    "thin",
    "with_spread",
]
