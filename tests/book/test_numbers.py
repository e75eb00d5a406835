"""Numbers that are typed in the chapters: each is read from data or code, or says why it cannot be.

The sentences that cells print hold most numbers of the book. What is typed by hand is a fact (checked below), a choice
that the task or the reader is given, or a statement about something that is not in this repository: see `typed.py`.
"""

from __future__ import annotations

import re

import pytest

from .conftest import build
from .typed import FACTS, REASONS

WORDS = (
    "five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|twenty|thirty|forty|fifty|sixty|seventy|"
    "eighty|ninety|hundred"
)
UNITS = (
    "%|K|°C|kg|km|hPa|hours?|days?|seconds?|minutes?|years|cells?|steps?|degrees?|metres?|points?|members?|epochs|stations|"
    "channels|seeds|runs|times|per cent|maps|frames|fields|states|numbers|values|columns|rows|layers|methods|networks|"
    "questions|constraints|candidates|variables|levels|weights|copies|draws|errors?|moments|gaps|samples|pairs|kernels|"
    "trials?|tables|lines|analyses|entries|predictors"
)
NUMBER = re.compile(
    rf"(?<![\w.^])(?<![a-z]-)(?:(?![0-4](?![.,]?\d|[ -](?:x \d|(?:{UNITS})\b|[%°])))"
    rf"\d[\d,]*(?:\.\d+)?(?![\dA-JL-Za-z]|\.\d)(?:-[a-z]+| (?:x \d+|[^\s\d]+)|K)?"
    rf"|\b(?i:{WORDS})[ -](?:[a-z]+ )?(?:{UNITS})\b)"
)
"""A number and the word behind it: digits, below five only with a unit; words from five on before what they count."""


def prose(chapter: str) -> str:
    """What a reader reads: captions, alt texts, paragraphs, tables, exercises and solutions; no code, links, citations,
    displayed equations. Of formulas in the text, numbers that are given (`N = 4`, `33 x 33`) stay."""
    body = (build.BOOK / f"{chapter}.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    told = "\n".join(re.findall(r"^    (?:alt|caption): (.*)$", body, flags=re.M))
    body = re.sub(r"^```(?:\{code-cell\}|\w+).*?^```$|^    .*?$|\$\$.*?\$\$[^\n]*", "", body, flags=re.M | re.S)
    body = re.sub(r"^(?:`{3,}|:{3,}|:label:).*$|^.*\*\*Time\*\*.*$|^\d+\. |^#+ Balance \d", "", body, flags=re.M)
    body = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)", "", body)
    text = " ".join(f"{told}\n{body}".split())
    given = r"\$(?:[^$=]*= *)?(-?\d[\d,.]*)(?: *\\times *(\d+))?\$"
    text = re.sub(given, lambda m: m[1] + (f" x {m[2]}" if m[2] else ""), text)
    return re.sub(r"\$[^$]*\$", "§", text)


def typed(chapter: str) -> set[str]:
    """Numbers, each with the word behind it."""
    text = prose(chapter)
    return {re.sub(r"[.,:;)*?\"]+$", "", m[0]) for m in NUMBER.finditer(text)}


@pytest.mark.parametrize("chapter", [path.stem for path in build.chapters()])
def test_a_number_in_the_prose_is_checked_or_says_why_not(chapter):
    known = {text for name, text in FACTS if name == chapter} | REASONS.get(chapter, set())
    new = typed(chapter) - known
    assert not new, (
        f"typed in the prose of {chapter}: {sorted(new)}; print it in a cell, check it in FACTS, or give a reason"
    )


def test_facts_and_reasons_are_still_there():
    assert "one value in 40" in prose("phydl") and "each at three longitudes" in prose("assimilation")
    for chapter, text in [*FACTS, *((chapter, text) for chapter, part in REASONS.items() for text in part)]:
        assert text in typed(chapter), f"{chapter} has no {text!r} any more: take it off the list"
    assert len(FACTS) > 100


@pytest.mark.parametrize(("chapter", "text"), FACTS)
def test_a_typed_fact_is_right(chapter, text):
    assert FACTS[chapter, text]()


def test_a_number_is_found_wherever_it_is_typed(monkeypatch, tmp_path):
    page = """---
x
---

# A title of 77

In 1999 we had 7.5 of $N = 8$, twelve storms and nine maps.

| 6 a | $9 \\times 9$ |

```{code-cell} ipython3
---
    alt: A map of 61 cells.
---
x = 55
```

```{exercise} One
:label: ex-5
Take 71 K, not `72`.
```
"""
    (tmp_path / "a.md").write_text(page)
    monkeypatch.setattr(build, "BOOK", tmp_path)
    assert typed("a") == {"77 In", "1999 we", "7.5 of", "8, twelve", "nine maps", "6 a", "9 x 9", "61 cells", "71 K"}
