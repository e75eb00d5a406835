"""What a student can do after the course: each outcome with the exercises that ask for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from physlab.course.points import WORTH, worth


@dataclass(frozen=True)
class Outcome:
    """A sentence that starts with a verb, the exercises that ask for it, and chapters whose others belong to it."""

    key: str
    sentence: str
    exercises: tuple[str, ...]
    chapters: tuple[str, ...] = ()


OUTCOMES = (
    Outcome(
        "operators",
        "Make a coarse field that keeps what the fine one has, and say what is lost",
        ("coarsen", "global-mean", "block-mean", "predict-lost-variance", "ex-variance", "pixel-shuffle"),
        ("preface",),
    ),
    Outcome(
        "balances",
        "Check a law of the atmosphere on data, in units, against the residual of the truth",
        (
            "thickness", "water-budget", "geostrophic-wind", "middle-frame", "advection-residual", "relative-residual",
            "surface-balance", "least-residual", "predict-residual",
        ),
        ("atmosphere", "sequences"),
    ),
    Outcome(
        "training",
        "Train a network in a loop of one's own, and stop before it learns by heart",
        ("convolve", "training-loop", "early-stopping", "chain-rule", "adam-step", "mend-the-scaling"),
        ("training",),
    ),
    Outcome(
        "networks",
        "Say what a network can see, how large it is, and what its loss prefers",
        ("receptive-field", "weighted-optimum", "parameter-count", "generator-loss", "mend-the-skip"),
        ("cnn", "dataflow", "attention"),
    ),
    Outcome(
        "constraints",
        "Build a layer that conserves by construction, and tell it from a penalty that does not",
        ("positive-layer", "weighted-projection", "mend-the-ratio", "offset", "mend-the-penalty"),
        ("conservation", "phydl"),
    ),
    Outcome(
        "baselines",
        "Put a claim beside the honest baseline, on a split without leakage",
        ("ridge-detail", "quantile-map", "inflation", "mend-the-split"),
        ("statistical",),
    ),
    Outcome(
        "ensembles",
        "Score an ensemble by CRPS, spread and ranks, and recognise one that is no ensemble",
        (
            "member-score", "spread-factor", "count-ranks", "staircase", "fair-crps", "mend-the-ensemble",
            "predict-crps-gain",
        ),
        ("probability", "gan"),
    ),
    Outcome(
        "evidence",
        "Tell a gain from chance, and a published number from what it can mean",
        ("predict-lucky", "predict-lottery", "more-than-chance", "broken-crps", "blind-score", "mend-the-loss"),
        ("results",),
    ),
    Outcome(
        "assimilation",
        "Combine a background with observations by their errors, and test the code that does it",
        ("kalman-gain", "adjoint", "any-weight", "mend-the-filter", "predict-neighbour", "predict-sampling"),
        ("assimilation", "kalman"),
    ),
    Outcome(
        "diffusion",
        "Write a denoiser's loss, a sampler and its guidance, and check them where everything is Gaussian",
        ("denoising-loss", "tweedie", "heun", "guided-mean", "clean-from-velocity", "mend-the-ancestor"),
        ("diffusion", "phyda", "latent"),
    ),
)  # fmt: skip
"""Every exercise belongs to one outcome: the one that names it, otherwise the one that names its chapter."""


def outcome_of(exercise: str, chapter: str) -> Outcome:
    """The outcome of one exercise."""
    for outcome in OUTCOMES:
        if exercise in outcome.exercises:
            return outcome
    return next((o for o in OUTCOMES if chapter in o.chapters), OUTCOMES[0])


def outcomes_table(chapters: Sequence[str]) -> str:
    """CSV of outcome, sentence, chapter, exercise, points: what of a course shows that an outcome was reached."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["outcome", "sentence", "chapter", "exercise", "points"])
    for outcome in OUTCOMES:
        for chapter in chapters:
            for name in WORTH.get(chapter, {}):
                if outcome_of(name, chapter) is outcome:
                    rows.writerow([outcome.key, outcome.sentence, chapter, name, worth(name).points])
    return out.getvalue()
