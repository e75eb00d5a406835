"""Right and known-wrong answers, kept apart from the graders: they lie in `book/answers`, which is never installed.

A grader says what is wanted; an answer says what passes, and which mistakes must be recognised. The tests and the
instructor's bundle read them, a student's installation has none.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from physlab.errors import PhysLabError


@dataclass(frozen=True)
class Submission:
    """A known-wrong answer.

    Attributes
    ----------
    mistake : str
        What was done wrong, in a few words.
    answer : object
        The submission itself.
    hint : str
        A fragment that the grader's explanation must contain (case-insensitive).
    """

    mistake: str
    answer: Any
    hint: str


@dataclass(frozen=True)
class Answers:
    """What is known about one exercise: a right answer and at least two known-wrong submissions."""

    name: str
    right: Any
    wrong: tuple[Submission, ...]


_KNOWN: dict[str, Answers] = {}
_READ: set[Path] = set()


def answer(name: str, right: Any, *wrong: Submission) -> Answers:
    """Register the right answer of an exercise and the mistakes that its grader must recognise.

    >>> answer("double", lambda x: 2 * x, Submission("squared", lambda x: x * x, hint="twice"))
    """
    if name in _KNOWN:
        raise PhysLabError(f"the exercise {name!r} has an answer already; one call of answer(...) for each exercise")
    _KNOWN[name] = Answers(name, right, wrong)
    return _KNOWN[name]


def answers() -> dict[str, Answers]:
    """What :func:`answer` registered or :func:`load_answers` read in this process, by name of the exercise."""
    return dict(_KNOWN)


def answers_folder() -> Path:
    """The folder `book/answers` of a checkout; an installed package has none."""
    return Path(__file__).resolve().parents[2] / "book" / "answers"


def load_answers(folder: str | Path | None = None) -> dict[str, Answers]:
    """Read all answers of a folder, one Python file for each chapter.

    Parameters
    ----------
    folder : str or Path, optional
        By default `book/answers` of the checkout that this package lies in.

    Returns
    -------
    dict
        Name of the exercise -> :class:`Answers`.

    Raises
    ------
    PhysLabError
        If the folder has no answers: they are part of the sources of the book, and are not installed.
    """
    place = Path(folder) if folder is not None else answers_folder()
    files = sorted(place.glob("*.py"))
    if not files:
        raise PhysLabError(
            f"no answers in {place}: they come with the sources of the book and are never installed; name the folder "
            "book/answers of a checkout"
        )
    for file in files:
        if file.resolve() in _READ:
            continue
        name = f"physlab_answers_{file.stem}"
        spec = spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        _READ.add(file.resolve())
    return answers()
