"""Projects for groups of two or three, two to four weeks each: a question, a start, and what a good report knows."""

from __future__ import annotations

from dataclasses import dataclass

from physlab.course.points import RUBRIC

POINTS = 30
"""Points of a project; the criteria share them as those of an open task."""


@dataclass(frozen=True)
class Project:
    """Title, chapters that it builds on, question, first command, and the trap that a good report names."""

    title: str
    chapters: tuple[str, ...]
    question: str
    start: str
    trap: str


PROJECTS = (
    Project(
        "A region of one's own",
        ("statistical", "cnn"),
        "Does a network that was trained on the laboratory atmosphere help on real fields of your region, and does "
        "it when it is trained there?",
        "physlab train edsr FILE my-region --constraint mult",
        "bicubic with a constraint needs no training; a random split of hours leaks",
    ),
    Project(
        "The price of a law",
        ("conservation", "phydl"),
        "At which weight does a penalty cost more error than it removes residual, and does a hard layer pay the "
        "same price?",
        "physlab train tcw-x4 --constraint none add softmax",
        "the residual of the truth is not zero; three seeds for each row",
    ),
    Project(
        "An ensemble that is one",
        ("probability", "gan", "latent"),
        "How many distinct members does a sampler give, and is its spread as large as its error?",
        "physlab benchmark ensemble --data terrain",
        "ten copies of one member have a CRPS too; a flat rank histogram can hide errors that cancel",
    ),
    Project(
        "Few observations",
        ("assimilation", "phyda"),
        "How many columns does an analysis need before it beats its background, and what do the same methods say "
        "without any?",
        "physlab benchmark assimilation --data twin",
        "a learned method may bring climate and no observations: run its control",
    ),
    Project(
        "Stations in a refined field",
        ("assimilation", "latent"),
        "Do your stations improve a refined field where no station stands?",
        "physlab benchmark stations --data terrain",
        "leave stations out, and compare with kriging of the residuals",
    ),
    Project(
        "A published number",
        ("results",),
        "Take one table of a paper: which of its numbers can be checked from the others, and what do they imply?",
        "physlab benchmark downscaling --preset paper",
        "units, normalisation, and what one seed can hide",
    ),
    Project(
        "A sampler with fewer calls",
        ("diffusion", "phyda"),
        "What do half as many calls of the denoiser cost, in the distribution and not only in the mean?",
        "physlab benchmark ratios",
        "a mean can be right while the members are all alike",
    ),
    Project(
        "A climate model, adjusted",
        ("statistical",),
        "What does quantile mapping do to the trend and to the extremes of a model at your station?",
        "physlab benchmark climate",
        "what is fitted on a period must be judged on another",
    ),
)


def projects_page() -> str:
    """Markdown: the projects, and how they are graded."""
    parts = [
        "# Projects\n",
        f"Groups of two or three, two to four weeks, {POINTS} points: a report of four pages, the commands that "
        "remake each of its numbers, and ten minutes of questions.\n",
        "| criterion | full marks | points |\n|---|---|---|",
        *(f"| {name} | {wanted} | {share * POINTS:g} |" for name, wanted, share in RUBRIC),
        "\nA report whose method loses against its baseline, and says so with its scatter, gets full marks. One that "
        "claims a gain inside the scatter of its seeds gets none for *Evidence*.\n",
    ]
    for project in PROJECTS:
        parts += [
            f"## {project.title}\n",
            f"*Builds on: {', '.join(project.chapters)}.* {project.question}\n",
            f"Start: `{project.start}`\n",
            f"A good report knows: {project.trap}.\n",
        ]
    return "\n".join(parts)
