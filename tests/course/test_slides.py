"""Slides show the figures, prompts and equations of a chapter, no answer, and load nothing from outside."""

from __future__ import annotations

import re

import pytest

from physlab.course.deck import Slide, markdown, page
from physlab.course.points import WORTH
from physlab.course.slides import deck, executed, slides
from physlab.course.source import book_folder, book_module, tasks
from physlab.errors import PhysLabError

BOOK = book_folder()
BUILD = book_module(BOOK)
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def computed(chapter: str):
    """The notebook of a chapter as if it had run: a dot for each figure, a table and a sentence for other cells."""
    import jupytext  # takes seconds, as nbformat does
    import nbformat

    notebook = jupytext.reads((BOOK / f"{chapter}.md").read_text(), fmt="md:myst")
    for k, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        data = {"text/markdown": f"Sentence {k}, computed." if k % 2 else "| a | b |\n|---|---|\n| 1 | 2 |"}
        data = {"image/png": DOT} if "mystnb" in cell.metadata else data
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    return notebook


@pytest.mark.parametrize("chapter", WORTH)
def test_a_deck_has_every_figure_and_no_solution(chapter):
    made = deck(chapter, BOOK, computed(chapter))
    text = "\n".join(f"{slide.heading}\n{slide.body}\n{''.join(slide.notes)}" for slide in made)
    source = BUILD.without_solutions((BOOK / f"{chapter}.md").read_text())
    source = re.sub(r"^```\{exercise-start\}.*?^```\{exercise-end\}", "", source, flags=re.M | re.S)
    named = re.findall(r"^    name: (fig-[\w-]+)$", source, flags=re.M)
    assert named and all(f"Fig. {BUILD.numbers()[name]}: " in text for name in named)
    assert text.count("<img alt=") == source.count("mystnb:") and 'alt=""' not in text
    assert "You will learn" in made[0].body and made[-1].heading == "Exercises"
    assert made[-1].body.count("<li>") == len(WORTH[chapter])
    for task in tasks(chapter, BOOK):
        assert task.statement[:60] not in text and (not task.words or task.words[:60] not in text)
    assert not re.search(r"\{(cite|doc|numref|eq)[\w:]*\}`|\{(exercise|solution|admonition)", text)
    assert sum(slide.heading == "Predict first" for slide in made) >= 1
    assert 8 <= len(made) <= 60


def test_pages_load_what_lies_beside_them(tmp_path):
    (tmp_path / "x.html").write_text(page("<T>", [Slide("A & $b$", "<p>c</p>"), Slide("B", "", ["told"])]))
    assert BUILD.external_loads(tmp_path) == []
    loads = BUILD._Loads()
    loads.feed((tmp_path / "x.html").read_text())
    assert loads.addresses and all((BOOK / "_vendor" / name).is_file() for name in loads.addresses)
    text = (tmp_path / "x.html").read_text()
    assert "<title>&lt;T&gt;" in text and text.count("<h1>") == text.count("<h2>") == 1 and "told" in text
    assert markdown("see [this](cnn.ipynb) and [that](https://example.org)").count("<a ") == 1


def test_what_the_book_has_computed_is_used(tmp_path, monkeypatch):
    """The text of a page may change without its figures; code that has changed is run again."""
    book = tmp_path / "book"
    (book / "_build" / "jupyter_execute").mkdir(parents=True)
    kept = book / "_build" / "jupyter_execute" / "short.ipynb"
    head = "---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n\n"
    (book / "short.md").write_text(head + "# Short\n\n```{code-cell}\n1 + 1\n```\n")
    ran = []
    import nbformat

    class Client:
        def __init__(self, notebook, **options):
            self.notebook = notebook

        def execute(self, cwd):
            ran.append(cwd)
            self.notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="2")]

    monkeypatch.setattr("nbclient.NotebookClient", Client)
    first = executed("short", book)
    assert ran == [str(book)] and first.cells[-1].outputs
    executed("short", book)
    assert len(ran) == 1
    nbformat.write(first, kept)
    (book / "_build" / "executed" / "short.ipynb").unlink()
    executed("short", book)
    assert len(ran) == 1
    (book / "short.md").write_text((book / "short.md").read_text().replace("1 + 1", "1 + 2"))
    executed("short", book)
    assert len(ran) == 2


def test_places_that_are_refused(tmp_path):
    with pytest.raises(PhysLabError, match="the chapters are"):
        slides(tmp_path / "x", ["prefix"])
    (tmp_path / "mine.txt").touch()
    with pytest.raises(PhysLabError, match="other files"):
        slides(tmp_path)


@pytest.mark.slow
@pytest.mark.browser
def test_a_deck_is_shown_with_its_formulas_and_without_any_request(tmp_path, chromium, monkeypatch):
    from apps.screenshot import browse

    monkeypatch.setattr("physlab.course.slides.executed", lambda chapter, book, progress: computed(chapter))
    out = slides(tmp_path / "slides", ["atmosphere"])
    requests, problems = [], []
    with browse(chromium) as browser:
        shown = browser.new_page()
        shown.on("request", lambda request: requests.append(request.url))
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("requestfailed", lambda request: problems.append(request.url))
        shown.goto((out / "atmosphere.html").as_uri())
        shown.wait_for_function("window.Reveal && Reveal.isReady()", timeout=60_000)
        count = shown.evaluate("Reveal.getTotalSlides()")
        assert count == len(deck("atmosphere", BOOK, computed("atmosphere")))
        shown.keyboard.press("ArrowRight")
        assert shown.evaluate("Reveal.getIndices().h") == 1
        assert shown.locator("mjx-container").count() >= 5 and shown.locator("mjx-merror").count() == 0
    assert not problems
    assert all(url.startswith(("file:", "data:")) for url in requests)
