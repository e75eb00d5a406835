"""``physlab course build``, ``grade``, ``compare`` and ``slides``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, subcommand


@dataclass
class Build:
    """Make a course from the book: assignments in four editions, points, rubric, outcomes, syllabi, projects."""

    output: Positional[Path]
    """A new folder."""
    chapters: tuple[str, ...] = ()
    """Chapters; all by default."""
    book: Path | None = None
    """The folder `book` of a checkout; by default that of this installation, if it has one."""


@dataclass
class Grade:
    """Grade a folder of submissions, each in a process of its own without network: gradebooks, feedback, scores."""

    folder: Positional[Path]
    """One folder or one .ipynb file for each student; nothing in it is changed."""
    output: Positional[Path]
    """A new folder, or that of an interrupted call, which is continued."""
    chapters: tuple[str, ...] = ()
    """Chapters; by default those that the notebooks name."""
    seed: int | None = None
    """Seed of the inputs; by default drawn once and kept in the output."""
    workers: int = 2
    """Submissions at a time."""
    seconds: float = 60.0
    """Time that each notebook may take."""
    memory: int = 2048
    """MB of memory that each notebook may take."""


@dataclass
class Compare:
    """Show which submissions resemble each other: pairs ranked, code side by side, by the program compare50."""

    folder: Positional[Path]
    """One folder or one .ipynb file for each student; nothing in it is changed."""
    output: Positional[Path]
    """A new folder: gets a page for each chapter."""
    chapters: tuple[str, ...] = ()
    """Chapters; by default those that the notebooks name."""
    most: int = 50
    """Pairs that are shown."""
    book: Path | None = None
    """The folder `book` of a checkout: what it gave to everybody is not compared."""


@dataclass
class Slides:
    """Make a deck of slides for each chapter, from the figures of the book; nothing is loaded from outside."""

    output: Positional[Path]
    """A new folder, or one of an earlier call."""
    chapters: tuple[str, ...] = ()
    """Chapters; all by default. One that `make book` has not computed is computed now, which takes minutes."""
    book: Path | None = None
    """The folder `book` of a checkout; by default that of this installation, if it has one."""


def course(
    do: OmitArgPrefixes[
        Annotated[Build, subcommand("build", prefix_name=False)]
        | Annotated[Grade, subcommand("grade", prefix_name=False)]
        | Annotated[Compare, subcommand("compare", prefix_name=False)]
        | Annotated[Slides, subcommand("slides", prefix_name=False)]
    ],
) -> None:
    """A course from the book: assignments, their grading, similar submissions, slides.

    Args:
        do: build, grade, compare or slides.
    """

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if isinstance(do, Build):
        from physlab.course.assignments import build

        print(build(do.output, do.chapters, do.book))
        return
    if isinstance(do, Compare):
        from physlab.course.similar import compare

        print(*compare(do.folder, do.output, do.chapters, do.most, do.book), sep="\n")
        return
    if isinstance(do, Slides):
        from physlab.course.slides import slides

        print(slides(do.output, do.chapters, do.book, progress))
        return
    from physlab.course.grading import grade
    from physlab.course.proxy import Limits

    limits = Limits(do.seconds, max(1, int(do.seconds)), do.memory << 20)
    print(grade(do.folder, do.output, do.chapters, do.seed, do.workers, limits, progress))
