"""Grade a folder of submissions: each runs in processes of its own, and only what its functions return comes back."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path
from secrets import randbits
from typing import Any

import torch

from physlab.course.feedback import feedback
from physlab.course.gradebook import canvas, moodle
from physlab.course.points import WORTH, worth
from physlab.course.proxy import Gone, Limits, Remote, Server, Session
from physlab.course.submissions import Notebook, Submission, copy_beside, digest, read_submissions
from physlab.course.values import Foreign
from physlab.errors import PhysLabError
from physlab.teach.check import Exercise, exercises, judge

RESTARTS = 4
"""How often a notebook is run again after a cell or an answer has ended its process."""


def _graded(chapter: str) -> list[Exercise]:
    known = exercises()
    return [known[name] for name in WORTH[chapter] if name in known]


class _Run:
    """One notebook under grading: a session that is started again, without the cell that ended it, if it must be."""

    def __init__(self, server: Server, notebook: Notebook, limits: Limits, beside: bool) -> None:
        self.server, self.notebook, self.limits, self.beside = server, notebook, limits, beside
        self.skip: list[int] = []
        self.notes: list[str] = []
        self.errors: dict[int, str] = {}
        self.said, self.starts = "", 0
        self.session: Session | None = None
        self.folder: Path | None = None

    def ready(self) -> Session | None:
        """A session whose notebook has run, or None if there were too many restarts."""
        while self.session is None or self.session.gone:
            self.close()
            if self.starts > RESTARTS:
                return None
            self.starts += 1
            self.folder = Path(tempfile.mkdtemp(prefix="physlab-grade-"))
            if self.beside:
                copy_beside(self.notebook, self.folder)
            wall = self.limits.wall / (1 if self.starts == 1 else 2)
            limits = Limits(wall, self.limits.cpu, self.limits.memory, self.limits.file)
            self.session = Session(self.server, self.folder, limits)
            try:
                self.session.run(self.notebook.cells, self.skip)
                self.errors, self.said = self.session.errors, self.session.said
                if self.session.size > len(self.said):
                    self.notes.append(
                        f"it printed {self.session.size:,} letters; the first {len(self.said):,} are kept"
                    )
            except Gone as reason:
                cell = self.session.cell
                if cell is None or cell in self.skip:
                    self.notes.append(f"the notebook could not be run: {reason}")
                    self.starts = RESTARTS + 1
                else:
                    self.notes.append(f"code cell {cell + 1} was left out, since it ended the run: {reason}")
                    self.skip.append(cell)
        return self.session

    def close(self) -> None:
        """End the process and remove its folder."""
        if self.session is not None:
            self.session.close()
            self.session = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def _one(run: _Run, exercise: Exercise, seed: int) -> tuple[bool, str]:
    """Grade one answer: passed or not, and the sentence about it."""
    session = run.ready()
    if session is None:
        return False, "not graded: the notebook ended its process too often, see the notes above"
    name = "answer_" + exercise.name.replace("-", "_")
    try:
        answer = session.value(name, exercise.name)
    except Gone as reason:
        return False, f"your answer could not be read: {reason}"
    if isinstance(answer, Foreign):
        return False, f"{answer!r} was handed in. Wanted: {exercise.asks}"
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(sha256(f"{seed}/{exercise.name}".encode()).digest()[:7], "big"))
    verdict = judge(exercise, answer, generator)
    if isinstance(answer, Remote) and verdict.passed and session.gone:
        return False, f"your answer ended its process: {session.gone}"
    return verdict.passed, verdict.message


def grade_notebook(server: Server, notebook: Notebook, chapter: str, seed: int, limits: Limits, beside: bool) -> dict:
    """The result of one notebook, as plain data for JSON."""
    result: dict[str, Any] = {
        "chapter": chapter,
        "file": notebook.path.name,
        "notes": [],
        "errors": [],
        "exercises": [],
    }
    run = _Run(server, notebook, limits, beside)
    try:
        for exercise in _graded(chapter):
            if notebook.problem:
                passed, message = False, f"not graded: {notebook.problem}"
            else:
                passed, message = _one(run, exercise, seed)
            most = worth(exercise.name).points
            result["exercises"].append(
                {"name": exercise.name, "points": most if passed else 0, "most": most, "message": message[:2000]}
            )
    finally:
        run.close()
    result["notes"] = ([notebook.problem] if notebook.problem else []) + run.notes
    result["errors"] = [f"code cell {k + 1}: {text}" for k, text in sorted(run.errors.items())]
    result["said"] = run.said[:4000]
    return result


def _chapters(submissions: Sequence[Submission], names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in WORTH:
            raise PhysLabError(f"no chapter {name!r}; the chapters are: {', '.join(WORTH)}")
    seen = {n.chapter for s in submissions for n in s.notebooks if n.chapter}
    chosen = [name for name in WORTH if (name in names if names else name in seen)]
    if not chosen:
        raise PhysLabError(
            "no notebook says which chapter it answers; name the chapters: --chapters preface atmosphere"
        )
    return chosen


def grade_submission(
    server: Server, submission: Submission, chapters: Sequence[str], seed: int, limits: Limits
) -> dict[str, Any]:
    """The result of one student: every chapter, whether it was handed in or not."""
    results = []
    for chapter in chapters:
        mine = [n for n in submission.notebooks if n.chapter == chapter]
        if not mine:
            unnamed = [n for n in submission.notebooks if not n.chapter]
            mine = unnamed if len(chapters) == 1 else []
        if len(mine) > 1:
            problem = "several notebooks answer this chapter: " + ", ".join(n.path.name for n in mine[:5])
            mine = [Notebook(mine[0].path, chapter, problem=problem)]
        notebook = mine[0] if mine else Notebook(Path("none"), chapter, problem="no notebook of this chapter")
        results.append(grade_notebook(server, notebook, chapter, seed, limits, submission.path.is_dir()))
    return {"student": submission.student, "digest": submission.digest, "seed": seed, "chapters": results}


def _file(student: str) -> str:
    """A file name that a student's name cannot leave."""
    plain = re.sub(r"[^\w.@-]", "_", student)[:80].lstrip(".") or "student"
    return plain if plain == student else f"{plain}-{sha256(student.encode()).hexdigest()[:8]}"


