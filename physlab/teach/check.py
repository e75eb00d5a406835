"""`check("name", answer)`: grade an exercise by physics, on fresh random inputs, and explain a failure in physical
terms.

An exercise never compares an answer with a stored array. It draws new inputs at every call and asks for what nature
asks:
the block mean is kept, the water budget closes, the wind blows along the isobars. A grader raises `Wrong` with the
broken law.

Every exercise also registers known-wrong submissions, each with the words that its hint must contain; the tests
submit them
all, so that a grader can neither fall asleep nor give the wrong advice.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch

from physlab.errors import PhysLabError


class Wrong(Exception):
    """Raised by a grader: the physical reason why an answer fails."""


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
class Exercise:
    """One exercise: how it is graded, one right answer and the mistakes that it must recognise.

    Attributes
    ----------
    name : str
        The name given to `check`.
    asks : str
        What the answer must be (signature and meaning), repeated when something else is handed in.
    grade : callable
        `grade(answer, generator)`; raises `Wrong` or returns the sentence that confirms what was verified. Where the
        right answer is a number, it is handed a number.
    right : object
        A right answer (tests only; the solution shown in the book is its own cell).
    wrong : tuple of Submission
        At least two known-wrong submissions.
    """

    name: str
    asks: str
    grade: Callable[[Any, torch.Generator], str]
    right: Any
    wrong: tuple[Submission, ...] = field(default_factory=tuple)


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
_MISTAKES: dict[Grader, tuple[Submission, ...]] = {}


def exercise(name: str, right: Any) -> Callable[[Grader], Grader]:
    """Register the decorated grader; its docstring says what the answer must be. The fields are those of `Exercise`.

    >>> @exercise("double", right=lambda x: 2 * x)
    ... @wrong("squared", lambda x: x * x, hint="twice")
    ... @wrong("unchanged", lambda x: x, hint="twice")
    ... def grade(answer, generator):
    ...     \"\"\"a function double(x) -> number\"\"\"
    ...     require(answer(3) == 6, "twice 3 is wanted")
    ...     return "twice as much"
    """

    def add(grade: Grader) -> Grader:
        asks = " ".join((grade.__doc__ or "").split())
        register(Exercise(name, asks, grade, right, _MISTAKES.pop(grade, ())))
        return grade

    return add


def wrong(mistake: str, answer: Any, hint: str) -> Callable[[Grader], Grader]:
    """Add a known-wrong submission to the decorated grader, in the order of reading; see `Submission`."""

    def add(grade: Grader) -> Grader:
        _MISTAKES[grade] = (Submission(mistake, answer, hint), *_MISTAKES.get(grade, ()))
        return grade

    return add


ORDER = (
    "preface", "atmosphere", "conservation", "statistical", "cnn", "gan", "results", "phydl", "assimilation", "phyda",
    "latent",
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
    exercise = known[name]
    generator = torch.Generator()
    generator.manual_seed(seed) if seed is not None else generator.seed()
    if answer is None or answer is Ellipsis:
        return Verdict(name, False, f"nothing to grade yet. Wanted: {exercise.asks}")
    if callable(exercise.right) and not callable(answer):
        return Verdict(name, False, f"a function is wanted, got {type(answer).__name__}. Wanted: {exercise.asks}")
    try:
        handed = number(answer) if isinstance(exercise.right, int | float) else answer
        return Verdict(name, True, exercise.grade(handed, generator))
    except Wrong as reason:
        return Verdict(name, False, str(reason))
    except Exception as error:  # the student's own code failed: say where, without a traceback
        first = (str(error).splitlines() or [""])[0]
        return Verdict(
            name, False, f"your answer stopped with {type(error).__name__}: {first} (Wanted: {exercise.asks})"
        )


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
    """The answer as a number, or a hint."""
    try:
        return float(answer)
    except (TypeError, ValueError):
        raise Wrong(f"a number is wanted, got {answer!r}") from None


def call(answer: Callable, *inputs: Any) -> Any:
    """Call a submission with copies of the inputs and see that it left them alone."""
    copies = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    out = answer(*copies)
    if out is None:
        raise Wrong("the function returned None: end it with a return statement")
    for before, after in zip(inputs, copies, strict=True):
        if isinstance(before, torch.Tensor) and not torch.equal(before, after):
            names = ", ".join(inspect.signature(answer).parameters)
            raise Wrong(
                f"the function changed its input in place ({names}): work on a copy, or the network's output is lost"
            )
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
    require(said in words, f"the answer must be one of {', '.join(words)}; got {answer!r}")
    return said
