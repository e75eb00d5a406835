"""Grading that cannot be fooled: a class of synthetic students, honest, mistaken and hostile, in one folder."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from physlab.cli import main
from physlab.course import build, grade
from physlab.course.gradebook import canvas, moodle
from physlab.course.points import WORTH, worth
from physlab.course.proxy import Limits
from physlab.course.source import book_folder, reference, tasks
from physlab.course.submissions import digest
from physlab.errors import PhysLabError
from physlab.teach import exercises, load_answers

BOOK = book_folder()
FULL = {c: sum(worth(n).points for n in WORTH[c] if n in exercises()) for c in WORTH}


@pytest.fixture(scope="module")
def assignments(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("course") / "assignments")


def edit(assignments: Path, chapter: str, answers: dict[str, str], before: str = "", edition: str = "solution") -> str:
    """A notebook with other code in some of its answer cells, and a cell before all others."""
    notebook = json.loads((assignments / edition / f"{chapter}.ipynb").read_text())
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "").removeprefix("answer-")
        if name in answers:
            cell["source"] = answers[name]
    if before:
        cell = {
            "cell_type": "code",
            "id": "mine",
            "metadata": {},
            "source": before,
            "outputs": [],
            "execution_count": 1,
        }
        notebook["cells"].insert(1, cell)
    return json.dumps(notebook)


def hand_in(folder: Path, student: str, chapter: str, text: str) -> None:
    (folder / student).mkdir(parents=True, exist_ok=True)
    (folder / student / f"{chapter}.ipynb").write_text(text, encoding="utf-8")


def results(out: Path) -> dict[str, dict[str, dict]]:
    """student -> chapter -> result."""
    content = json.loads((out / "scores.json").read_text())
    return {s["student"]: {c["chapter"]: c for c in s["chapters"]} for s in content["students"]}


def points(result: dict) -> int:
    return sum(e["points"] for e in result["exercises"])


def one(result: dict, name: str) -> dict:
    return next(e for e in result["exercises"] if e["name"] == name)


#: What a hostile cell does -> words that the notes or errors of its student must contain.
HOSTILE = {
    "endless": ("while True: pass", "time limit"),
    "memory": ("a = [bytearray(1 << 30) for _ in range(100)]", "MemoryError"),
    "exit": ("import sys; sys.exit(0)", "SystemExit"),
    "hard-exit": ("import os; os._exit(0)", "ended itself with status 0"),
    "verdict": (
        "from physlab.teach import check, Verdict\ncheck = lambda *a: Verdict('coarsen', True, 'well done')",
        "cannot import name 'Verdict'",
    ),
    "require": (
        "import physlab.teach.check as c\nc.require = c.exercises = lambda *a: None\nimport "
        "physlab.teach.preface.exercises",
        "No module named",
    ),
    "patched": (
        "import physlab.grid, torch\nphyslab.grid.coarsen = lambda *a: 0\ntorch.allclose = torch.equal = lambda "
        "*a, **k: True",
        "",
    ),
    "deletes": ("import shutil, os\nshutil.rmtree(OUTSIDE)", "Refused"),
    "removes": ("import os\nos.remove(OUTSIDE + '/treasure.txt')", "Refused"),
    "writes": ("open(OUTSIDE + '/treasure.txt', 'w').write('gone')", "Refused"),
    "torch-writes": ("import torch; torch.save(torch.ones(3), OUTSIDE + '/treasure.txt')", "ermission"),
    "reads": ("print(open(ANSWERS).read())", "Refused"),
    "network": ("import socket; socket.create_connection(('127.0.0.1', 80), 2)", "Refused"),
    "url": ("import urllib.request as r; r.urlopen('http://example.org', timeout=2)", "Refused"),
    "loud": ("for _ in range(300): print('x' * 100000)", "letters"),
    "large-file": ("open('big', 'wb').write(b'0' * (80 << 20))", "too large"),
    "forks": ("import os\nwhile True: os.fork()", "Refused"),
    "raw-forks": ("import _posixsubprocess, multiprocessing as m\np = m.Process(target=print); p.start()", "Refused"),
    "kills": ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", "Refused"),
    "crash": ("import ctypes; ctypes.string_at(0)", "Refused"),
    "real-crash": (
        "import numpy as np\nx = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (1 << 20,))\nx[1 << 30] + 1",
        "segmentation fault",
    ),
    "recursion": ("f = lambda: f()\nf()", "RecursionError"),
    "hook": ("import sys\nsys.addaudithook(lambda *a: 0 / 0)", ""),
    "stdout": ("import sys, os\nsys.stdout.close(); os.close(1); sys.stdout = None", ""),
    "sockets": ("import gc, socket\n[s.close() for s in gc.get_objects() if isinstance(s, socket.socket)]", "ended"),
    "channel": (
        "import gc, socket\nfor s in gc.get_objects():\n    if isinstance(s, socket.socket): s.sendall(b'x' * 100)",
        "message",
    ),
}  # fmt: skip
#: Student, chapter, and answers that end their process, come from the library, or only look right.
OTHERS = [
    (
        "hostile-answer",
        "preface",
        {
            "coarsen": "def answer_coarsen(*a):\n    while True: pass",
            "global-mean": "import os\nanswer_global_mean = lambda *a: os._exit(0)",
        },
    ),
    ("library-coarsen", "preface", {"coarsen": "from physlab.grid import coarsen as mine\nanswer_coarsen = mine"}),
    (
        "library-layer",
        "conservation",
        {
            "block-mean": "from physlab.constrain import make_constraint\n"
            "answer_block_mean = lambda y, x, n: make_constraint('add', n)(y, x)"
        },
    ),
    (
        "hostile-objects",
        "preface",
        {
            "coarsen": "class V(dict):\n    passed = True\n    __call__ = lambda *a: V()\nanswer_coarsen = V()",
            "predict-order": "class A(list):\n    __eq__ = lambda *a: True\nanswer_predict_order = A(['nearest'] * 3)",
        },
    ),
]
SPOIL_THEMSELVES = {"patched", "hook"}


@pytest.fixture(scope="module")
def folder(assignments, tmp_path_factory) -> Path:
    """One student for each known mistake of two chapters by turns, and one for each hostile cell."""
    folder = tmp_path_factory.mktemp("class") / "submissions"
    outside = tmp_path_factory.mktemp("outside")
    (outside / "treasure.txt").write_text("gold")
    for chapter in WORTH:
        hand_in(folder, "untouched", chapter, (assignments / "student" / f"{chapter}.ipynb").read_text())
        hand_in(folder, "reference", chapter, (assignments / "solution" / f"{chapter}.ipynb").read_text())
        wrong: dict[int, dict[str, str]] = {}
        for task in tasks(chapter, BOOK):
            if task.graded:
                for k in range(len(load_answers()[task.key].wrong)):
                    wrong.setdefault(k, {})[task.key] = reference(task, BOOK, k)
        for k, answers in wrong.items():
            hand_in(folder, f"mistake-{k}-{chapter}", chapter, edit(assignments, chapter, answers))
    for name, (code, _) in HOSTILE.items():
        code = code.replace("OUTSIDE", repr(str(outside)))
        code = code.replace("ANSWERS", repr(str(BOOK / "answers" / "preface.py")))
        hand_in(folder, f"hostile-{name}", "preface", edit(assignments, "preface", {}, code))
    for student, chapter, answers in OTHERS:
        hand_in(folder, student, chapter, edit(assignments, chapter, answers))
    hand_in(folder, "not-a-notebook", "preface", "PK\x03\x04 this is no notebook")
    hand_in(folder, "deep", "preface", "[" * 100_000)
    hand_in(folder, "huge", "preface", '{"cells": [' + " " * (25 << 20) + "]}")
    (folder / "single.ipynb").write_text((assignments / "solution" / "preface.ipynb").read_text())
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no submission")
    return folder


def answer_files() -> dict[str, str]:
    """The answers of the book, but for what Python keeps beside them when another test reads them."""
    return {path.name: digest(path) for path in (BOOK / "answers").iterdir() if path.name != "__pycache__"}


@pytest.mark.slow
def test_a_class_of_eighty(assignments, folder, tmp_path, monkeypatch):
    """The untouched get 0, the reference full marks, mistakes their hints; the hostile lose what they touch."""
    assert len(list(folder.iterdir())) >= 80
    before, book = digest(folder), answer_files()
    out = tmp_path / "grades"
    limits = Limits(wall=10.0, cpu=10, memory=1 << 30)  # an honest notebook takes two seconds
    assert grade(folder, out, seed=11, workers=2, limits=limits) == out
    assert digest(folder) == before and answer_files() == book
    treasure = next(Path(folder).parent.parent.glob("outside*/treasure.txt"))
    assert treasure.read_text() == "gold"

    got = results(out)
    assert list(got) == sorted(p.name.removesuffix(".ipynb") for p in folder.iterdir() if p.suffix != ".txt")
    for chapter in WORTH:
        assert points(got["untouched"][chapter]) == 0
        missed = [(e["name"], e["message"]) for e in got["reference"][chapter]["exercises"] if not e["points"]]
        assert points(got["reference"][chapter]) == FULL[chapter], missed
        for name in WORTH[chapter]:
            if name not in exercises():
                continue
            for k, wrong in enumerate(load_answers()[name].wrong):
                found = one(got[f"mistake-{k}-{chapter}"][chapter], name)
                assert found["points"] == 0, f"{name}: {wrong.mistake} passed"
                assert wrong.hint.lower() in found["message"].lower(), f"{name}, {wrong.mistake}: {found['message']}"

    for name, (_, words) in HOSTILE.items():
        result = got[f"hostile-{name}"]["preface"]
        told = " ".join([*result["notes"], *result["errors"]])
        assert words in told, f"{name}: {told}"
        assert points(result) <= FULL["preface"]
        if name not in SPOIL_THEMSELVES:
            assert points(result) == FULL["preface"], f"{name}: {told} {result['exercises']}"
    answer = got["hostile-answer"]["preface"]
    assert "time limit" in one(answer, "coarsen")["message"] and one(answer, "coarsen")["points"] == 0
    assert "status 0" in one(answer, "global-mean")["message"] and one(answer, "log-rain")["points"] == 3
    assert "gives the answer away" in one(got["library-coarsen"]["preface"], "coarsen")["message"]
    assert one(got["library-coarsen"]["preface"], "log-rain")["points"] == 3
    assert "gives the answer away" in one(got["library-layer"]["conservation"], "block-mean")["message"]
    assert one(got["hostile-objects"]["preface"], "coarsen")["points"] == 0
    assert one(got["hostile-objects"]["preface"], "predict-order")["points"] == 0
    assert "not a notebook" in got["not-a-notebook"]["preface"]["notes"][0]
    assert "not a notebook" in got["deep"]["preface"]["notes"][0]
    assert "MB are allowed" in got["huge"]["preface"]["notes"][0]
    assert points(got["single"]["preface"]) == FULL["preface"]
    assert "no notebook of this chapter" in got["empty"]["preface"]["notes"][0]
    check_gradebooks(out, got)
    check_feedback(out)
    # what is there is kept
    monkeypatch.setattr("physlab.course.grading.Server", lambda: pytest.fail("graded again"))
    scores = (out / "scores.json").read_text()
    grade(folder, out)
    assert (out / "scores.json").read_text() == scores


def check_gradebooks(out: Path, got: dict) -> None:
    """Columns and rows as Moodle and Canvas import them."""
    moodle = list(csv.reader((out / "gradebook-moodle.csv").open(newline="", encoding="utf-8")))
    assert moodle[0][:3] == ["Username", "PhysLab preface", "PhysLab preface (feedback)"]
    assert len({len(row) for row in moodle}) == 1 and len(moodle) == 1 + len(got)
    canvas = list(csv.reader((out / "gradebook-canvas.csv").open(newline="", encoding="utf-8")))
    assert canvas[0][:6] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "PhysLab preface"]
    assert canvas[1][0].strip() == "Points Possible" and [int(x) for x in canvas[1][5:]] == list(FULL.values())
    rows = {row[0]: row for row in canvas[2:]}
    assert [int(x) for x in rows["reference"][5:]] == list(FULL.values())
    assert not any(int(x) for x in rows["untouched"][5:])
    for row in moodle[1:]:
        assert all(x.isdigit() for x in row[1::2]) and [int(x) for x in row[1::2]] == [int(x) for x in rows[row[0]][5:]]


def test_gradebooks_keep_the_formats_of_moodle_and_canvas():
    """Canvas: five columns for the student, points possible in the second row; Moodle: user name, numbers, feedback.
    Neither holds a cell that a spreadsheet would compute."""
    names = ["ada", "=HYPERLINK(1)", 'o"brien, p', "-2", "zoë"]
    results = []
    for k, name in enumerate(names):
        parts = []
        for chapter in ("preface", "training"):
            graded = [n for n in WORTH[chapter] if n in exercises()]
            rows = [{"name": n, "points": worth(n).points if k % 2 else 0, "most": worth(n).points} for n in graded]
            notes = ["=1+1\nsecond line", "b", "c", "d"] if k == 2 else []
            parts.append({"chapter": chapter, "notes": notes, "exercises": rows})
        results.append({"student": name, "chapters": parts})
    chapters = ["preface", "training"]
    rows = list(csv.reader(canvas(results, chapters).splitlines(), strict=True))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "PhysLab preface", "PhysLab training"]
    assert rows[1] == ["    Points Possible", *[""] * 4, str(FULL["preface"]), str(FULL["training"])]
    assert [row[0] for row in rows[2:]] == [row[3] for row in rows[2:]]
    assert all(0 <= int(x) <= int(most) for row in rows[2:] for x, most in zip(row[5:], rows[1][5:], strict=True))
    other = list(csv.reader(moodle(results, chapters).splitlines(), strict=True))
    assert other[0][::2] == ["Username", "PhysLab preface (feedback)", "PhysLab training (feedback)"]
    assert [[row[0], *map(int, row[1::2])] for row in other[1:]] == [[r[0], *map(int, r[5:])] for r in rows[2:]]
    assert [row[0] for row in other[1:]] == ["ada", "'=HYPERLINK(1)", 'o"brien, p', "'-2", "zoë"]
    assert not any(cell[:1] in tuple("=+-@") for row in rows + other for cell in row if cell)
    assert (
        other[1][2].startswith("without points: coarsen")
        and other[2][2] == "full marks"
        and "d" not in other[3][2].split("; ")
    )


def check_feedback(out: Path) -> None:
    """One complete page for each student, in which nothing of the student's is markup."""
    pages = list((out / "feedback").glob("*.html"))
    assert len(pages) == len(results(out))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert (
            "<script" not in text and "http" not in text.replace("http://example.org", "") and text.count("<h1>") == 1
        )
    assert "time limit" in (out / "feedback" / "hostile-endless.html").read_text()


