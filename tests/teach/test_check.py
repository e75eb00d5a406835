"""Exercises grade by physics: right answers pass on any inputs and in any number type, known-wrong ones fail with the
right hint, and whatever else is handed in gets a sentence that gives nothing away."""

from __future__ import annotations

import os
import re
import sys

import numpy as np
import pytest
import torch

from physlab.errors import PhysLabError
from physlab.teach import answer, answers, check, exercises, load_answers
from physlab.teach.answers import Submission
from physlab.teach.check import exercise, register

ALL, KNOWN = exercises(), load_answers()
FUNCTIONS = [name for name, e in ALL.items() if e.wants == "function"]
VALUES = [name for name, e in ALL.items() if e.wants != "function"]
SEEDS = range(int(os.environ.get("PHYSLAB_SEEDS", "3")))  # a grader that is a matter of luck shows itself with hundreds
GRADIENT = ("generator-loss", "mend-the-loss", "mend-the-penalty")  # a loss must stay a tensor


def each_tensor(change, value):
    if isinstance(value, tuple):
        return tuple(each_tensor(change, part) for part in value)
    return change(value) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def test_every_exercise_has_its_answers_and_knows_mistakes():
    assert set(ALL) == set(KNOWN)
    assert all(len(known.wrong) >= 2 for known in KNOWN.values())
    assert all(callable(KNOWN[name].right) == (e.wants == "function") for name, e in ALL.items())


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed > 0)) for seed in SEEDS])
@pytest.mark.parametrize("name", ALL)
def test_right_answer_passes(name, seed):
    verdict = check(name, KNOWN[name].right, seed=seed)
    assert verdict, verdict.message
    assert len(verdict.message) > 20


@pytest.mark.parametrize(("name", "index"), [(name, i) for name, e in KNOWN.items() for i in range(len(e.wrong))])
def test_known_mistakes_fail_with_the_right_hint(name, index):
    submission = KNOWN[name].wrong[index]
    for seed in (0, 7, *SEEDS[3:]):
        verdict = check(name, submission.answer, seed=seed)
        assert not verdict, f"{submission.mistake} passed with the seed {seed}"
        assert submission.hint.lower() in verdict.message.lower(), f"{submission.mistake}: {verdict.message}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_right_answer_passes_in_single_precision(name):
    right = KNOWN[name].right
    for given in (lambda x: x, torch.Tensor.float):  # what is returned, and what is computed with
        verdict = check(
            name,
            lambda *x, given=given: each_tensor(torch.Tensor.float, right(*each_tensor(given, x))),
            seed=0,
        )
        assert verdict, verdict.message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_right_answer_passes_as_numpy(name):
    right = KNOWN[name].right
    verdict = check(name, lambda *x: each_tensor(lambda t: t.detach().numpy(), right(*x)), seed=0)
    if name in GRADIENT:
        assert not verdict and "no gradient" in verdict.message
    else:
        assert verdict, verdict.message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_a_function_returns_is_answered_by_a_sentence(name):
    right = KNOWN[name].right
    forms = {
        "nan": lambda *x: float("nan"),
        "all nan": lambda *x: each_tensor(lambda t: t * float("nan"), right(*x)),
        "word": lambda *x: "x",
        "empty": lambda *x: torch.zeros(0),
        "one": lambda *x: torch.tensor(1.0),
        "list": lambda *x: [1, 2],
        "complex": lambda *x: 1j * torch.ones(3, 4),
        "shape": lambda *x: torch.ones(3, 4, 5, 6),
        "dictionary": lambda *x: {},
        "nothing": lambda *x: None,
        "leaves": lambda *x: sys.exit(3),
        "own error": lambda *x: [][1],
    }
    for form, submission in forms.items():
        if form == "all nan" and not isinstance(right, type(lambda: 0)):
            continue
        verdict = check(name, submission, seed=0)
        numbers = form == "all nan" and bool(verdict)  # some answers hold no tensor
        assert not verdict or numbers, f"{form} passed"
        assert "\n" not in verdict.message
        if form not in ("leaves", "own error"):
            assert "IndexError" not in verdict.message and "RuntimeError" not in verdict.message, verdict.message
    assert "stopped with SystemExit" in check(name, forms["leaves"]).message
    assert "stopped with IndexError" in check(name, forms["own error"]).message


