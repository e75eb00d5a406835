"""Numbers with units that stand in the prose of the chapters: each is read from data or code, or says why it cannot be.

The sentences that cells print hold most numbers of the book. What is typed by hand is a fact (checked below), a choice
that the task or the reader is given, or a statement about something that is not in this repository.
"""

from __future__ import annotations

import inspect
import re

import pytest

from .conftest import build

UNITS = (
    "%|per cent|K|°C|degrees?|km|metres?|m s|kg²?|hPa|hours?|days?|months?|seconds?|minutes?|cells?|frames?|maps?|"
    "points?|fields?|members?|values?|states?|columns?|steps?|parameters|numbers|layers|times|spreads?|seeds|runs|networks|"
    "epochs|stations|channels|waves?|places|blocks?|samples|pairs|rows|variables|levels"
)
NUMBER = re.compile(rf"(?<![\w$\\.,{{^-])(\d[\d,]*(?:\.\d+)?)(?:\s|-|\$|\\,)*((?:{UNITS}))(?!\w)")
GIVEN = "a setting of a task, a case or a slider, given to the reader"
RULE = "a rule that another test or the grader holds to"
NAME = "the name of a variable"
ELSEWHERE = "about somebody else's paper, data or product"


def sizes(name: str) -> dict:
    import physlab

    return dict(physlab.open_dataset(name).sizes)


def default(function, name: str):
    return inspect.signature(function).parameters[name].default


def window() -> tuple[int, int]:
    """Points of the window, and those that are given: every fourth in each direction, every third hour."""
    n = sizes("nature-window")
    return n["time"] * n["latitude"] * n["longitude"], len(range(0, n["time"], 3)) * len(
        range(0, n["latitude"], 4)
    ) ** 2


def report(row: str, column: str) -> float:
    from physlab.teach.report import reported

    return float(reported().loc[row, column])


def bands():
    from physlab.teach.assimilation import weather

    return weather


def width_of_the_hand_made_network() -> int:
    return (9 + 1) * 16 + (9 * 16 + 1) * 16


def phydl_threshold() -> float:
    from physlab.phydl.identify import threshold

    return default(threshold, "least")


def samples(name: str):
    from physlab.phydl.manufactured import Blobs

    return default(Blobs.samples, name)


def filament() -> float:
    from physlab.teach.gan import moving_filament

    return default(moving_filament, "width")


FACTS = {
    ("atmosphere", "256 points"): lambda: sizes("nature-budget")["longitude"] == 256,
    ("atmosphere", "1.4 degrees"): lambda: round(360 / sizes("nature-budget")["longitude"], 1) == 1.4,
    ("training", "2,500 numbers"): lambda: 2450 < width_of_the_hand_made_network() < 2550,
    ("conservation", "2.4 times"): lambda: round(report("E2", "mse") / report("E1", "mse"), 1) == 2.4,
    ("conservation", "0.068 kg²"): lambda: round(report("E1", "mse"), 3) == 0.068,
    ("conservation", "0.19 kg"): lambda: round(report("E2", "block_error"), 2) == 0.19,
    ("conservation", "0.98 kg"): lambda: round(report("E3", "mse") ** 0.5, 2) == 0.98,
    ("results", "0.1878 kg"): lambda: report("E2", "block_error") == 0.1878,
    ("phydl", "8,000 points"): lambda: samples("count") == 8000,
    ("phydl", "1 %"): lambda: samples("noise") == 0.01,
    ("phydl", "3 %"): lambda: phydl_threshold() == 0.03,
    ("phydl", "33 points"): lambda: sizes("nature-window")["latitude"] == sizes("nature-window")["longitude"] == 33,
    ("phydl", "6,561 points"): lambda: window()[1] == 6561,
    ("phydl", "6,561 numbers"): lambda: window()[1] == 6561,
    ("assimilation", "75 degrees"): lambda: bands().BAND == (20.0, 75.0),
    ("assimilation", "36 members"): lambda: 3 * 12 == 36 and "each at three longitudes" in prose("assimilation"),
    ("assimilation", "2 %"): lambda: default(bands().stations, "share") == 0.02,
    ("assimilation", "700 km"): lambda: bands().RADIUS == 7e5,
    ("sequences", "4 cells"): lambda: filament() == 4.0,
    ("phyda", "128 points"): lambda: sizes("nature-twin")["longitude"] == 128,
    ("phyda", "2.8 degrees"): lambda: round(360 / sizes("nature-twin")["longitude"], 1) == 2.8,
    ("latent", "256 points"): lambda: sizes("nature-terrain")["longitude"] == 256,
    ("latent", "1.4 degrees"): lambda: round(360 / sizes("nature-terrain")["longitude"], 1) == 1.4,
}
"""What data or code can say: each is computed."""

