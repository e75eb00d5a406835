"""Gradebooks as Moodle and Canvas import them.

Moodle (Grades > Import > CSV file): the column `Username` finds the student, each further column is a grade item, and
one that ends in "(feedback)" is mapped to the feedback of its item.

Canvas (Grades > Import): the columns Student, ID, SIS User ID, SIS Login ID and Section find the student, `SIS Login
ID` is filled; the second row holds the points possible.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from physlab.course.points import worth

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def text(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    clean = " ".join(str(value).split())
    return "'" + clean if clean[:1] in ("=", "+", "-", "@") else clean


def _points(result: dict[str, Any], chapter: str) -> int:
    return sum(e["points"] for c in result["chapters"] if c["chapter"] == chapter for e in c["exercises"])


def most(chapter: str, results: Sequence[dict[str, Any]]) -> int:
    """The points of a chapter that are counted without a person."""
    for result in results:
        for part in result["chapters"]:
            if part["chapter"] == chapter:
                return sum(worth(e["name"]).points for e in part["exercises"])
    return 0


def _comment(result: dict[str, Any], chapter: str) -> str:
    part = next(c for c in result["chapters"] if c["chapter"] == chapter)
    open_ = [e["name"] for e in part["exercises"] if not e["points"]]
    return "; ".join([*part["notes"][:3], *(["without points: " + ", ".join(open_)] if open_ else ["full marks"])])


def moodle(results: Sequence[dict[str, Any]], chapters: Sequence[str]) -> str:
    """CSV: Username, and for each chapter its points and a short feedback."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(["Username", *(f"PhysLab {c}{end}" for c in chapters for end in ("", " (feedback)"))])
    for result in results:
        cells = [x for c in chapters for x in (_points(result, c), text(_comment(result, c))[:1000])]
        rows.writerow([text(result["student"]), *cells])
    return out.getvalue()


def canvas(results: Sequence[dict[str, Any]], chapters: Sequence[str]) -> str:
    """CSV: the five columns of a student, a column for each chapter, and the points possible in the second row."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow([*CANVAS, *(f"PhysLab {c}" for c in chapters)])
    rows.writerow(["    Points Possible", "", "", "", "", *(most(c, results) for c in chapters)])
    for result in results:
        name = text(result["student"])
        rows.writerow([name, "", "", name, "", *(_points(result, c) for c in chapters)])
    return out.getvalue()