@pytest.mark.slow
def test_command_resumes_after_a_change_and_names_mistakes(assignments, tmp_path, capsys):
    students = tmp_path / "students"
    (students / "<b>=x").mkdir(parents=True)
    text = edit(assignments, "atmosphere", {}, "print('<script>alert(1)</script>')\nraise ValueError('<img>')")
    hand_in(students, "<b>=x", "atmosphere", text)
    hand_in(students, "ada", "atmosphere", edit(assignments, "atmosphere", {}, edition="student"))
    out = tmp_path / "grades"
    main(["course", "grade", str(students), str(out), "--workers", "1"])
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "2/2" in said.err
    assert points(results(out)["<b>=x"]["atmosphere"]) == FULL["atmosphere"]
    page = next(p for p in (out / "feedback").glob("*.html") if p.name != "ada.html").read_text()
    assert "<script" not in page and "<img" not in page and "&lt;img&gt;" in page
    seed = json.loads((out / "scores.json").read_text())["seed"]
    hand_in(students, "ada", "atmosphere", edit(assignments, "atmosphere", {}))
    main(["course", "grade", str(students), str(out), "--workers", "1"])
    assert "1/2" not in capsys.readouterr().err
    assert json.loads((out / "scores.json").read_text())["seed"] == seed
    assert points(results(out)["ada"]["atmosphere"]) == FULL["atmosphere"]


def test_places_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhysLabError, match="no submission in"):
        grade(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(PhysLabError, match="no folder"):
        grade(tmp_path / "none", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "ada.ipynb").write_text('{"cells": []}')
    with pytest.raises(PhysLabError, match="name the chapters"):
        grade(tmp_path / "full", tmp_path / "out")
    with pytest.raises(PhysLabError, match="the chapters are"):
        grade(tmp_path / "full", tmp_path / "out", ["prefix"])
    with pytest.raises(PhysLabError, match="another place"):
        grade(tmp_path / "full", tmp_path / "full" / "out", ["preface"])
    os.mkdir(tmp_path / "other")
    (tmp_path / "other" / "x").touch()
    with pytest.raises(PhysLabError, match="other files"):
        grade(tmp_path / "full", tmp_path / "other", ["preface"])