ODD = [
    float("nan"), float("inf"), -float("inf"), "", "x", [], {}, (), torch.zeros(3), np.zeros(0), 1j, True, 10**400,
    {"a": 1}, object(), [float("nan")] * 2, (float("nan"),) * 2, lambda: 1,
]  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_whatever_is_handed_in_for_a_value_is_answered_by_a_sentence(name):
    for odd in ODD:
        verdict = check(name, odd, seed=0)
        assert not verdict, f"{odd!r} passed"
        assert "Error" not in verdict.message and "\n" not in verdict.message, verdict.message


@pytest.mark.parametrize("name", [name for name in VALUES if not isinstance(KNOWN[name].right, (str, dict, list))])
def test_no_failure_tells_a_number_that_passes(name):
    """Every number of every failure is fed back, alone or in pairs."""
    for said in [*(s.answer for s in KNOWN[name].wrong), -1e9, 1e9, (1e9, 1e9)]:
        verdict = check(name, said, seed=0)
        numbers = [float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", verdict.message.replace(",", ""))]
        assert not verdict
        if ALL[name].wants == "number":
            leaked = [x for x in numbers if check(name, x, seed=1)]
        else:
            leaked = [(x, y) for x in numbers for y in numbers if check(name, (x, y), seed=1)]
        assert not leaked, f"after {said!r}: {verdict.message}"


@pytest.mark.parametrize("name", [name for name in VALUES if isinstance(KNOWN[name].right, (str, dict, list))])
def test_no_failure_tells_a_measurement(name):
    """Before words are right, nothing is measured aloud: the success has numbers, the failure has none of them."""
    measured = set(re.findall(r"\d+\.\d+", check(name, KNOWN[name].right, seed=0).message))
    for submission in KNOWN[name].wrong:
        assert not measured & set(re.findall(r"\d+\.\d+", check(name, submission.answer, seed=0).message))


def test_not_a_number_is_told_so():
    assert "finite number is wanted, got nan" in check("predict-neighbour", float("nan")).message
    assert "finite number is wanted, got inf" in check("predict-doubling", float("inf")).message
    verdict = check("spread-factor", lambda count: float("nan"))
    assert not verdict and "finite" in verdict.message


def test_largest_residual_is_no_penalty():
    verdict = check("mend-the-penalty", lambda r: r.abs().max())
    assert not verdict and "every point must count" in verdict.message
    assert check("mend-the-penalty", lambda r: r.abs().mean())


@pytest.mark.parametrize("name", ALL)
def test_every_exercise_greets_an_empty_answer(name):
    for empty in (None, ..., "", " "):
        verdict = check(name, empty)
        assert not verdict
        assert "nothing to grade yet" in verdict.message


def test_inputs_are_fresh_at_every_call():
    seen = []
    layer = KNOWN["block-mean"].right

    def spy(fine, coarse, factor):
        seen.append(float(fine.sum()))
        return layer(fine, coarse, factor)

    assert check("block-mean", spy)
    first, seen[:] = list(seen), []
    assert check("block-mean", spy)
    assert first != seen


def test_crash_in_the_answer_is_explained_not_raised():
    verdict = check("block-mean", lambda fine, coarse, factor: fine @ coarse)
    assert not verdict
    assert "stopped with" in verdict.message and "\n" not in verdict.message


def test_value_where_a_function_is_wanted_and_the_reverse():
    assert "a function is wanted" in check("thickness", 3.0).message
    assert "a number is wanted, got a function" in check("predict-doubling", lambda: 1.7).message


def test_unknown_name_lists_the_names():
    with pytest.raises(PhysLabError, match="block-mean"):
        check("no-such-exercise", 1)


def test_names_are_taken_once():
    with pytest.raises(PhysLabError, match="registered twice"):
        register(ALL["block-mean"])
    with pytest.raises(PhysLabError, match="has an answer already"):
        answer("block-mean", None)
    with pytest.raises(PhysLabError, match="allowed are function, number, value"):
        exercise("new", wants="poem")


def test_answers_are_read_once_and_said_to_be_missing(tmp_path):
    assert load_answers() == answers() == KNOWN
    with pytest.raises(PhysLabError, match="never installed"):
        load_answers(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from physlab.teach import Submission, answer\nanswer('mine', 1, Submission('two', 2, 'one'))\n"
    )
    assert load_answers(tmp_path)["mine"].wrong == (Submission("two", 2, "one"),)


def test_verdict_shows_itself():
    verdict = check("offset", {"add": True, "mult": False, "softmax": False})
    assert repr(verdict).startswith("PASSED")
    assert "offset" in verdict._repr_markdown_()