def grade(
    folder: str | Path,
    output: str | Path,
    chapters: Sequence[str] = (),
    seed: int | None = None,
    workers: int = 2,
    limits: Limits | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Path:
    """Grade all submissions of a folder.

    Parameters
    ----------
    folder : str or Path
        One folder or one notebook for each student. Nothing in it is changed.
    output : str or Path
        Gets `gradebook-moodle.csv`, `gradebook-canvas.csv`, `scores.json`, and `feedback/STUDENT.html` of each. What an
        earlier, interrupted call has graded there is kept, unless the submission has changed since.
    chapters : sequence of str
        By default those that the notebooks name.
    seed : int, optional
        Of the inputs; drawn once for an output, and kept there.
    workers : int
        Submissions at a time.
    limits : Limits, optional
        Of each submission.
    progress : callable
        Is told a line after each student.

    Returns
    -------
    Path
        The output folder.
    """
    source, out, limits = Path(folder), Path(output), limits or Limits()
    if out.resolve().is_relative_to(source.resolve()):
        raise PhysLabError(f"{out} lies in the folder of the submissions; name another place for the grades")
    submissions = read_submissions(source)
    chosen = _chapters(submissions, chapters)
    if out.exists() and any(out.iterdir()) and not (out / "scores.json").is_file():
        raise PhysLabError(f"{out} holds other files; name a new folder for the grades")
    kept = _earlier(out)
    drawn = kept.get("seed") if seed is None else seed
    seed = int(drawn) if drawn is not None else randbits(48)
    same = kept.get("seed") == seed and kept.get("chapters") == chosen
    known = {r["student"]: r for r in kept.get("students", [])} if same else {}
    results: dict[str, dict] = {
        s.student: known[s.student] for s in submissions if known.get(s.student, {}).get("digest") == s.digest
    }
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    todo = [s for s in submissions if s.student not in results]
    _write(out, seed, chosen, submissions, results)
    mine, servers = threading.local(), []
    lock = threading.Lock()

    def work(submission: Submission) -> dict:
        if not hasattr(mine, "server"):
            mine.server = Server()
            with lock:
                servers.append(mine.server)
        return grade_submission(mine.server, submission, chosen, seed, limits)

    try:
        with ThreadPoolExecutor(max(1, workers)) as pool:
            waiting = {pool.submit(work, submission): submission for submission in todo}
            for done in as_completed(waiting):
                result = done.result()
                results[result["student"]] = result
                _write(out, seed, chosen, submissions, results)
                got = sum(e["points"] for c in result["chapters"] for e in c["exercises"])
                progress(f"{len(results)}/{len(submissions)} {result['student']}: {got} points")
    finally:
        for server in servers:
            server.close()
    changed = [s.student for s in submissions if digest(s.path) != s.digest]
    if changed:
        raise PhysLabError(f"submissions changed while they were graded: {', '.join(changed[:5])}; grade them again")
    return out


def _earlier(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / "scores.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(out: Path, seed: int, chosen: list[str], submissions: list[Submission], results: dict[str, dict]) -> None:
    """Write what is known so far: each file is whole at any moment."""
    ordered = [results[s.student] for s in submissions if s.student in results]

    def write(name: str, text: str) -> None:
        part = out / (name + ".part")
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(out / name)

    content = {"seed": seed, "chapters": chosen, "students": ordered}
    write("scores.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write("gradebook-moodle.csv", moodle(ordered, chosen))
    write("gradebook-canvas.csv", canvas(ordered, chosen))
    for result in ordered:
        page = out / "feedback" / f"{_file(result['student'])}.html"
        text = feedback(result)
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            write(f"feedback/{page.name}", text)
