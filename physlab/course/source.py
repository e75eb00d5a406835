"""The one source of the assignments: exercises of the book's Markdown, and the code of the answers beside it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from physlab.errors import PhysLabError
from physlab.teach.answers import load_answers
from physlab.teach.check import ORDER

_START = re.compile(r"^(`{3,})\{(exercise(?:-start)?|solution(?:-start)?)\} *([^\n]*)\n", flags=re.M)


@dataclass(frozen=True)
class Task:
    """One exercise of a chapter.

    Attributes
    ----------
    key : str
        Name of the exercise, or the label of a task that only a person can grade.
    title : str
        With its kind in parentheses.
    statement, words : str
        Markdown of the exercise, and of its solution ("" if there is none).
    graded : bool
        Whether `check` knows it.
    """

    key: str
    title: str
    statement: str
    words: str
    graded: bool

    @property
    def variable(self) -> str:
        """The variable that holds the answer."""
        return "answer_" + self.key.replace("-", "_")


def book_folder(book: Path | None = None) -> Path:
    """The sources of the book; an installed package has none."""
    place = Path(book) if book is not None else Path(__file__).resolve().parents[2] / "book"
    if not (place / "build.py").is_file() or not (place / "answers").is_dir():
        raise PhysLabError(
            f"no sources of the book in {place}: assignments are built from a checkout; "
            "name its folder `book` by --book"
        )
    return place


def chapters(book: Path) -> list[str]:
    """The chapters that have exercises, in the order of the book."""
    return [name for name in ORDER if (book / f"{name}.md").is_file()]


def chosen_chapters(names: Sequence[str], book: Path) -> list[str]:
    """The named chapters in the order of the book, all of them without a name.

    Raises
    ------
    PhysLabError
        If a name is that of no chapter.
    """
    known = chapters(book)
    for name in names:
        if name not in known:
            raise PhysLabError(f"no chapter {name!r}; the chapters are: {', '.join(known)}")
    return [name for name in known if not names or name in names]


def prepared(
    output: str | Path, names: Sequence[str], book: str | Path | None, mark: str, what: str
) -> tuple[Path, Path, list[str]]:
    """(book, folder, chapters) of what is built: a folder that is new, empty or, as `mark` in it says, built before.

    Raises
    ------
    PhysLabError
        No sources of the book, no such chapter, or a folder that holds other files.
    """
    source, out = book_folder(Path(book) if book is not None else None), Path(output)
    chosen = chosen_chapters(names, source)
    if out.exists() and any(out.iterdir()) and not (out / mark).exists():
        raise PhysLabError(f"{out} holds other files; name a new folder for the {what}")
    out.mkdir(parents=True, exist_ok=True)
    return source, out, chosen


def book_module(book: Path) -> ModuleType:
    """`book/build.py` as a module: what turns the book's Markdown into plain one."""
    spec = importlib.util.spec_from_file_location("physlab_book_build", book / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _blocks(text: str) -> list[tuple[str, str, str]]:
    """(directive, argument, body) of the exercises and solutions of a chapter."""
    found = []
    for start in _START.finditer(text):
        fence, name, argument = start.groups()
        end = rf"^{fence}\{{{name.removesuffix('-start')}-end\}}" if name.endswith("-start") else rf"^{fence}\s*$"
        stop = re.compile(end, flags=re.M).search(text, start.end())
        if stop is None:
            raise PhysLabError(f"the {name} {argument!r} is not closed")
        found.append((name.removesuffix("-start"), argument.strip(), text[start.end() : stop.start()]))
    return found


def tasks(chapter: str, book: Path) -> list[Task]:
    """The exercises of a chapter in the order of the book."""
    pages = [*sorted(book.glob("*.md")), book / "build.py", book / "references.bib"]
    return list(_tasks(chapter, book, tuple(page.stat().st_mtime_ns for page in pages)))


@lru_cache(maxsize=64)
def _tasks(chapter: str, book: Path, changed: tuple[int, ...]) -> tuple[Task, ...]:
    """The same, read once as long as no page has changed."""
    build = book_module(book)
    references, numbered = build.bibliography(), build.numbers()
    blocks = _blocks((book / f"{chapter}.md").read_text(encoding="utf-8"))
    solutions = {argument: body for name, argument, body in blocks if name == "solution"}

    def words(body: str) -> str:
        body = re.sub(r"^:[\w-]+:[^\n]*\n", "", body, flags=re.M)
        body = re.sub(r"^(`{3,})\{code-cell\} \w+\n(?::[^\n]*\n)*", r"\1python\n", body, flags=re.M)
        return build.plain_markdown(re.sub(r"\n{3,}", "\n\n", body).strip(), references, numbered)

    found = []
    for name, title, body in blocks:
        if name != "exercise":
            continue
        label = re.search(r"^:label: ([\w-]+)$", body, flags=re.M)
        assert label is not None
        solution = solutions.get(label[1], "")
        check = re.search(r'assert check\("([\w-]+)"', solution)
        prose = re.sub(r"^(`{3,})\{code-cell\}.*?^\1\s*$", "", solution, flags=re.M | re.S)
        prose = re.sub(r"^(:[\w-]+:.*|`{3,})\s*$", "", prose, flags=re.M)
        text = body
        text = text.replace(label[0], "", 1)
        if text.lstrip("\n").startswith("```\n"):  # the fence that closes exercise-start
            text = text.lstrip("\n")[4:]
        found.append(
            Task(
                check[1] if check else label[1],
                title,
                words(text),
                build.plain_markdown(prose.strip(), references, numbered),
                bool(check),
            )
        )
    return tuple(found)


# ---- code of the answers --------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _defined(tree: ast.Module) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {n.id: node for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = node
    return found


def _gather(names: set[str], file: Path, code: dict[str, str], root: Path) -> None:
    """Add to `code` what the names of a file need: imports as they are, definitions and those of graders in full."""
    source = file.read_text(encoding="utf-8")
    known = _defined(_parsed(source))
    for name in sorted(names & set(known)):
        node = known[name]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("physlab.teach."):
            real = next(a.name for a in node.names if (a.asname or a.name) == name)
            where = root / (str(node.module).replace(".", "/") + ".py")
            _gather({real}, where if where.is_file() else where.with_suffix("") / "__init__.py", code, root)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
            called = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
            code[name] = (
                f"from {node.module} import {called}" if isinstance(node, ast.ImportFrom) else f"import {called}"
            )
        elif name not in code:
            inside = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - {name}
            _gather(inside, file, code, root)
            code[name] = ast.get_source_segment(source, node) or ""


def reference(task: Task, book: Path, mistake: int | None = None) -> str:
    """Code that gives the variable of a task its right answer, or the one of a known mistake."""
    known = load_answers(book / "answers")[task.key]
    wanted = known.right if mistake is None else known.wrong[mistake].answer
    if not callable(wanted):
        value = round(float(wanted), 6) if isinstance(wanted, float) else wanted
        return f"{task.variable} = {value!r}"
    for file in sorted((book / "answers").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        for node in _parsed(source).body:
            call = node.value if isinstance(node, ast.Expr) else None
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "answer"):
                continue
            if not (isinstance(call.args[0], ast.Constant) and call.args[0].value == task.key):
                continue
            right, code = call.args[1], {}  # type: ignore[var-annotated]
            if mistake is not None:
                known_wrong = call.args[2 + mistake]
                assert isinstance(known_wrong, ast.Call)
                right = known_wrong.args[1]
            _gather({n.id for n in ast.walk(right) if isinstance(n, ast.Name)}, file, code, book.parent)
            imports = sorted(text for text in code.values() if text.startswith(("import ", "from ")))
            rest = [text for text in code.values() if not text.startswith(("import ", "from "))]
            body = (ast.get_source_segment(source, right) or "").strip()
            value = f"({body})" if "\n" in body else body
            return "\n\n\n".join(["\n".join(imports), *rest, f"{task.variable} = {value}"]).strip()
    raise PhysLabError(f"no answer to {task.key!r} in {book / 'answers'}")
