"""Exercises grade by physics: right answers pass on any inputs, known-wrong ones fail with the right hint."""

from __future__ import annotations

import pytest

from physlab.errors import PhysLabError
from physlab.teach import check, exercises
from physlab.teach.check import register

ALL = exercises()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ALL)
def test_right_answer_passes(name, seed):
    verdict = check(name, ALL[name].right, seed=seed)
    assert verdict, verdict.message
    assert len(verdict.message) > 20


@pytest.mark.parametrize(("name", "index"), [(name, i) for name, e in ALL.items() for i in range(len(e.wrong))])
def test_known_mistakes_fail_with_the_right_hint(name, index):
    submission = ALL[name].wrong[index]
    for seed in (0, 7):
        verdict = check(name, submission.answer, seed=seed)
        assert not verdict, f"{submission.mistake} passed"
        assert submission.hint.lower() in verdict.message.lower(), f"{submission.mistake}: {verdict.message}"


@pytest.mark.parametrize("name", ALL)
def test_every_exercise_knows_mistakes_and_greets_an_empty_answer(name):
    assert len(ALL[name].wrong) >= 2
    for empty in (None, ...):
        verdict = check(name, empty)
        assert not verdict
        assert "nothing to grade yet" in verdict.message


def test_inputs_are_fresh_at_every_call():
    seen = []
    layer = ALL["block-mean"].right

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


def test_value_where_a_function_is_wanted():
    assert "a function is wanted" in check("thickness", 3.0).message


def test_unknown_name_lists_the_names():
    with pytest.raises(PhysLabError, match="block-mean"):
        check("no-such-exercise", 1)


def test_names_are_taken_once():
    with pytest.raises(PhysLabError, match="registered twice"):
        register(ALL["block-mean"])


def test_verdict_shows_itself():
    verdict = check("offset", {"add": True, "mult": False, "softmax": False})
    assert repr(verdict).startswith("PASSED")
    assert "offset" in verdict._repr_markdown_()
