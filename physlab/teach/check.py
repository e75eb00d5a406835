"""`check("name", answer)`: grade an exercise by physics, on fresh random inputs, and explain a failure in physical
terms.

An exercise never compares an answer with a stored array. It draws new inputs at every call and asks for what nature
asks:
the block mean is kept, the water budget closes, the wind blows along the isobars. A grader raises `Wrong` with the
broken law.

What is handed in is graded whatever its number type; a form that cannot be compared is answered by a sentence. Right
answers and the known mistakes, each with the words that its hint must contain, lie in `book/answers`: the tests submit
them all, so that a grader can neither fall asleep nor give the wrong advice.
"""

from __future__ import annotations

import math
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from physlab.errors import PhysLabError
from physlab.teach.handed import Handed, Stopped, shown


class Wrong(Exception):
    """Raised by a grader: the physical reason why an answer fails."""


@dataclass(frozen=True)
class Exercise:
    """One exercise and how it is graded; its answers are kept apart, see :mod:`physlab.teach.answers`.

    Attributes
    ----------
    name : str
        The name given to `check`.
    asks : str
        What the answer must be (signature and meaning), repeated when something else is handed in.
    grade : callable
        `grade(answer, generator)`; raises `Wrong` or returns the sentence that confirms what was verified.
    wants : {"function", "number", "value"}
        What is handed in: a function is called on fresh inputs, a number is handed on as a float, a value as it is.
    """

    name: str
    asks: str
    grade: Callable[[Any, torch.Generator], str]
    wants: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: true if passed; shown as a coloured line in a notebook."""

    name: str
    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'PASSED' if self.passed else 'NOT YET'} {self.name}: {self.message}"

    def _repr_markdown_(self) -> str:
        return f"{'✔' if self.passed else '✘'} **{self.name}**: {self.message}"


_REGISTRY: dict[str, Exercise] = {}


def register(exercise: Exercise) -> Exercise:
    """Add an exercise; a name can be taken once."""
    if exercise.name in _REGISTRY:
        raise PhysLabError(f"exercise {exercise.name!r} is registered twice; choose another name")
    _REGISTRY[exercise.name] = exercise
    return exercise


Grader = Callable[[Any, torch.Generator], str]
WANTS = ("function", "number", "value")


def exercise(name: str, wants: str) -> Callable[[Grader], Grader]:
    """Register the decorated grader; its docstring says what the answer must be. The fields are those of `Exercise`.

    >>> @exercise("double", wants="function")
    ... def grade(answer, generator):
    ...     \"\"\"a function double(x) -> number\"\"\"
    ...     require(answer(3) == 6, "twice 3 is wanted")
    ...     return "twice as much"
    """
    if wants not in WANTS:
        raise PhysLabError(f"exercise {name!r} wants {wants!r}; allowed are {', '.join(WANTS)}")

    def add(grade: Grader) -> Grader:
        register(Exercise(name, " ".join((grade.__doc__ or "").split()), grade, wants))
        return grade

    return add


ORDER = (
    "preface", "atmosphere", "training", "dataflow", "probability", "conservation", "statistical", "cnn", "gan",
    "sequences", "results", "attention", "phydl", "kalman", "assimilation", "diffusion", "phyda", "latent",
)  # fmt: skip
"""Chapters as the book has them; any other folder of :mod:`physlab.teach` comes behind."""


def exercises() -> dict[str, Exercise]:
    """All exercises by name, in the order of the book: each folder of :mod:`physlab.teach` is a chapter."""
    package = __name__.rpartition(".")[0]
    found = {m.name for m in pkgutil.iter_modules(import_module(package).__path__) if m.ispkg}
    chapters = sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    for name in chapters:
        import_module(f"{package}.{name}")
    place = {f"{package}.{name}": k for k, name in enumerate(chapters)}
    by_chapter = sorted(_REGISTRY.values(), key=lambda e: place.get(e.grade.__module__.rpartition(".")[0], len(place)))
    return {e.name: e for e in by_chapter}


def check(name: str, answer: Any, seed: int | None = None) -> Verdict:
    """Grade an answer by physics.

    Parameters
    ----------
    name : str
        Name of the exercise, as printed in the book.
    answer : object
        A function or a value; each exercise says which.
    seed : int, optional
        Fix the random inputs (tests); by default they are fresh at every call.

    Returns
    -------
    Verdict
        True if passed; its text says what was verified, or which law is broken and where to look.

    Raises
    ------
    PhysLabError
        If there is no exercise of that name.
    """
    known = exercises()
    if name not in known:
        raise PhysLabError(f"no exercise named {name!r}; the exercises are: {', '.join(known)}")
    generator = torch.Generator()
    generator.manual_seed(seed) if seed is not None else generator.seed()
    return judge(known[name], answer, generator)


def judge(exercise: Exercise, answer: Any, generator: torch.Generator) -> Verdict:
    """Grade an answer on inputs of the generator: the verdict is a sentence, whatever is handed in, never an error."""
    name, asks = exercise.name, exercise.asks
    if answer is None or answer is Ellipsis or (isinstance(answer, str) and not answer.strip()):
        return Verdict(name, False, f"nothing to grade yet. Wanted: {asks}")
    if exercise.wants == "function" and not callable(answer):
        return Verdict(name, False, f"a function is wanted, got {type(answer).__name__}. Wanted: {asks}")
    if exercise.wants != "function" and callable(answer):
        return Verdict(name, False, f"a {exercise.wants} is wanted, got a function: hand in what it returns. {asks}")
    handed = answer
    undefined = "your function returned NaN or infinity where every input is finite: look for a division by zero, a "
    undefined += f"logarithm or a root of what may be negative. Wanted: {asks}"
    try:
        if exercise.wants == "function":
            handed = Handed(answer)
        elif exercise.wants == "number":
            handed = number(answer)
        said = exercise.grade(handed, generator)
        if getattr(handed, "undefined", False):
            raise Wrong(undefined)
        return Verdict(name, True, said)
    except Wrong as reason:
        known = re.search("nan|finit|stop", str(reason), flags=re.IGNORECASE)
        return Verdict(
            name,
            False,
            undefined if getattr(handed, "undefined", False) and not known else " ".join(str(reason).split()),
        )
    except Stopped as error:  # the student's own code failed: say where, without a traceback
        return Verdict(name, False, f"your answer stopped with {error} (Wanted: {asks})")
    except Exception:  # what was handed in has a form that the grader cannot compare
        if isinstance(handed, Handed):
            form = f"your function returned {shown(handed.last)}, which cannot be compared with what is wanted"
        else:
            form = f"{shown(answer)} cannot be compared with what is wanted"
        return Verdict(name, False, f"{form}. Wanted: {asks}")


# ---- what graders share -------------------------------------------------------------------------------------------


def require(condition: Any, reason: str) -> None:
    """Raise `Wrong(reason)` unless the condition holds."""
    if not bool(condition):
        raise Wrong(reason)


def unlike(out: torch.Tensor, mistakes: Mapping[str, torch.Tensor]) -> None:
    """Raise the reason whose tensor is the answer: what each known mistake would give."""
    for reason, mistake in mistakes.items():
        require(not torch.allclose(out, mistake), reason)


def number(answer: Any) -> float:
    """The answer as a finite number, or a hint."""
    try:
        if isinstance(answer, bool):
            raise TypeError
        value = float(answer)
    except Exception:
        raise Wrong(f"a number is wanted, got {shown(answer)}") from None
    if not math.isfinite(value):
        raise Wrong(f"a finite number is wanted, got {value}")
    return value


def call(answer: Callable, *inputs: Any) -> Any:
    """Call a submission with copies of the inputs and see that it left them alone."""
    copies = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    out = answer(*copies)
    if out is None:
        raise Wrong("the function returned None: end it with a return statement")
    for before, after in zip(inputs, copies, strict=True):
        if isinstance(before, torch.Tensor) and not torch.equal(before, after):
            raise Wrong("the function changed its input in place: work on a copy, or the network's output is lost")
    return out


def same_shape(out: Any, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """The output as a tensor of the wanted shape, or a hint."""
    require(isinstance(out, torch.Tensor), f"{what} must be a tensor, got {type(out).__name__}")
    require(tuple(out.shape) == tuple(shape), f"{what} must have shape {tuple(shape)}, got {tuple(out.shape)}")
    return out


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Random float64 numbers in [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Random float64 numbers of mean 0 and variance 1."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def one_of(answer: object, words: tuple[str, ...]) -> str:
    """The answer as one of some words, or a hint."""
    said = str(answer).strip().lower()
    require(said in words, f"the answer must be one of {', '.join(words)}; got {shown(answer)}")
    return said
