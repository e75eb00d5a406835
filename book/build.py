"""Make the notebooks and the pages of the book from its Markdown sources.

    python book/build.py notebooks            book/*.md -> book/_notebooks/*.ipynb (for JupyterLab and nbmake)
    python book/build.py notebooks --student  the same without solutions -> book/_student/
    python book/build.py html                 -> book/_build/html, and a check that no page loads anything from outside
    python book/build.py student              pages and notebooks of the student edition, without solutions ->
    book/_build/student
    python book/build.py pdf                  the chapters as one PDF, printed by Chromium -> book/_build/physlab.pdf
    python book/build.py pdf --student        the same without solutions, from the student edition

Nothing is fetched: mathematics is set by the MathJax in book/_static, the rest comes with the theme. The notebooks are
generated, never edited: the Markdown is the source.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

BOOK = Path(__file__).resolve().parent
NOTEBOOKS = BOOK / "_notebooks"
STUDENT = BOOK / "_student"
FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}(?P<title>[^\n]*)$")
COLAB = """\
# On Colab alone: PhysLab with the data that ship. Anywhere else this cell does nothing.
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install --quiet physlab[book] physlab-assets")  # noqa: F821"""
FOLD = "<details><summary>Solution</summary>\n"


class BuildError(RuntimeError):
    """The book cannot be built; one line that says why."""


def chapters() -> list[Path]:
    """The Markdown sources that are notebooks, in the order of the table of contents."""
    names = re.findall(r"^\s*(?:- file|root):\s*(\S+)", (BOOK / "_toc.yml").read_text(), flags=re.M)
    pages = [BOOK / f"{name}.md" for name in names]
    return [page for page in pages if page.is_file() and "\nkernelspec:" in page.read_text()]  # others are generated


def titles() -> dict[str, str]:
    """Chapter -> its heading."""
    return {path.stem: re.search(r"^# (.+)$", path.read_text(), flags=re.M)[1] for path in chapters()}


