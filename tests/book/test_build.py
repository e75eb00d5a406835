"""The pages build with the network cut and load nothing from outside; the student edition has no solutions."""

from __future__ import annotations

import json
import pkgutil
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from .conftest import ROOT, build

EXECUTED = ("preface", "atmosphere")  # all chapters run in test_chapters.py
LOOKED_AT = (*EXECUTED, "conservation")


def copy_of_the_book(folder: Path, executed: Sequence[str] = ()) -> Path:
    """The sources of the book elsewhere, so that parallel tests do not meet in book/_build; some chapters are run."""
    copy = folder / "book"
    shutil.copytree(
        ROOT / "book", copy, ignore=shutil.ignore_patterns("_build", "_notebooks", "_student", "__pycache__")
    )
    config = copy / "_config.yml"
    text, force = config.read_text(), "execute_notebooks: force"
    assert force in text
    others = [f"{path.stem}*" for path in build.chapters() if path.stem not in executed]
    config.write_text(text.replace(force, f"exclude_patterns: {json.dumps(others)}\n  {force}"))
    return copy


def without_reference(book: Path) -> None:
    """Leave the pages of the reference out of a copy of the book."""
    toc, part = book / "_toc.yml", "  - caption: Reference of the library"
    before, found, _ = toc.read_text().partition(part)
    assert found
    toc.write_text(before)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, offline) -> Path:
    """The whole book, two chapters executed, with the network cut."""
    book = copy_of_the_book(tmp_path_factory.mktemp("html"), EXECUTED)
    assert "nothing in it is loaded from outside" in offline([str(book / "build.py"), "html"])
    return book / "_build" / "html"


@pytest.mark.slow
def test_the_reference_has_a_page_for_each_package(pages):
    packages = {module.name for module in pkgutil.iter_modules([str(ROOT / "physlab")])} - {"__main__", "cli"}
    assert packages == {path.stem for path in (pages / "api").glob("*.html")}
    for package, names in {
        "constrain": ["physlab.constrain.make_constraint"], "score": ["physlab.score.rmse"],
        "equations": ["physlab.equations.relative_residual", "physlab.equations.geostrophic.residual"],
        "registry": ["physlab.registry.register"], "data": ["physlab.data.open_dataset"],
    }.items():  # fmt: skip
        text = (pages / "api" / f"{package}.html").read_text(encoding="utf-8")
        for name in names:
            documented = name.rpartition(".")[2]
            assert re.search(rf'id="physlab\.{package}\.[\w.]*{documented}"', text), name


@pytest.mark.slow
def test_pages_are_whole_and_load_nothing_from_outside(pages):
    names = {
        "glossary.html",
        "preface.html",
        "atmosphere.html",
        "conservation.html",
        "notation.html",
        "bibliography.html",
        "index.html",
    }
    assert names <= {path.name for path in pages.glob("*.html")}
    assert build.external_loads(pages) == []
    assert (pages / "mathjax" / "tex-mml-chtml.js").stat().st_size > 1e6
    for name in LOOKED_AT:
        html = (pages / f"{name}.html").read_text()
        script = re.search(r'src="([^"]*tex-mml-chtml\.js)[^"]*"', html)
        assert script and (pages / script[1]).resolve().is_file()


@pytest.mark.slow
def test_every_local_file_that_a_page_loads_is_there(pages):
    for page in pages.glob("*.html"):
        loads = build._Loads()
        loads.feed(page.read_text())
        for address in loads.addresses:
            if address and not address.startswith(("data:", "#")):
                assert (pages / address.split("?")[0].split("#")[0]).exists(), (
                    f"{page.name} loads {address}, which is not there"
                )


@pytest.mark.slow
def test_pictures_have_alt_text_and_cells_did_not_fail(pages):
    for name, least in (("preface", 3), ("atmosphere", 5)):
        html = (pages / f"{name}.html").read_text()
        pictures = re.findall(r"<img[^>]*(?:_images/|data:image/png)[^>]*>", html)
        assert len(pictures) >= least
        for picture in pictures:
            alt = re.search(r'alt="([^"]*)"', picture)
            assert alt and len(alt[1].split()) >= 12, picture
        assert "Traceback" not in html and "&lt;Figure" not in html


@pytest.mark.slow
def test_solutions_are_folded_in_the_full_edition(pages):
    html = (pages / "conservation.html").read_text()
    assert html.count("solution dropdown") >= 6


