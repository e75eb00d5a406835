"""What each exercise is worth: points, minutes and difficulty, in this one place; and how open tasks are judged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Worth:
    """Points, minutes that it is expected to take, and difficulty ("easy", "medium" or "hard")."""

    points: int
    minutes: int
    difficulty: str


WORTH: dict[str, dict[str, Worth]] = {
    "preface": {
        "coarsen": Worth(3, 30, "medium"),
        "global-mean": Worth(2, 20, "easy"),
        "predict-order": Worth(1, 10, "easy"),
        "log-rain": Worth(3, 25, "medium"),
        "ex-variance": Worth(4, 30, "medium"),
        "ex-own": Worth(6, 90, "hard"),
    },
    "atmosphere": {
        "predict-doubling": Worth(1, 10, "easy"),
        "predict-lost-variance": Worth(1, 10, "easy"),
        "thickness": Worth(3, 30, "medium"),
        "water-budget": Worth(3, 30, "medium"),
        "geostrophic-wind": Worth(3, 30, "medium"),
        "spectral-slope": Worth(3, 25, "medium"),
        "ex-own-law": Worth(6, 90, "hard"),
    },
    "training": {
        "predict-rate": Worth(1, 10, "easy"),
        "predict-lucky": Worth(1, 10, "easy"),
        "convolve": Worth(3, 30, "medium"),
        "training-loop": Worth(4, 40, "medium"),
        "early-stopping": Worth(2, 20, "easy"),
        "chain-rule": Worth(4, 45, "hard"),
        "mend-the-scaling": Worth(3, 25, "medium"),
        "ex-training-open": Worth(6, 90, "hard"),
    },
    "dataflow": {
        "back-through-skip": Worth(2, 20, "easy"),
    },
    "probability": {
        "predict-base-rate": Worth(1, 10, "easy"),
        "predict-outside": Worth(1, 10, "easy"),
        "gaussian-loss": Worth(2, 20, "easy"),
        "count-ranks": Worth(3, 30, "medium"),
        "staircase": Worth(3, 30, "medium"),
        "divergence-of-bells": Worth(4, 45, "hard"),
        "mend-the-bound": Worth(3, 30, "medium"),
        "ex-probability-open": Worth(6, 90, "hard"),
    },
    "conservation": {
        "predict-sign": Worth(1, 10, "easy"),
        "predict-afterwards": Worth(1, 10, "easy"),
        "block-mean": Worth(3, 30, "medium"),
        "positive-layer": Worth(3, 30, "medium"),
        "weighted-projection": Worth(4, 45, "hard"),
        "mend-the-ratio": Worth(3, 25, "medium"),
        "offset": Worth(1, 10, "easy"),
        "ex-relaxed": Worth(6, 90, "hard"),
    },
    "statistical": {
        "predict-conserves": Worth(1, 10, "easy"),
        "predict-smooth": Worth(1, 10, "easy"),
        "ridge-detail": Worth(4, 45, "hard"),
        "quantile-map": Worth(3, 30, "medium"),
        "inflation": Worth(3, 30, "medium"),
        "mend-the-split": Worth(3, 25, "medium"),
        "ex-generator": Worth(6, 90, "hard"),
    },
    "cnn": {
        "predict-where": Worth(1, 10, "easy"),
        "predict-peaks": Worth(1, 10, "easy"),
        "pixel-shuffle": Worth(3, 30, "medium"),
        "receptive-field": Worth(3, 30, "medium"),
        "weighted-optimum": Worth(3, 30, "medium"),
        "mend-the-skip": Worth(3, 25, "medium"),
        "ex-cnn-budget": Worth(6, 90, "hard"),
    },
    "gan": {
        "predict-member": Worth(1, 10, "easy"),
        "predict-mean-power": Worth(1, 10, "easy"),
        "member-score": Worth(3, 30, "medium"),
        "generator-loss": Worth(3, 30, "medium"),
        "spread-factor": Worth(3, 30, "medium"),
        "mend-the-ensemble": Worth(4, 40, "hard"),
        "ex-texture": Worth(6, 90, "hard"),
    },
    "sequences": {
        "predict-ghosts": Worth(1, 10, "easy"),
        "predict-gate": Worth(1, 10, "easy"),
        "middle-frame": Worth(3, 30, "medium"),
        "gated-step": Worth(3, 30, "medium"),
        "middle-bend": Worth(3, 30, "medium"),
        "mend-the-residual": Worth(4, 40, "hard"),
        "ex-sequences-open": Worth(6, 90, "hard"),
    },
    "results": {
        "predict-lottery": Worth(1, 10, "easy"),
        "predict-residual": Worth(1, 10, "easy"),
        "fair-crps": Worth(4, 45, "hard"),
        "more-than-chance": Worth(4, 45, "hard"),
        "broken-crps": Worth(4, 45, "hard"),
        "mend-the-loss": Worth(4, 40, "hard"),
        "ex-results-open": Worth(6, 90, "hard"),
    },
    "attention": {
        "attention": Worth(3, 20, "medium"),
    },
    "phydl": {
        "predict-absorbed": Worth(1, 10, "easy"),
        "predict-frame": Worth(1, 10, "easy"),
        "second-derivative": Worth(3, 30, "medium"),
        "advection-residual": Worth(2, 20, "easy"),
        "parameter-count": Worth(3, 30, "medium"),
        "mend-the-penalty": Worth(3, 25, "medium"),
        "ex-lift": Worth(6, 90, "hard"),
    },
    "kalman": {
        "predict-neighbour": Worth(1, 10, "easy"),
        "predict-steady": Worth(1, 10, "easy"),
        "kalman-gain": Worth(3, 30, "medium"),
        "one-observation": Worth(3, 30, "medium"),
        "kalman-cycle": Worth(3, 30, "medium"),
        "any-weight": Worth(2, 20, "easy"),
        "mend-the-correlation": Worth(3, 25, "medium"),
        "ex-kalman-open": Worth(6, 90, "hard"),
    },
    "assimilation": {
        "predict-sampling": Worth(1, 10, "easy"),
        "predict-rank": Worth(1, 10, "easy"),
        "localised-gain": Worth(3, 30, "medium"),
        "adjoint": Worth(3, 30, "medium"),
        "window-gradient": Worth(4, 45, "hard"),
        "mend-the-filter": Worth(4, 40, "hard"),
        "ex-hybrid": Worth(6, 90, "hard"),
    },
    "diffusion": {
        "predict-half": Worth(1, 10, "easy"),
        "predict-steps": Worth(1, 10, "easy"),
        "denoising-loss": Worth(2, 20, "easy"),
        "tweedie": Worth(2, 20, "easy"),
        "heun": Worth(4, 40, "medium"),
        "two-points": Worth(3, 30, "medium"),
        "mend-the-ancestor": Worth(4, 40, "hard"),
        "ex-diffusion-open": Worth(6, 90, "hard"),
    },
    "phyda": {
        "predict-kept": Worth(1, 10, "easy"),
        "predict-eight": Worth(1, 10, "easy"),
        "guided-mean": Worth(4, 45, "hard"),
        "relative-residual": Worth(3, 30, "medium"),
        "jensen-gap": Worth(3, 30, "medium"),
        "mend-the-spectrum": Worth(3, 25, "medium"),
        "blind-score": Worth(4, 40, "hard"),
        "ex-both": Worth(6, 90, "hard"),
    },
    "latent": {
        "predict-smooth-residual": Worth(1, 10, "easy"),
        "predict-crps-gain": Worth(1, 10, "easy"),
        "clean-from-velocity": Worth(3, 30, "medium"),
        "surface-balance": Worth(4, 45, "hard"),
        "adam-step": Worth(3, 30, "medium"),
        "mend-the-decoding": Worth(4, 40, "hard"),
        "least-residual": Worth(4, 40, "hard"),
        "ex-law": Worth(6, 90, "hard"),
    },
}
"""Chapter -> name of an exercise, or label of a task that a person grades -> what it is worth; as the book has them."""

RUBRIC = (
    ("Claim", "one sentence that could turn out to be wrong, with the quantity and the units in it", 0.2),
    (
        "Experiment",
        "the code runs as it stands; what is compared differs in one thing; the baseline is named",
        0.3,
    ),
    ("Evidence", "a table or a figure with units, and its scatter over cases or seeds", 0.3),
    ("Limits", "what the result does not show, and which law or which data would have to change for it to fail", 0.2),
)
"""Criterion, what full marks ask for, and its share of the points."""


def worth(name: str) -> Worth:
    """What an exercise is worth; one that is not in the table, as of a course of your own, counts one point."""
    for chapter in WORTH.values():
        if name in chapter:
            return chapter[name]
    return Worth(1, 15, "medium")