def words() -> ModuleType:
    """The module beside this one that knows the terms of the book."""
    spec = importlib.util.spec_from_file_location("book_terms", BOOK / "terms.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["book_terms"] = module
    spec.loader.exec_module(module)
    return module


# ---- solutions ------------------------------------------------------------------------------------------------------


def without_solutions(source: str) -> str:
    """The source of a chapter without its solutions, whatever they hold."""
    kept, inside, fence = [], None, ""
    for line in source.splitlines():
        match = FENCE.match(line)
        if inside is None and match and match["name"] in ("solution-start", "solution"):
            inside, fence = match["name"], match["fence"]
        if inside is None:
            kept.append(line)
        elif inside == "solution" and line.rstrip() == fence:
            inside = None
        elif inside == "solution-start" and match and match["name"] == "solution-end":
            inside = "closing"
            fence = match["fence"]
        elif inside == "closing" and line.rstrip() == fence:
            inside = None
    if inside is not None:
        raise BuildError("a solution is not closed: every {solution-start} needs its {solution-end}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)) + "\n"


# ---- notebooks ------------------------------------------------------------------------------------------------------


def bibliography() -> dict[str, str]:
    """Key -> "Author et al. (year)" for notebooks, where no bibliography tool runs."""
    entries = {}
    for key, body in re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", (BOOK / "references.bib").read_text(), flags=re.M | re.S):
        authors = re.search(r"author\s*=\s*\{(.*)\},?$", body, flags=re.M)[1].split(" and ")
        names = [re.sub(r"[{}\\\"'~]", "", name.split(",")[0]) for name in authors]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        year = re.search(r"year\s*=\s*\{(\d+)\}", body)[1]
        entries[key] = f"{who} ({year})"
    return entries


def cited(kind: str, keys: str, references: dict[str, str]) -> str:
    """A citation as plain text: "Author (year)" as part of a sentence, "(Author, year; ...)" beside it."""
    found = [references[key.strip()] for key in keys.split(",")]
    if kind == "t":
        return "; ".join(found)
    return "(" + "; ".join(re.sub(r" \((\d+)\)$", r", \1", text) for text in found) + ")"


def numbers() -> dict[str, str]:
    """Label of a figure or an equation -> its number, as Sphinx counts: chapter, point, place in the chapter."""
    found = {}
    for place, path in enumerate(chapters()):
        text = path.read_text()
        lead = f"{place}." if place else ""  # the preface has no number
        for pattern in (r"^    name: (fig-[\w-]+)$", r"\$\$ \((eq-[\w-]+)\)"):
            labels = re.findall(pattern, text, flags=re.M)
            found |= {label: f"{lead}{number}" for number, label in enumerate(labels, 1)}
    return found


def plain_markdown(text: str, references: dict[str, str], numbered: dict[str, str] | None = None) -> str:
    """MyST directives and roles as Markdown that every notebook viewer shows."""
    numbered = numbers() if numbered is None else numbered
    out, stack, folded = [], [], False
    for line in text.splitlines():
        match = FENCE.match(line)
        if match:
            name, title = match["name"], match["title"].strip()
            stack.append((match["fence"], name))
            if name in ("exercise", "exercise-start"):
                out.append(f"### Exercise: {title}")
            elif name == "solution-start":
                out.append("#### Solution (open it when you have tried)")
            elif name == "solution":
                out.append(FOLD)
            elif name == "solution-end" and folded:
                out.append("\n</details>")
                folded = False
            elif name == "admonition":
                out.append(f"> **{title}**\n>")
            elif name in ("note", "tip", "warning", "important"):
                out.append(f"> **{name.capitalize()}**\n>")
            elif name not in ("exercise-end", "solution-end"):
                raise BuildError(f"directive {{{name}}} has no plain form: add it to plain_markdown in book/build.py")
        elif stack and line.rstrip() == stack[-1][0]:
            closed = stack.pop()[1]
            if closed == "solution":
                out.append("\n</details>")
            elif closed == "solution-start":  # its text, up to the code cell, is folded like the code
                out.append(FOLD)
                folded = True
        elif stack and re.match(r"^:[\w-]+:", line):
            continue
        elif re.match(r"^\([\w-]+\)=$", line):
            continue
        elif stack and stack[-1][1] in ("admonition", "note", "tip", "warning", "important"):
            out.append(f"> {line}".rstrip())
        else:
            out.append(line)
    text = "\n".join([*out, "\n</details>"] if folded else out)
    text = re.sub(re.escape(FOLD) + r"\s*</details>", "", text)
    text = re.sub(r"\{cite:([tp])\}`([^`]+)`", lambda m: cited(m[1], m[2], references), text)
    text = re.sub(r"\{doc\}`([^`<]+?)\s*<([\w-]+)>`", r"[\1](\2.ipynb)", text)
    text = re.sub(r"\s*\$\$ \((eq-[\w-]+)\)", lambda m: f"\n\\tag{{{numbered[m[1]]}}} $$", text)
    text = re.sub(r"\{numref\}`([\w-]+)`", lambda m: f"Fig. {numbered[m[1]]}", text)
    text = re.sub(r"\{eq\}`([\w-]+)`", lambda m: f"({numbered[m[1]]})", text)
    return text.strip()


def make_notebooks(student: bool = False, folder: Path | None = None, only: str | None = None) -> list[Path]:
    """Write the notebooks, or that of the chapter `only`; returns their paths."""
    import jupytext
    import nbformat

    folder = folder or (STUDENT if student else NOTEBOOKS)
    folder.mkdir(parents=True, exist_ok=True)
    references, numbered = bibliography(), numbers()
    paths = []
    for chapter in chapters():
        if only is not None and chapter.stem != only:
            continue
        source = chapter.read_text()
        notebook = jupytext.reads(without_solutions(source) if student else source, fmt="md:myst")
        cells, solving = [], False
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                for name in re.findall(r"\{(solution-start|solution-end)\}", cell.source):
                    solving = name == "solution-start"
                cell.source = plain_markdown(cell.source, references, numbered)
                if not cell.source:
                    continue
            elif solving or "hide-input" in cell.metadata.get("tags", []):
                cell.metadata.setdefault("jupyter", {})["source_hidden"] = True
            cells.append(cell)
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if figure:  # in a notebook nothing draws the caption
                text = f"*Fig. {numbered[figure['name']]}: {figure['caption']}*"
                cells.append(nbformat.v4.new_markdown_cell(plain_markdown(text, references, numbered)))
        first = nbformat.v4.new_code_cell(COLAB, id="colab", metadata={"jupyter": {"source_hidden": True}})
        notebook.cells = [first, *cells]
        path = folder / f"{chapter.stem}.ipynb"
        jupytext.write(notebook, path, fmt="ipynb")
        paths.append(path)
    return paths


# ---- pages ----------------------------------------------------------------------------------------------------------


class _Loads(HTMLParser):
    """Collects the addresses that a page loads by itself (not the links that a reader may follow)."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._script = tag == "script"
        if "src" in given:
            self.addresses.append(given["src"])
        if "srcset" in given:
            self.addresses += [part.split()[0] for part in given["srcset"].split(",") if part.split()]
        if tag == "link" and set(given.get("rel", "").split()) & {
            "stylesheet",
            "preload",
            "icon",
            "shortcut",
            "modulepreload",
            "manifest",
        }:
            self.addresses.append(given.get("href", ""))
        if tag in ("object", "embed"):
            self.addresses.append(given.get("data", ""))
        self.addresses += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self._script:
            self.addresses += re.findall(r"['\"]((?:https?:)?//[^'\"\s]+\.(?:js|mjs|css))['\"]", data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def external_loads(folder: Path) -> list[str]:
    """Everything that the pages under `folder` would load from outside: "page: address" for each."""
    found = []
    for page in sorted(folder.rglob("*.html")):
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8", errors="replace"))
        found += [f"{page.relative_to(folder)}: {a}" for a in loads.addresses if re.match(r"^(https?:)?//", a.strip())]
    for sheet in sorted(folder.rglob("*.css")):
        urls = re.findall(
            r"(?:url\(|@import\s+)['\"]?((?:https?:)?//[^'\")\s;]+)",
            sheet.read_text(encoding="utf-8", errors="replace"),
        )
        found += [f"{sheet.relative_to(folder)}: {a}" for a in urls]
    return found


def environment() -> dict[str, str]:
    """The environment of a build: static pictures, no display, the kernel of this interpreter."""
    return {
        **os.environ,
        "PHYSLAB_STATIC": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def run_jupyter_book(source: Path) -> Path:
    """Build the pages of a source folder; returns the folder of the pages."""
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    variables = environment() | {"PYTHONPATH": path}  # where the extension is found
    subprocess.run([sys.executable, str(source / "reference.py"), str(source)], env=variables, check=True)
    words().write_glossary(source, titles())
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(source),
        "--all",
        "--quiet",
        "--keep-going",
        "-W",
    ]
    result = subprocess.run(command, env=variables, capture_output=True, text=True)
    if result.returncode:
        sys.stderr.write(result.stdout[-4000:] + result.stderr[-4000:])
        raise BuildError("jupyter-book stopped; its last words are above")
    return source / "_build" / "html"


def build_html() -> Path:
    """The book, with a check that it needs nothing from outside."""
    return verified(run_jupyter_book(BOOK))


def verified(pages: Path) -> Path:
    """The folder, if nothing in it is loaded from outside; BuildError otherwise."""
    outside = external_loads(pages)
    if outside:
        raise BuildError(f"{len(outside)} loads from outside, first: {outside[0]}; vendor them in book/_static")
    return pages


def build_student() -> Path:
    """Pages and notebooks without solutions."""
    stage = BOOK / "_build" / "student_source"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(
        BOOK, stage, ignore=shutil.ignore_patterns("_build", "_notebooks", "_student", "__pycache__", "build.py")
    )
    for page in stage.glob("*.md"):
        page.write_text(without_solutions(page.read_text()))
    pages = BOOK / "_build" / "student"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.move(verified(run_jupyter_book(stage)), pages)
    make_notebooks(student=True)
    return pages


def build_pdf(student: bool = False) -> Path:
    """The chapters as one PDF, from pages that are there already, or are built first."""
    sys.path[:0] = [str(BOOK), str(BOOK.parent)]
    from pdf import NoBrowser, one_page, print_pdf

    from apps.screenshot import find_browser

    pages = BOOK / "_build" / ("student" if student else "html")
    names = [*(path.stem for path in chapters()), "glossary", "notation", "bibliography"]
    if not all((pages / f"{name}.html").is_file() for name in names):
        pages = build_student() if student else build_html()
    settings = (BOOK / "_config.yml").read_text()
    title = re.search(r'^title: "(.*)"$', settings, flags=re.M)[1]
    lead = "Student edition, without solutions." if student else "With solutions."
    page = one_page(pages, names, title, f"{lead} Every number was computed by the code beside it.")
    try:
        return print_pdf(page, BOOK / "_build" / f"physlab{'-student' if student else ''}.pdf", find_browser())
    except NoBrowser as error:
        raise BuildError(str(error)) from None
    finally:
        page.unlink()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("notebooks", "html", "student", "pdf"))
    parser.add_argument("--student", action="store_true", help="leave the solutions out of notebooks and PDF")
    options = parser.parse_args(arguments)
    try:
        if options.what == "notebooks":
            made = make_notebooks(student=options.student)
            print(f"{len(made)} notebooks in {made[0].parent}")
        elif options.what == "pdf":
            print(build_pdf(options.student))
        else:
            pages = build_html() if options.what == "html" else build_student()
            print(f"open {pages / 'index.html'} (nothing in it is loaded from outside)")
    except BuildError as error:
        print(f"book: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