REASONS = {
    "preface": {"2-metre": NAME, "60 degrees": RULE, "4 cells": GIVEN},
    "atmosphere": {"300 K": GIVEN, "120 days": GIVEN, "24-hour": GIVEN, "850 hPa": GIVEN},
    "training": {"16 channels": GIVEN, "200 steps": GIVEN, "96 channels": GIVEN},
    "probability": {"30 kg": GIVEN, "16 cells": GIVEN},
    "conservation": {"24 hours": ELSEWHERE, "81 km": ELSEWHERE, "1 km": ELSEWHERE},
    "statistical": {"120 hours": GIVEN},
    "cnn": {"5 %": GIVEN},
    "gan": {"30 kg": GIVEN, "150 steps": GIVEN},
    "results": {"20 epochs": ELSEWHERE},
    "phydl": {"55 K": ELSEWHERE, "700 hPa": GIVEN},
    "kalman": {"2-metre": NAME, "10 °C": GIVEN, "14 °C": GIVEN, "1.5 degrees": GIVEN, "64 places": GIVEN, "1 K": GIVEN},
    "assimilation": {"40 numbers": GIVEN, "3,000 km": GIVEN},
    "diffusion": {"16 cells": GIVEN},
    "phyda": {
        "40 fields": GIVEN, "2 %": GIVEN, "0 %": GIVEN, "1.5 degrees": ELSEWHERE, "69 channels": ELSEWHERE,
        "40 channels": GIVEN,
    },
    "latent": {"75 degrees": GIVEN, "2 km": ELSEWHERE},
}  # fmt: skip
"""What stays typed, and why."""


def prose(chapter: str) -> str:
    """The paragraphs of a chapter up to its exercises, without citations and code."""
    words = build.words()
    source = build.without_solutions((build.BOOK / f"{chapter}.md").read_text(encoding="utf-8"))
    source = source.split("\n## Exercise")[0]
    text = "\n".join(" ".join(source[a:b].split()) for a, b in words.paragraphs(source))
    return re.sub(r"\{cite[^`]*`[^`]*`", "", text)


def typed(chapter: str) -> set[str]:
    """Numbers with units in the prose."""
    text = "\n".join(line for line in prose(chapter).splitlines() if "**Time**" not in line)
    return {f"{m[1]}{'-' if m[0][len(m[1])] == '-' else ' '}{m[2]}" for m in NUMBER.finditer(text)}


@pytest.mark.parametrize("chapter", [path.stem for path in build.chapters()])
def test_a_number_in_the_prose_is_checked_or_says_why_not(chapter):
    known = {text for name, text in FACTS if name == chapter} | set(REASONS.get(chapter, {}))
    new = typed(chapter) - known
    assert not new, (
        f"typed in the prose of {chapter}: {sorted(new)}; print it in a cell, check it in FACTS, or give a reason"
    )


def test_facts_and_reasons_are_still_there():
    for chapter, text in [*FACTS, *((chapter, text) for chapter, part in REASONS.items() for text in part)]:
        assert text in typed(chapter), f"{chapter} has no {text!r} any more: take it off the list"


@pytest.mark.parametrize(("chapter", "text"), FACTS)
def test_a_typed_fact_is_right(chapter, text):
    assert FACTS[chapter, text]()


def test_one_value_in_forty_is_given():
    every, given = window()
    assert "one value in 40" in prose("phydl") and round(every / given) == 40
