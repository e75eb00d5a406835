"""Submissions as they are found: one folder or one notebook for each student; read, never run, never written."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physlab.course.points import WORTH
from physlab.errors import PhysLabError

LARGEST_NOTEBOOK = 20 << 20
LARGEST_FILE = 20 << 20
MOST_FILES = 200


@dataclass
class Notebook:
    """One notebook as handed in: its chapter ("" if it names none), its code cells, or why it cannot be read."""

    path: Path
    chapter: str = ""
    cells: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass
class Submission:
    """What one student handed in."""

    student: str
    path: Path
    notebooks: list[Notebook]
    digest: str


def digest(path: Path) -> str:
    """SHA-256 over names and contents of a file or of all files of a folder."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() or p.is_symlink())
    for file in files:
        total.update(f"{file.relative_to(path.parent)}\0".encode(errors="replace"))
        if file.is_symlink():
            total.update(str(file.readlink()).encode(errors="replace"))
            continue
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _code(cell: dict[str, Any]) -> str | None:
    """The code of a cell that is to be run; None for text and for the tests, which are the grader's business."""
    if cell.get("cell_type") != "code":
        return None
    flags = cell.get("metadata", {}).get("nbgrader", {})
    if isinstance(flags, dict) and flags.get("grade") is True and flags.get("solution") is not True:
        return None
    source = cell.get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    return text[:200_000]


def read_notebook(path: Path) -> Notebook:
    """Read one notebook; whatever is wrong with it becomes a sentence for its author."""
    try:
        if path.is_symlink() or not path.is_file():
            return Notebook(path, problem="it is a link or no file")
        if path.stat().st_size > LARGEST_NOTEBOOK:
            size = path.stat().st_size >> 20
            return Notebook(
                path,
                path.stem if path.stem in WORTH else "",
                problem=f"it has {size} MB, and {LARGEST_NOTEBOOK >> 20} MB are allowed: clear the outputs and save it",
            )
        content = json.loads(path.read_bytes().decode("utf-8"))
        cells = [_code(cell) for cell in content["cells"][:2000]]
        named = content.get("metadata", {}).get("physlab", {}).get("chapter", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        chapter = path.stem if path.stem in WORTH else ""
        return Notebook(path, chapter, problem=f"it is not a notebook ({type(error).__name__})")
    chapter = named if named in WORTH else path.stem if path.stem in WORTH else ""
    return Notebook(path, chapter, [cell for cell in cells if cell is not None])


def read_submissions(folder: Path) -> list[Submission]:
    """All submissions of a folder, by name of the student: the name of the folder, or of the file without `.ipynb`."""
    if not folder.is_dir():
        raise PhysLabError(f"no folder {folder}; name the folder that holds one folder or one notebook per student")
    found: dict[str, Submission] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            hidden = (".ipynb_checkpoints",)
            files = [p for p in sorted(path.rglob("*.ipynb")) if not set(hidden) & set(p.parts)][:50]
            student = path.name
        elif path.suffix == ".ipynb":
            files, student = [path], path.stem
        else:
            continue
        if student in found:
            raise PhysLabError(f"{student!r} handed in a folder and a notebook of the same name; keep one of them")
        found[student] = Submission(student, path, [read_notebook(p) for p in files], digest(path))
    if not found:
        raise PhysLabError(f"no submission in {folder}: one folder or one .ipynb file per student is expected")
    return list(found.values())


def copy_beside(notebook: Notebook, folder: Path) -> None:
    """Copy the files beside a student's notebook (modules and data of their own) into a working folder."""
    if notebook.path.parent.name == "" or notebook.path.is_symlink():
        return
    for count, path in enumerate(sorted(notebook.path.parent.iterdir())):
        if count >= MOST_FILES or path.is_symlink() or not path.is_file() or path.suffix == ".ipynb":
            continue
        if path.stat().st_size <= LARGEST_FILE:
            shutil.copyfile(path, folder / path.name)
