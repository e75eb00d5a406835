"""Assignments from the one source of the book: per chapter a light notebook in three editions, points and rubrics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physlab.course.outcomes import outcomes_table
from physlab.course.points import RUBRIC, worth
from physlab.course.projects import projects_page
from physlab.course.source import Task, book_module, prepared, reference, tasks
from physlab.course.syllabus import PLANS, syllabus, workshop
from physlab.teach.answers import load_answers
from physlab.teach.check import exercises

EDITIONS = ("student", "solution", "instructor", "nbgrader")
NBGRADER = """\
# A course folder of nbgrader: `nbgrader generate_assignment CHAPTER` here, then hand out what lies in release/CHAPTER.
# nbgrader runs `check` where the students' code runs; `physlab course grade` takes the same notebooks.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "physlab"
c.ExecutePreprocessor.timeout = 300  # seconds of a cell; the first one imports torch
"""
SETUP = """\
import math

import numpy as np
import torch
from torch.nn import functional

from physlab.grid import coarsen, refine
from physlab.teach import check"""
NOTE = (
    "Give each variable below its answer, and leave its name as it is. The cell after it says at once what is right or "
    "wrong; points are counted later, from other inputs. Nothing here needs the other cells of the chapter."
)


def _cell(kind: str, source: str, name: str, nbgrader: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name[:64], "metadata": dict(metadata), "source": source}
    if nbgrader is not None:
        cell["metadata"]["nbgrader"] = {"schema_version": 3, "cell_type": kind, **nbgrader}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def _flags(name: str, grade: bool, solution: bool, points: int | None = None) -> dict[str, Any]:
    """nbgrader's metadata of one cell: points belong to cells that are graded, a test is locked, an answer is not."""
    flags = {"grade": grade, "solution": solution, "locked": not solution, "task": False, "grade_id": name}
    return flags | ({"points": points} if points is not None else {})


def _answered(task: Task, book: Path, edition: str) -> str:
    asks = exercises()[task.key].asks
    head = f"# {task.key}: {asks}"
    lines, line = [], ""
    for word in head.split():
        if len(line) + len(word) > 110:
            lines.append(line)
            line = "#  "
        line = f"{line} {word}".strip() if not line.startswith("#  ") else f"{line} {word}"
    head = "\n".join([*lines, line])
    if edition == "student":
        return f"{head}\n{task.variable} = ..."
    code = reference(task, book)
    if edition == "nbgrader":
        code = f"### BEGIN SOLUTION\n{code}\n### END SOLUTION"
    return f"{head}\n{code}"


def notebook(chapter: str, edition: str, book: Path) -> dict[str, Any]:
    """One edition of the assignment of a chapter, as the content of an .ipynb file (format 4.5)."""
    cells = [
        _cell("markdown", f"# Assignment: {chapter}\n\n{NOTE}", "title"),
        _cell("code", book_module(book).COLAB, "colab", _flags("colab", False, False)),
        _cell("code", SETUP, "setup", _flags("setup", False, False)),
    ]
    for task in tasks(chapter, book):
        value = worth(task.key)
        about = f"*{value.points} point{'s' * (value.points > 1)}, about {value.minutes} minutes, {value.difficulty}*"
        cells.append(_cell("markdown", f"## {task.title}\n\n{about}\n\n{task.statement}", f"text-{task.key}"))
        if not task.graded:
            said = (
                edition in ("solution", "instructor") and task.words
            ) or "*Your answer, with code in cells below if you need it.*"
            flags = _flags(f"open-{task.key}", True, True, value.points)
            cells.append(
                _cell(
                    "markdown",
                    said,
                    f"open-{task.key}",
                    flags,
                )
            )
            continue
        answer = _answered(task, book, edition)
        cells.append(_cell("code", answer, f"answer-{task.key}", _flags(f"answer-{task.key}", False, True)))
        test = f'verdict = check("{task.key}", {task.variable})\nassert verdict, verdict.message\nprint(verdict)'
        cells.append(_cell("code", test, f"test-{task.key}", _flags(f"test-{task.key}", True, False, value.points)))
        if edition in ("solution", "instructor") and task.words:
            cells.append(_cell("markdown", f"**Why.** {task.words}", f"why-{task.key}"))
        if edition == "instructor":
            known = load_answers(book / "answers")[task.key].wrong
            listed = "\n".join(f'- {s.mistake}: the hint says "{s.hint}"' for s in known)
            cells.append(_cell("markdown", f"**Usual mistakes**\n\n{listed}", f"mistakes-{task.key}"))
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "physlab": {"chapter": chapter, "edition": edition},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def points_table(names: Sequence[str], book: Path) -> str:
    """CSV of chapter, exercise, title, who grades it, points, minutes, difficulty."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["chapter", "exercise", "title", "graded_by", "points", "minutes", "difficulty"])
    for chapter in names:
        for task in tasks(chapter, book):
            value = worth(task.key)
            by = "physlab course grade" if task.graded else "a person, by rubric.md"
            rows.writerow([chapter, task.key, task.title, by, value.points, value.minutes, value.difficulty])
    return out.getvalue()


def rubric(names: Sequence[str], book: Path) -> str:
    """Markdown: the tasks that a person grades, with the points of each criterion."""
    parts = ["# Rubric of the open tasks\n"]
    for chapter in names:
        for task in tasks(chapter, book):
            if task.graded:
                continue
            value = worth(task.key)
            parts.append(f"## {chapter}: {task.title} ({value.points} points, about {value.minutes} minutes)\n")
            parts.append(task.statement + "\n")
            parts.append("| criterion | full marks | points |\n|---|---|---|")
            parts += [f"| {name} | {wanted} | {share * value.points:.1f} |" for name, wanted, share in RUBRIC]
            parts.append("")
    return "\n".join(parts) + "\n"


def build(output: str | Path, names: Sequence[str] = (), book: str | Path | None = None) -> Path:
    """Write the assignments.

    Parameters
    ----------
    output : str or Path
        A folder that is new, empty, or the output of an earlier build: `student`, `solution`, `instructor` with one
        notebook per chapter, `nbgrader` (a course folder for it), `points.csv`, `rubric.md`, `outcomes.csv`,
        `projects.md`, `syllabus-6-weeks.md`, `syllabus-12-weeks.md` and `workshop-2-days.md`.
    names : sequence of str
        Chapters; all by default.
    book : str or Path, optional
        The folder `book` of a checkout.

    Returns
    -------
    Path
        The folder.
    """
    source, out, chosen = prepared(output, names, book, "points.csv", "assignments")
    (out / "points.csv").write_text(points_table(chosen, source), encoding="utf-8")
    for edition in EDITIONS:
        for chapter in chosen:
            folder = out / "nbgrader" / "source" / chapter if edition == "nbgrader" else out / edition
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(notebook(chapter, edition, source), indent=1, ensure_ascii=False)
            (folder / f"{chapter}.ipynb").write_text(text + "\n", encoding="utf-8")
    (out / "nbgrader" / "nbgrader_config.py").write_text(NBGRADER, encoding="utf-8")
    pages = {
        "rubric.md": rubric(chosen, source),
        "outcomes.csv": outcomes_table(chosen),
        "projects.md": projects_page(),
    }
    pages |= {f"syllabus-{name}.md": syllabus(plan, source) for name, plan in PLANS.items()}
    pages["workshop-2-days.md"] = workshop(source)
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    return out
