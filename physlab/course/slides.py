"""Slides of a chapter, from the notebook that makes its page: the same figures, tables and computed sentences."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from physlab.course.deck import Slide, inline, markdown, page
from physlab.course.points import WORTH, worth
from physlab.course.source import book_module, prepared, tasks
from physlab.errors import PhysLabError

LONGEST = 330
"""Letters of a lead sentence; the rest is for the speaker."""
ROWS = 14
"""Rows of a table that fit on a slide."""
_ASK = r"\*\*[^*\n]*(?:[Pp]redict|Before\s+you|Write\s+down)"


# ---- the executed notebook ------------------------------------------------------------------------------------------


def _read(source: str) -> Any:
    try:
        import jupytext
    except ImportError:
        raise PhysLabError("slides need jupytext and nbconvert: pip install 'physlab[book]'") from None
    return jupytext.reads(source, fmt="md:myst")


def _code(notebook: Any) -> list[str]:
    return [cell.source.strip() for cell in notebook.cells if cell.cell_type == "code"]


def executed(chapter: str, book: Path, progress: Callable[[str], None] = lambda text: None) -> Any:
    """The notebook of a chapter with its outputs: what `make book` has computed from this text, otherwise run now."""
    import nbformat

    notebook = _read((book / f"{chapter}.md").read_text(encoding="utf-8"))
    kept = book / "_build" / "executed" / f"{chapter}.ipynb"
    for place in (book / "_build" / "jupyter_execute" / f"{chapter}.ipynb", kept):
        if place.is_file():
            found = nbformat.read(place, 4)
            computed = any(cell.get("outputs") for cell in found.cells if cell.cell_type == "code")
            if computed and _code(found) == _code(notebook):
                return found
    try:
        from nbclient import NotebookClient
    except ImportError:
        raise PhysLabError("slides need nbclient: pip install 'physlab[book]'") from None
    progress(f"{chapter}: computing its figures, up to five minutes; `make book` keeps them")
    before = {k: os.environ.get(k) for k in ("PHYSLAB_STATIC", "MPLBACKEND")}
    os.environ |= {"PHYSLAB_STATIC": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(book))
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


# ---- what of it is shown --------------------------------------------------------------------------------------------


def _sentence(text: str) -> tuple[str, str]:
    """The first sentence of a paragraph, and the rest."""
    flat = " ".join(text.split())
    parts = re.split(r"(?<=[.!?:])\s+(?=[A-Z*$`])", flat)
    lead = parts[0]
    for part in parts[1:]:
        if len(lead) + len(part) > LONGEST:
            break
        lead = f"{lead} {part}"
    return lead, flat[len(lead) :].strip()


def _figure(cell: Any, number: str) -> str:
    """The picture of a cell as HTML, or "": a slider with all its positions, otherwise a PNG or SVG inside the page."""
    about = cell.metadata.get("mystnb", {})
    caption = about.get("figure", {}).get("caption", "")
    below = f"<figcaption>{number}{inline(caption)}</figcaption>" if caption else ""
    for output in cell.outputs:
        data = output.get("data", {})
        html = "".join(data.get("text/html", ""))
        if "physlab-slider" in html:
            return f"<figure>{html}{below}</figure>"
        if "image/png" in data:
            raw, alt = "".join(data["image/png"]).replace("\n", ""), escape(about.get("image", {}).get("alt", caption))
            return f'<figure><img alt="{alt}" src="data:image/png;base64,{raw}">{below}</figure>'
    return ""


class _Deck:
    """Goes through a notebook and collects slides."""

    def __init__(self, chapter: str, book: Path, build: Any) -> None:
        self.chapter, self.book, self.build = chapter, book, build
        self.references, self.numbered = build.bibliography(), build.numbers()
        self.slides: list[Slide] = []
        self.heading = chapter

    def plain(self, text: str) -> str:
        return self.build.plain_markdown(text, self.references, self.numbered)

    def add(self, body: str, heading: str = "") -> None:
        self.slides.append(Slide(heading or self.heading, body))

    def note(self, text: str) -> None:
        if self.slides and text:
            self.slides[-1].notes.append(text + "\n")

    def text(self, source: str) -> None:
        """Headings open a slide with the first sentence; prompts and equations are shown; the rest is told."""
        source = _without_exercises(source)
        learn = re.search(r"\* \*\*You will learn\*\* (.*?)\n\* \*\*", source, flags=re.S)
        source = re.sub(r"^(:{3,})\{admonition\}.*?^\1$", "", source, flags=re.M | re.S)
        for block in re.split(r"\n\s*\n|(?=" + _ASK + ")", self.plain(source)):
            block = block.strip()
            head = re.match(r"(#{1,4}) (.+)$", block, flags=re.S)
            if head and (head[1] == "#" or not self.slides):
                self.heading, body = head[2].strip(), ""
                if learn:
                    goals = " ".join(self.plain(learn[1]).split()).rstrip(".")
                    body = f"<p>You will learn {inline(goals)}.</p>"
                self.add(body)
            elif head:
                self.heading = head[2].strip()
                if self.heading != "Exercises":
                    self.add("")
            elif re.match(_ASK, block):
                self.add(f'<div class="ask">{markdown(block)}</div>', "Predict first")
            elif block.startswith(("$$", "\\begin")):
                self._equation(block)
            elif self.slides and not self.slides[-1].body and not block.startswith(("|", "```", "<", ">")):
                lead, rest = (block, "") if block.startswith(("*", "1.", "-")) else _sentence(block)
                self.slides[-1].body = markdown(lead)
                self.note(rest)
            elif block and not block.startswith("<"):
                self.note(block)

    def _equation(self, block: str) -> None:
        last = self.slides[-1] if self.slides else None
        if last is None or "<figure" in last.body or "<table" in last.body or last.body.count("$$") > 2:
            self.add("")
        self.slides[-1].body += markdown(block)

    def code(self, cell: Any) -> None:
        """A figure has a slide of its own, a table too; a computed sentence stands below the figure before it."""
        label = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "")
        figure = _figure(cell, f"Fig. {self.numbered[label]}: " if label in self.numbered else "")
        if figure:
            self.add(figure)
            return
        for output in cell.get("outputs", []):
            text = "".join(output.get("data", {}).get("text/markdown", ""))
            if not text or "/explorer?" in text or text.startswith("This page was computed"):
                continue
            rows = text.count("\n|")
            if text.lstrip().startswith("|"):
                if rows <= ROWS:
                    self.add(markdown(text))
            elif self.slides and len(text) < 2 * LONGEST and self.slides[-1].body.count("<p") < 4:
                self.slides[-1].body += markdown(text)
            else:
                self.note(text)

    def last(self) -> None:
        """What is to be done: the graded exercises with points and minutes."""
        known = WORTH.get(self.chapter, {})
        items = "".join(
            f"<li>{inline(task.title)} <span class='foot'>{worth(task.key).points} points, about "
            f"{worth(task.key).minutes} minutes</span></li>"
            for task in tasks(self.chapter, self.book)
            if task.key in known
        )
        self.add(f"<ul>{items}</ul>", "Exercises")


def _without_exercises(source: str) -> str:
    """A Markdown cell without exercises and solutions that open and close in it, and without the ends of others."""
    source = re.sub(r"^(`{3,})\{(exercise|solution)\}.*?^\1\s*$", "", source, flags=re.M | re.S)
    source = re.sub(r"^(`{3,})\{(exercise|solution)-end\}\s*\n\1\s*$", "", source, flags=re.M)
    return re.split(r"^`{3,}\{(?:exercise|solution)-start\}", source, maxsplit=1, flags=re.M)[0]


def deck(chapter: str, book: Path, notebook: Any) -> list[Slide]:
    """The slides of an executed notebook."""
    made, inside = _Deck(chapter, book, book_module(book)), False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            marks = re.findall(r"\{(?:exercise|solution)-(start|end)\}", cell.source)
            if inside and marks and marks[0] == "end":
                inside = False
            if not inside:
                made.text(re.sub(r"\A(`{3,})\{(?:exercise|solution)-end\}\s*\n\1\s*$", "", cell.source, flags=re.M))
            inside = marks[-1] == "start" if marks else inside
        elif cell.cell_type == "code" and not inside:
            made.code(cell)
    made.slides = [slide for k, slide in enumerate(made.slides) if not k or slide.body]
    made.last()
    return made.slides


def slides(
    output: str | Path,
    names: Sequence[str] = (),
    book: str | Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write a deck of slides for each chapter; nothing in it is loaded from outside.

    Parameters
    ----------
    output : str or Path
        A folder that is new, empty, or the output of an earlier call: gets `CHAPTER.html`, `reveal` and `mathjax`.
    names : sequence of str
        Chapters; all by default.
    book : str or Path, optional
        The folder `book` of a checkout.
    progress : callable
        Is told a line for each chapter.

    Returns
    -------
    Path
        The folder.
    """
    source, out, chosen = prepared(output, names, book, "reveal", "slides")
    for part in ("reveal", "mathjax"):
        shutil.copytree(source / "_vendor" / part, out / part, dirs_exist_ok=True)
    for name in chosen:
        made = deck(name, source, executed(name, source, progress))
        (out / f"{name}.html").write_text(page(made[0].heading, made), encoding="utf-8")
        progress(f"{name}: {len(made)} slides")
    return out
