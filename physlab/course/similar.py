"""Which submissions resemble each other: their code, compared by compare50, a program of its own (GPL, kept by CS50).

It is never imported: it runs beside PhysLab, from this environment or from one that `PHYSLAB_COMPARE50` names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from physlab.course.assignments import notebook
from physlab.course.source import book_folder
from physlab.course.submissions import read_submissions
from physlab.errors import PhysLabError

HOW = "python -m venv similar && similar/bin/pip install compare50, then PHYSLAB_COMPARE50=similar/bin/python"


def interpreter() -> str:
    """The Python that has compare50.

    Raises
    ------
    PhysLabError
        If there is none; says how to install it.
    """
    named = os.environ.get("PHYSLAB_COMPARE50")
    if named:
        if not Path(named).is_file():
            raise PhysLabError(f"PHYSLAB_COMPARE50 names {named}, which is no file: name the python of its environment")
        return str(Path(named).absolute())
    if find_spec("compare50") is None:
        raise PhysLabError(f"compare50, which compares submissions, is not installed: {HOW}")
    return sys.executable


def code(cells: Sequence[str]) -> str:
    """The code of a notebook as one file, without comments, which the assignment wrote, and without `...`."""
    lines = [line for cell in cells for line in cell.splitlines()]
    return "\n".join(x for x in lines if x.strip() and not x.lstrip().startswith(("#", "%", "!"))) + "\n"


def handed_out(chapter: str, book: Path | None) -> str:
    """The code that every student was given; nothing if this installation has no sources of the book."""
    try:
        source = book_folder(book)
    except PhysLabError:
        return ""
    return code([c["source"] for c in notebook(chapter, "student", source)["cells"] if c["cell_type"] == "code"])


def compare(
    folder: str | Path, output: str | Path, chapters: Sequence[str] = (), most: int = 50, book: Path | None = None
) -> list[Path]:
    """Compare all submissions of a folder, each chapter by itself.

    Parameters
    ----------
    folder : str or Path
        One folder or one notebook for each student, as for grading; read only.
    output : str or Path
        A new folder: gets a folder for each chapter, with `index.html`, the pairs ranked, and a page for each pair.
    chapters : sequence of str
        By default those that the notebooks name.
    most : int
        Pairs that are shown.
    book : Path, optional
        The folder `book` of a checkout: what the assignment gave to everybody is not compared.

    Returns
    -------
    list of Path
        The `index.html` of each chapter that at least two students handed in.
    """
    source, out = Path(folder), Path(output)
    python, submissions = interpreter(), read_submissions(source)
    if out.exists() and any(out.iterdir()):
        raise PhysLabError(f"{out} holds other files; name a new folder for the report")
    if out.resolve().is_relative_to(source.resolve()):
        raise PhysLabError(f"{out} lies in the folder of the submissions; name another place for the report")
    found: dict[str, dict[str, str]] = {}
    for submission in submissions:
        for one in submission.notebooks:
            if one.chapter and not one.problem and (not chapters or one.chapter in chapters):
                mine = found.setdefault(one.chapter, {})
                mine[submission.student] = mine.get(submission.student, "") + code(one.cells)
    pages = []
    for chapter, texts in found.items():
        if len(texts) < 2:
            continue
        with tempfile.TemporaryDirectory(prefix="physlab-similar-") as place:
            for student, text in texts.items():
                (Path(place) / "in" / student).mkdir(parents=True)
                (Path(place) / "in" / student / f"{chapter}.py").write_text(text, encoding="utf-8")
            (Path(place) / "given").mkdir()
            (Path(place) / "given" / f"{chapter}.py").write_text(handed_out(chapter, book), encoding="utf-8")
            (out / chapter).parent.mkdir(parents=True, exist_ok=True)
            command = [python, "-m", "compare50", *(f"in/{student}" for student in texts), "-d", "given"]
            command += ["-p", "structure", "text", "-n", str(most), "-o", str((out / chapter).absolute())]
            kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
            kept["PYTHONHASHSEED"] = "0"
            done = subprocess.run(command, cwd=place, env=kept, capture_output=True, text=True)
        page = out / chapter / "index.html"
        if done.returncode or not page.is_file():
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["nothing"]
            raise PhysLabError(f"compare50 stopped at {chapter}: {said[-1][:300]}")
        pages.append(page)
    if not pages:
        raise PhysLabError(f"no chapter in {source} was handed in by two students; there is nothing to compare")
    return pages
