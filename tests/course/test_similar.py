"""Similar submissions are found by compare50; where it is not installed, one line says how to install it."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from physlab.course.assignments import notebook
from physlab.course.similar import code, compare, handed_out, interpreter
from physlab.course.source import book_folder
from physlab.errors import PhysLabError

OWN = """
def means(fine, n):
    rows = []
    for i in range(0, fine.shape[-2], n):
        row = []
        for j in range(0, fine.shape[-1], n):
            total = sum(fine[..., i + a, j + b] for a in range(n) for b in range(n))
            row.append(total / n**2)
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)
"""
OTHER = "def f(x, n):\n    h, w = x.shape[-2:]\n    return x.unfold(-2, n, n).unfold(-2, n, n).mean((-1, -2))\n"


def hand_in(folder: Path, student: str, text: str, name: str) -> None:
    """A student's notebook of the preface with a function of their own."""
    content = notebook("preface", "student", book_folder())
    for cell in content["cells"]:
        if cell["id"] == "answer-coarsen":
            cell["source"] += f"\n{text}\nanswer_coarsen = {name}\n"
    (folder / student).mkdir(parents=True)
    (folder / student / "preface.ipynb").write_text(json.dumps(content))


def test_without_it_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("PHYSLAB_COMPARE50", raising=False)
    monkeypatch.setattr("physlab.course.similar.find_spec", lambda name: None)
    with pytest.raises(PhysLabError, match=r"pip install compare50, then PHYSLAB_COMPARE50="):
        interpreter()
    monkeypatch.setenv("PHYSLAB_COMPARE50", str(tmp_path / "python"))
    with pytest.raises(PhysLabError, match="no file"):
        compare(tmp_path, tmp_path / "out")


def test_comments_magics_and_what_was_handed_out_are_left_out(tmp_path):
    assert code(["# a\n%pip install x\nx = 1  # one\n\n", "!ls\n  # b\ny = 2"]) == "x = 1  # one\ny = 2\n"
    assert "answer_coarsen = ..." in handed_out("preface", None) and "check(" in handed_out("preface", None)
    assert handed_out("preface", tmp_path) == ""


def test_places_that_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("physlab.course.similar.interpreter", lambda: "python")
    hand_in(tmp_path / "in", "ada", OWN, "means")
    with pytest.raises(PhysLabError, match="two students"):
        compare(tmp_path / "in", tmp_path / "out")
    with pytest.raises(PhysLabError, match="another place"):
        compare(tmp_path / "in", tmp_path / "in" / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(PhysLabError, match="other files"):
        compare(tmp_path / "in", tmp_path / "full")


@pytest.mark.slow
def test_a_copy_with_other_names_is_found_and_an_own_answer_is_not(tmp_path):
    if not os.environ.get("PHYSLAB_COMPARE50") and find_spec("compare50") is None:
        pytest.skip("compare50 is not installed, and PHYSLAB_COMPARE50 names no Python that has it")
    renamed = OWN.replace("means", "average").replace("fine", "big").replace("total", "t").replace("row", "line")
    for student, text, name in (("ada", OWN, "means"), ("blaise", renamed, "average"), ("carl", OTHER, "f")):
        hand_in(tmp_path / "in", student, text, name)
    before = {p: p.read_bytes() for p in (tmp_path / "in").rglob("*.ipynb")}
    pages = compare(tmp_path / "in", tmp_path / "out")
    assert pages == [tmp_path / "out" / "preface" / "index.html"]
    assert before == {p: p.read_bytes() for p in (tmp_path / "in").rglob("*") if p.is_file()}
    first = (tmp_path / "out" / "preface" / "match_1.html").read_text()
    assert "in/ada" in first and "in/blaise" in first and "in/carl" not in first
    assert "average" in first and "http://" not in first.replace("http://www.w3.org", "")
