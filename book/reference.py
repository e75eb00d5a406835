"""The reference of the library: one page for each package, from its docstrings.

    python book/reference.py FOLDER     writes the pages of api/ into the folder of the book; `build.py` does it

The same file is the Sphinx extension that makes the docstrings, which are written for people and for editors, safe for
reStructuredText: absolute bars and stars of code stay what they are.
"""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

HIDDEN = {"__main__", "cli"}  # the command line explains itself
CODE = re.compile(r"(``.*?``|`[^`]*`)")
LONE_STAR = re.compile(r"(?<![*\w])\*(?=\w)(?![^*]*\*)")
PAGE = """{title}

```{{eval-rst}}
.. automodule:: {module}
   :members:
   :show-inheritance:
{imported}```
"""


def write_pages(book: Path) -> list[Path]:
    """One Markdown page for each package and module of the library, below ``api/``; pages of others are removed."""
    (root,) = importlib.util.find_spec("physlab").submodule_search_locations
    folder = book / "api"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    made = []
    for module in pkgutil.iter_modules([root]):
        if module.name in HIDDEN:
            continue
        source = Path(root, module.name, "__init__.py") if module.ispkg else Path(root, f"{module.name}.py")
        made.append(folder / f"{module.name}.md")
        made[-1].write_text(page(f"physlab.{module.name}", source), encoding="utf-8")
    return made


def page(module: str, source: Path) -> str:
    """The page of a module: what it exports; then modules that it exports whole; or else a list of its modules."""
    exported = names(source)
    imported = "   :imported-members:\n" if exported is not None else ""
    parts = [PAGE.format(title=f"# {module}", module=module, imported=imported)]
    if source.name == "__init__.py":
        inside = {m.name: source.parent for m in pkgutil.iter_modules([str(source.parent)]) if m.name[0] != "_"}
        for name in sorted(set(inside) & set(exported or ()) & imported_from(source, module)):
            parts.append(PAGE.format(title=f"## {module}.{name}", module=f"{module}.{name}", imported=""))
        if exported is None and inside:
            lines = (f"- `{module}.{name}`: {first_line(folder, name)}" for name, folder in inside.items())
            parts.append("## Modules\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def names(source: Path) -> list[str] | None:
    """The names in `__all__`, as far as they are written out; None where there is no `__all__`."""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [value.value for value in getattr(node.value, "elts", []) if isinstance(value, ast.Constant)]
    return None


def imported_from(source: Path, module: str) -> set[str]:
    """Names that a file imports from a package itself: its modules, not functions that happen to have their names."""
    body = ast.parse(source.read_text(encoding="utf-8")).body
    return {alias.name for n in body if isinstance(n, ast.ImportFrom) and n.module == module for alias in n.names}


def first_line(folder: Path, name: str) -> str:
    """First line of the docstring of a module or package."""
    file = folder / f"{name}.py" if (folder / f"{name}.py").exists() else folder / name / "__init__.py"
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")


# ---- the extension --------------------------------------------------------------------------------------------------


def safe(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape bars, and stars without a partner, outside code and formulas."""
    formula = None  # indentation of the line that starts one
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if formula is not None and line.strip() and indent <= formula:
            formula = None
        if line.lstrip().startswith(".. math::"):
            formula = indent
        if formula is None:
            parts = CODE.split(line)
            parts[::2] = [LONE_STAR.sub(r"\\*", part).replace("|", r"\|") for part in parts[::2]]
            lines[number] = "".join(parts)


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", safe, priority=100)  # before napoleon reads the sections
    app.setup_extension("sphinx.ext.napoleon")
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    print(f"{len(write_pages(Path(sys.argv[1])))} pages of the reference")
