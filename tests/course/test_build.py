"""Assignments from the one source: three editions, nbgrader's metadata, points, rubric; a student finds no answer."""

from __future__ import annotations

import ast
import csv
import json

import nbformat
import pytest

from physlab.course import build
from physlab.course.blocked import BLOCKED, targets
from physlab.course.points import WORTH
from physlab.course.source import book_folder, chapters, reference, tasks
from physlab.errors import PhysLabError
from physlab.teach import exercises, load_answers


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("course") / "assignments")


def cells(built, edition, chapter):
    return json.loads((built / edition / f"{chapter}.ipynb").read_text())["cells"]


def test_points_table_knows_every_exercise_once():
    named = [name for chapter in WORTH.values() for name in chapter]
    assert len(named) == len(set(named))
    assert set(exercises()) <= set(named)
    book = book_folder()
    assert list(WORTH) == chapters(book)
    for chapter in WORTH:
        assert [task.key for task in tasks(chapter, book)] == list(WORTH[chapter])
    for chapter in WORTH.values():
        for value in chapter.values():
            assert value.points >= 1 and value.minutes >= 5 and value.difficulty in ("easy", "medium", "hard")


@pytest.mark.parametrize("edition", ["student", "solution", "instructor"])
@pytest.mark.parametrize("chapter", WORTH)
def test_notebooks_keep_the_rules_of_nbformat_and_nbgrader(built, edition, chapter):
    notebook = nbformat.read(built / edition / f"{chapter}.ipynb", as_version=4)
    nbformat.validate(notebook)
    seen = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
        flags = cell.metadata.get("nbgrader")
        if flags is None:
            continue
        # nbgrader's schema 3: what a cell must have, what may be in it, and which combinations mean something
        assert flags.schema_version == 3 and flags.cell_type == cell.cell_type
        assert set(flags) <= {
            "schema_version", "cell_type", "grade", "solution", "locked", "task", "grade_id", "points", "checksum",
        }  # fmt: skip
        assert all(isinstance(flags[key], bool) for key in ("grade", "solution", "locked", "task"))
        assert flags.grade_id not in seen and set(flags.grade_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        seen.add(flags.grade_id)
        assert ("points" in flags) == flags.grade
        assert not (flags.grade and flags.cell_type == "markdown") or flags.solution  # a person grades it
        assert flags.locked != flags.solution
    graded = {name for name in WORTH[chapter] if name in exercises()}
    assert {f"answer-{name}" for name in graded} | {f"test-{name}" for name in graded} <= seen


@pytest.mark.parametrize("chapter", WORTH)
def test_students_find_no_answer(built, chapter):
    book = book_folder()
    text = "\n".join(cell["source"] for cell in cells(built, "student", chapter))
    assert "BEGIN SOLUTION" not in text and "**Why.**" not in text and "Usual mistakes" not in text
    for task in tasks(chapter, book):
        if task.graded:
            assert f"{task.variable} = ..." in text
            right = reference(task, book).rsplit(" = ", 1)[-1]
            assert f"{task.variable} = {right}" not in text
            assert len(task.statement.split()) > 8 and "```{" not in task.statement and ":label:" not in task.statement
            assert task.statement.count("```") % 2 == 0


def test_instructors_find_answers_that_nbgrader_can_strip_and_the_usual_mistakes(built):
    for chapter in WORTH:
        for cell in cells(built, "instructor", chapter):
            flags = cell["metadata"].get("nbgrader", {})
            if flags.get("solution") and cell["cell_type"] == "code":
                assert cell["source"].count("### BEGIN SOLUTION") == cell["source"].count("### END SOLUTION") == 1
    text = "\n".join(cell["source"] for cell in cells(built, "instructor", "conservation"))
    assert all(s.mistake in text for s in load_answers()["block-mean"].wrong)


def test_points_and_rubric_are_written(built):
    rows = list(csv.DictReader((built / "points.csv").open()))
    assert [row["exercise"] for row in rows] == [name for chapter in WORTH.values() for name in chapter]
    assert sum(row["graded_by"] != "physlab course grade" for row in rows) >= len(WORTH)
    rubric = (built / "rubric.md").read_text()
    assert all(row["title"] in rubric for row in rows if row["graded_by"] != "physlab course grade")
    assert rubric.count("| Evidence |") == sum(row["graded_by"] != "physlab course grade" for row in rows)


def test_build_again_and_mistakes(built, tmp_path):
    assert build(built, ["preface"]) == built
    (tmp_path / "mine.txt").touch()
    with pytest.raises(PhysLabError, match="other files"):
        build(tmp_path)
    with pytest.raises(PhysLabError, match="the chapters are: preface"):
        build(tmp_path / "x", ["prefaces"])
    with pytest.raises(PhysLabError, match="from a checkout"):
        build(tmp_path / "x", book=tmp_path)


def test_what_is_blocked_exists():
    assert set(BLOCKED) <= set(exercises())
    for places in BLOCKED.values():
        for place in places:
            found = targets(place)
            assert found and all(callable(getattr(owner, name)) for owner, name in found), place