@pytest.mark.slow
def test_links_into_the_explorer_arrive_whole(pages):
    from html import unescape

    from apps.state import parse_query

    for name in EXECUTED:
        links = re.findall(r'href="http://localhost:5006/explorer([^"]*)"', (pages / f"{name}.html").read_text())
        assert links
        for link in links:
            choice, _, problems = parse_query(unescape(link))
            assert not problems and choice.dataset == "tcw" and choice.frame > 0 and choice.factor == 4


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("name", ["atmosphere", "conservation", "notation"])
def test_mathematics_is_set_in_a_real_browser_without_any_request(pages, chromium, name):
    from apps.screenshot import browse

    requests, problems = [], []
    with browse(chromium) as browser:
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto((pages / f"{name}.html").as_uri())
        page.wait_for_selector("mjx-container mjx-math", timeout=60_000, state="attached")
        page.wait_for_function(
            "() => document.querySelectorAll('.math').length <= document.querySelectorAll('mjx-container').length"
        )
        assert page.locator("mjx-merror").count() == 0
        assert page.locator("mjx-container").count() >= 20
    assert not problems
    outside = [url for url in requests if not url.startswith(("file:", "data:"))]
    assert not outside, outside[0]


@pytest.mark.slow
@pytest.mark.browser
def test_sliders_move_without_a_kernel(pages, chromium):
    """Each position shows its own picture, by mouse and by keyboard; without scripts all of them are there."""
    from apps.screenshot import browse

    with browse(chromium) as browser:
        page = browser.new_page()
        page.goto((pages / "preface.html").as_uri())
        box = page.locator(".physlab-slider")
        shown = box.locator("img:visible")
        seen = {}
        for position in range(3):
            box.locator("input").fill(str(position))
            assert shown.count() == 1 and box.locator("output").text_content() == str((2, 4, 8)[position])
            seen[shown.get_attribute("src")] = shown.get_attribute("alt")
        assert len(seen) == 3 and all(len(alt.split()) > 12 for alt in seen.values())
        box.locator("input").press("ArrowLeft")
        assert box.locator("output").text_content() == "4" and shown.get_attribute("alt").endswith("factor: 4")
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto((pages / "preface.html").as_uri())
        assert plain.locator(".physlab-slider img:visible").count() == 3
        assert not plain.locator(".physlab-slider input").is_visible()


@pytest.mark.slow
def test_student_pages_have_no_solutions(tmp_path, offline):
    book = copy_of_the_book(tmp_path)
    without_reference(book)  # it has no solutions, and is built above
    offline([str(book / "build.py"), "student"])
    for name in LOOKED_AT:
        html = (book / "_build" / "student" / f"{name}.html").read_text()
        assert 'class="exercise' in html and 'class="solution' not in html
        assert 'assert</span> <span class="n">check</span>' not in html
        source = (book / "_student" / f"{name}.ipynb").read_text()
        assert (
            "Exercise:" in source
            and "# Solution" not in source
            and "<summary>" not in source
            and "assert check(" not in source
        )


def test_notebooks_are_plain_markdown(tmp_path):
    for path in build.make_notebooks(folder=tmp_path):
        import nbformat

        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        solving = [cell for cell in notebook.cells if cell.cell_type == "code" and "assert check(" in cell.source]
        assert solving and all(cell.metadata.jupyter.source_hidden for cell in solving)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                assert not re.search(r"\{(cite|doc|exercise|solution|admonition)", cell.source), cell.source[:200]
                assert cell.source.count("<details>") == cell.source.count("</details>")


def test_a_solution_without_end_stops_the_build():
    with pytest.raises(build.BuildError, match="not closed"):
        build.without_solutions("```{solution-start} x\n```\ntext\n")


def test_without_solutions_keeps_everything_else():
    cell = "```{code-cell} ipython3\n1\n```\n"
    solution = f"```{{solution-start}} x\n:class: dropdown\n```\nsecret\n{cell}```{{solution-end}}\n```\n"
    text = f"a\n{solution}b\n"
    assert build.without_solutions(text) == "a\nb\n"
    assert build.without_solutions("a\n```{solution} x\nsecret\n```\nb\n") == "a\nb\n"


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/x.css">',
        '<img src="http://example.org/x.png">',
        '<script>const url = "https://unpkg.com/x/index.js"</script>',
        '<div style="background: url(https://example.org/x.png)"></div>',
    ],
)
def test_loads_from_outside_are_found(tmp_path, html):
    (tmp_path / "page.html").write_text(f"<html><body>{html}</body></html>")
    assert len(build.external_loads(tmp_path)) == 1
    with pytest.raises(build.BuildError, match=r"page\.html"):
        build.verified(tmp_path)


def test_links_for_readers_are_no_loads(tmp_path):
    (tmp_path / "page.html").write_text('<a href="https://example.org">read</a><script src="local.js"></script>')
    assert build.external_loads(tmp_path) == []


def test_stylesheets_are_searched_too(tmp_path):
    (tmp_path / "x.css").write_text("@import 'https://fonts.example.org/x.css'; p {background: url(local.png)}")
    assert build.external_loads(tmp_path) == ["x.css: https://fonts.example.org/x.css"]
