"""``physlab course build`` and ``physlab course grade``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, subcommand


@dataclass
class Build:
    """Make assignments from the book: per chapter a notebook for students, one with solutions, one for instructors."""

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


def course(
    do: OmitArgPrefixes[
        Annotated[Build, subcommand("build", prefix_name=False)]
        | Annotated[Grade, subcommand("grade", prefix_name=False)]
    ],
) -> None:
    """Assignments from the book, and their grading.

    Args:
        do: build or grade.
    """
    if isinstance(do, Build):
        from physlab.course.assignments import build

        print(build(do.output, do.chapters, do.book))
        return
    from physlab.course.grading import grade
    from physlab.course.proxy import Limits

    limits = Limits(do.seconds, max(1, int(do.seconds)), do.memory << 20)

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(grade(do.folder, do.output, do.chapters, do.seed, do.workers, limits, progress))
