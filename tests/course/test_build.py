"""Assignments from the one source: three editions, nbgrader's metadata, points, rubric; a student finds no answer."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from physlab.cli import COMMANDS
from physlab.course import build
from physlab.course.assignments import EDITIONS
from physlab.course.blocked import BLOCKED, targets
from physlab.course.outcomes import OUTCOMES, outcome_of
from physlab.course.points import RUBRIC, WORTH, worth
from physlab.course.projects import POINTS, PROJECTS
from physlab.course.source import book_folder, chapters, reference, tasks
from physlab.course.syllabus import PLANS, WORKSHOP, reading, syllabus, title, weeks
from physlab.errors import PhysLabError
from physlab.teach import exercises, load_answers


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("course") / "assignments")


def made(built, edition, chapter):
    return built / (f"nbgrader/source/{chapter}" if edition == "nbgrader" else edition) / f"{chapter}.ipynb"


def cells(built, edition, chapter):
    return json.loads(made(built, edition, chapter).read_text())["cells"]


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


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("chapter", WORTH)
def test_notebooks_keep_the_rules_of_nbformat_and_nbgrader(built, edition, chapter):
    import nbformat  # takes seconds

    notebook = nbformat.read(made(built, edition, chapter), as_version=4)
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


def test_what_nbgrader_releases_has_neither_answers_nor_reasons(built):
    """Its source holds answers between marks that it strips, and nothing else that a student must not see."""
    for chapter in WORTH:
        source = cells(built, "nbgrader", chapter)
        for cell in source:
            flags = cell["metadata"].get("nbgrader", {})
            if flags.get("solution") and cell["cell_type"] == "code":
                assert cell["source"].count("### BEGIN SOLUTION") == cell["source"].count("### END SOLUTION") == 1
                cell["source"] = re.sub(r"### BEGIN SOLUTION.*### END SOLUTION", "...", cell["source"], flags=re.S)
        student = cells(built, "student", chapter)
        assert [cell["id"] for cell in source] == [cell["id"] for cell in student]
        for mine, theirs in zip(source, student, strict=True):
            assert mine["source"] == re.sub(r"^answer_\w+ = \.\.\.$", "...", theirs["source"], flags=re.M)
    config = ast.parse((built / "nbgrader" / "nbgrader_config.py").read_text())
    assert "course_id" in ast.unparse(config) and "ExecutePreprocessor.timeout = 300" in ast.unparse(config)


@pytest.mark.slow
def test_nbgrader_itself_takes_an_assignment(built, tmp_path):
    """Its own program makes the release; wherever one is installed, also in an environment of its own."""
    program = os.environ.get("PHYSLAB_NBGRADER") or shutil.which("nbgrader")
    if not program:
        pytest.skip("nbgrader is not installed, and PHYSLAB_NBGRADER names none: pipx install nbgrader")
    shutil.copytree(built / "nbgrader", tmp_path / "nbgrader")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    kept["PATH"] = os.pathsep.join([str(Path(program).absolute().parent), kept["PATH"]])  # it calls alembic
    for chapter in ("preface", "training"):
        command = [program, "generate_assignment", chapter]
        done = subprocess.run(command, cwd=tmp_path / "nbgrader", env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        text = (tmp_path / "nbgrader" / "release" / chapter / f"{chapter}.ipynb").read_text()
        assert "YOUR CODE HERE" in text and "SOLUTION" not in text and "**Why.**" not in text
        assert sum("checksum" in c["metadata"].get("nbgrader", {}) for c in json.loads(text)["cells"]) > 10


def test_instructors_find_reasons_and_the_usual_mistakes(built):
    text = "\n".join(cell["source"] for cell in cells(built, "instructor", "conservation"))
    assert all(s.mistake in text for s in load_answers()["block-mean"].wrong)


def test_points_and_rubric_are_written(built):
    rows = list(csv.DictReader((built / "points.csv").open()))
    assert [row["exercise"] for row in rows] == [name for chapter in WORTH.values() for name in chapter]
    assert sum(row["graded_by"] != "physlab course grade" for row in rows) >= sum(
        len(part) > 1 for part in WORTH.values()
    )
    rubric = (built / "rubric.md").read_text()
    assert all(row["title"] in rubric for row in rows if row["graded_by"] != "physlab course grade")
    assert rubric.count("| Evidence |") == sum(row["graded_by"] != "physlab course grade" for row in rows)


def test_outcomes_name_exercises_that_are_there_and_every_exercise_has_one(built):
    named = [name for outcome in OUTCOMES for name in outcome.exercises]
    every = {name: chapter for chapter, some in WORTH.items() for name in some}
    assert len(named) == len(set(named)) and set(named) <= set(every)
    assert {c for o in OUTCOMES for c in o.chapters} <= set(WORTH)
    rows = list(csv.DictReader((built / "outcomes.csv").open()))
    assert sorted(row["exercise"] for row in rows) == sorted(every)
    for outcome in OUTCOMES:
        mine = [name for name, chapter in every.items() if outcome_of(name, chapter) is outcome]
        assert len([name for name in mine if name in exercises()]) >= 4, outcome.key


@pytest.mark.parametrize("name", PLANS)
def test_a_syllabus_says_what_the_book_says(built, name):
    book, plan = book_folder(), PLANS[name]
    text = (built / f"syllabus-{name}.md").read_text()
    found = weeks(plan, book)
    assert len(found) == int(name.split("-")[0]) == len(re.findall(r"^\| \d+ \|", text, flags=re.M))
    taught = [chapter for _, some in found for chapter in some]
    assert len(taught) == len(set(taught)) and set(taught) <= set(chapters(book))
    assert taught == sorted(taught, key=list(WORTH).index) or not plan.complete
    assert not plan.complete or set(taught) == set(chapters(book))
    total = 0
    for _, some in found:
        graded = [n for c in some for n in WORTH[c] if n in exercises()]
        minutes, points = sum(worth(n).minutes for n in graded), sum(worth(n).points for n in graded)
        assert f"| {sum(reading(c, book) for c in some)} | {minutes} | {points} |" in text
        assert 2 <= (minutes + sum(reading(c, book) for c in some)) / 60 <= 9, "hours of a week"
        assert all(f"{n} ({worth(n).points})" in text for n in graded)
        total += points
    assert f"\n{total} points are graded" in text
    for row in re.findall(r"^\| [A-Z][^|]+ \| ([\w, -]+) \| (\d+) \|$", text, flags=re.M):
        assert sum(worth(n).points for n in row[0].split(", ")) == int(row[1])


def test_a_new_chapter_joins_the_week_of_the_one_before_it(monkeypatch):
    book = book_folder()
    monkeypatch.setattr("physlab.course.syllabus.chapters", lambda _: [*WORTH, "tides"])
    assert weeks(PLANS["12-weeks"], book)[-1][1][-1] == "tides"
    assert "tides" not in [c for _, some in weeks(PLANS["6-weeks"], book) for c in some]


def test_the_workshop_fits_its_hours(built):
    text = (built / "workshop-2-days.md").read_text()
    for before, after in zip(WORKSHOP, WORKSHOP[1:], strict=False):
        if before.day == after.day:
            first, then = (int(m.start[:2]) * 60 + int(m.start[3:]) for m in (before, after))
            assert first + before.minutes <= then, after.what
    for meeting in WORKSHOP:
        assert set(meeting.exercises) <= set(WORTH.get(meeting.chapter, {})) & set(exercises())
        assert sum(worth(n).minutes for n in meeting.exercises) <= meeting.minutes
        assert all(n in text for n in meeting.exercises)
        assert not meeting.chapter or title(meeting.chapter, book_folder()) in text


def test_projects_start_with_commands_and_share_the_points_of_the_rubric(built):
    text = (built / "projects.md").read_text()
    assert sum(share for *_, share in RUBRIC) == pytest.approx(1)
    assert all(f"| {criterion} | {wanted} | {share * POINTS:g} |" in text for criterion, wanted, share in RUBRIC)
    assert len(PROJECTS) >= 6 and {c for p in PROJECTS for c in p.chapters} <= set(WORTH)
    for project in PROJECTS:
        assert project.title in text and project.question.endswith("?")
        program, verb, *_ = shlex.split(project.start)
        assert program == "physlab" and verb in COMMANDS


def test_the_head_of_a_chapter_must_say_how_long_it_is(tmp_path):
    (tmp_path / "short.md").write_text("# Short\n")
    with pytest.raises(PhysLabError, match="minutes to read"):
        reading("short", tmp_path)
    assert title("short", tmp_path) == "Short" and "Six weeks" in syllabus(PLANS["6-weeks"], book_folder())


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
