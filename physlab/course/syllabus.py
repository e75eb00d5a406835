"""Syllabi: which chapters in which week or session, with minutes and points that come from the book itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from physlab.course.outcomes import OUTCOMES, outcome_of
from physlab.course.points import WORTH, worth
from physlab.course.source import chapters, tasks
from physlab.errors import PhysLabError

_TIME = re.compile(r"\*\*Time\*\*:\s*(\d+)\s+minutes\s+to\s+read")
_TITLE = re.compile(r"^# (.+)$", flags=re.M)


@dataclass(frozen=True)
class Plan:
    """A course: weeks, each a theme and chapters whose graded exercises are due."""

    title: str
    about: str
    weeks: tuple[tuple[str, tuple[str, ...]], ...]
    complete: bool = False
    """Whether every chapter belongs to it: a new one then joins the week of the chapter before it."""


@dataclass(frozen=True)
class Meeting:
    """A part of a workshop: day, start, minutes, what is done, its chapter, and exercises solved in the room."""

    day: int
    start: str
    minutes: int
    what: str
    chapter: str = ""
    exercises: tuple[str, ...] = ()


PLANS = {
    "6-weeks": Plan(
        "Six weeks: physics in deep learning for the weather",
        "For students who program; half of the chapters, the others are for the curious.",
        (
            ("What a coarse field keeps, and which laws the truth obeys", ("preface", "atmosphere")),
            ("A network, and the loop that trains it", ("training", "cnn")),
            ("Laws built in, and what needs no network", ("conservation", "statistical")),
            ("Distributions, and how to read a table", ("probability", "results")),
            ("From observations to a state", ("kalman", "assimilation")),
            ("A sampler of one's own", ("diffusion", "phyda")),
        ),
    ),
    "12-weeks": Plan(
        "Twelve weeks: the whole book",
        "A chapter or two each week, and a project from week 8 on.",
        (
            ("What a coarse field keeps, and which laws the truth obeys", ("preface", "atmosphere")),
            ("A network, and the loop that trains it", ("training",)),
            ("Distributions and scores", ("probability",)),
            ("Laws built in", ("conservation",)),
            ("What needs no network", ("statistical",)),
            ("Networks for downscaling", ("cnn",)),
            ("Adversaries, members and time", ("gan",)),
            ("How to read a table", ("results",)),
            ("Equations in the loss", ("phydl",)),
            ("From observations to a state", ("assimilation",)),
            ("A sampler of one's own", ("diffusion",)),
            ("Diffusion for analyses and for terrain", ("phyda", "latent")),
        ),
        complete=True,
    ),
}

WORKSHOP = (
    Meeting(
        1, "09:00", 60, "The lab: data, block means, three ways to refine without learning", "preface",
        ("predict-order", "coarsen"),
    ),
    Meeting(
        1, "10:15", 75, "Which laws does the truth obey?", "atmosphere",
        ("predict-doubling", "predict-lost-variance", "geostrophic-wind"),
    ),
    Meeting(1, "13:00", 90, "A network by hand", "training", ("predict-rate", "training-loop")),
    Meeting(
        1, "14:45", 90, "Layers that conserve", "conservation", ("predict-sign", "predict-afterwards", "block-mean")
    ),
    Meeting(1, "16:30", 30, "The explorer: each group looks for a method that is wrong in an interesting way"),
    Meeting(
        2, "09:00", 75, "Members, spread and scores", "probability",
        ("predict-base-rate", "predict-outside", "count-ranks"),
    ),
    Meeting(
        2, "10:30", 75, "One observation, and what it knows of its neighbours", "kalman",
        ("predict-neighbour", "kalman-gain"),
    ),
    Meeting(2, "13:00", 90, "A sampler that you write", "diffusion", ("predict-half", "tweedie", "heun")),
    Meeting(2, "14:45", 75, "Ten questions for a table", "results", ("predict-lottery", "predict-residual")),
    Meeting(2, "16:15", 45, "Groups choose a project, and write its claim in one sentence that could be wrong"),
)  # fmt: skip


def reading(chapter: str, book: Path) -> int:
    """Minutes to read a chapter, as its head says."""
    found = _TIME.search((book / f"{chapter}.md").read_text(encoding="utf-8"))
    if found is None:
        raise PhysLabError(f"the head of {chapter}.md must say '**Time**: N minutes to read'")
    return int(found[1])


def title(chapter: str, book: Path) -> str:
    """The first heading of a chapter."""
    found = _TITLE.search((book / f"{chapter}.md").read_text(encoding="utf-8"))
    return found[1].strip() if found else chapter


def weeks(plan: Plan, book: Path) -> list[tuple[str, list[str]]]:
    """The weeks of a plan; one that is complete takes up chapters that it does not name."""
    found = [(theme, list(names)) for theme, names in plan.weeks]
    known = chapters(book)
    for k, name in enumerate(known):
        if plan.complete and not any(name in names for _, names in found):
            before = known[k - 1] if k else ""
            week = next((names for _, names in found if before in names), found[0][1])
            week.insert(week.index(before) + 1 if before in week else 0, name)
    return found


def _load(names: Sequence[str], book: Path) -> tuple[int, int, int, list[str]]:
    """Minutes to read, minutes and points of the graded exercises, and their names, of some chapters."""
    graded = [task.key for name in names for task in tasks(name, book) if task.graded]
    read = sum(reading(name, book) for name in names)
    return read, sum(worth(k).minutes for k in graded), sum(worth(k).points for k in graded), graded


def _outcomes(names: Sequence[str], exercises: Sequence[str]) -> list[str]:
    lines = ["## What you can do afterwards\n", "| outcome | shown by | points |\n|---|---|---|"]
    for outcome in OUTCOMES:
        mine = [k for c in names for k in WORTH[c] if k in exercises and outcome_of(k, c) is outcome]
        if mine:
            lines.append(f"| {outcome.sentence} | {', '.join(mine)} | {sum(worth(k).points for k in mine)} |")
    return [*lines, ""]


def syllabus(plan: Plan, book: Path) -> str:
    """Markdown of a course by weeks."""
    lines = [
        f"# {plan.title}\n",
        plan.about + "\n",
        "| week | theme | chapters | reading (min) | exercises (min) | points |",
    ]
    lines.append("|---|---|---|---|---|---|")
    named: list[str] = []
    due: list[str] = []
    total = 0
    for k, (theme, names) in enumerate(weeks(plan, book), 1):
        read, work, points, graded = _load(names, book)
        listed = "; ".join(title(name, book) for name in names)
        lines.append(f"| {k} | {theme} | {listed} | {read} | {work} | {points} |")
        named, due, total = [*named, *names], [*due, *graded], total + points
    hours = sum(reading(c, book) for c in named) + sum(worth(k).minutes for k in due)
    lines.append(
        f"\n{total} points are graded by `physlab course grade`, {round(hours / 60)} hours in all. Open tasks "
        "(`rubric.md`, 6 points and 90 minutes each) and projects (`projects.md`) come on top, as you choose.\n"
    )
    lines += ["## Due each week\n"]
    for k, (_, names) in enumerate(weeks(plan, book), 1):
        graded = [f"{key} ({worth(key).points})" for key in _load(names, book)[3]]
        lines.append(f"{k}. `{'.ipynb`, `'.join(names)}.ipynb`: {', '.join(graded)}")
    return "\n".join([*lines, "", *_outcomes(named, due)])


def workshop(book: Path) -> str:
    """Markdown of the workshop of two days."""
    lines = [
        "# Two days: physics in deep learning for the weather\n",
        "Everything runs without the network, on laptops.\n",
    ]
    for day in sorted({m.day for m in WORKSHOP}):
        lines += [f"## Day {day}\n", "| from | minutes | what | chapter | solved in the room |\n|---|---|---|---|---|"]
        for m in WORKSHOP:
            if m.day == day:
                place = title(m.chapter, book) if m.chapter else ""
                lines.append(f"| {m.start} | {m.minutes} | {m.what} | {place} | {', '.join(m.exercises)} |")
        lines.append("")
    solved = [k for m in WORKSHOP for k in m.exercises]
    return "\n".join([*lines, *_outcomes([m.chapter for m in WORKSHOP if m.chapter], solved)])
