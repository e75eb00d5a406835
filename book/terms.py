"""The words of the book: where each is taught, the glossary, and the links to it.

`terms.csv` is the table: a term, the chapter that teaches it, the forms in which it occurs (a regular expression;
`(?!)` for words of everyday language that cannot be searched), and its definition. The glossary is written from it and
from the page on notation, whose rows give the symbols. The first use of a term in every other chapter becomes a link.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BOOK = Path(__file__).resolve().parent
PLAIN = re.compile(
    r"^(`{3,}|:{3,}).*?^\1|^:[\w-]+:.*?$|^\$\$.*?\$\$[^\n]*$|^#+ [^\n]*$|^\|[^\n]*$|^    [^\n]*$|^---\n.*?^---$",
    flags=re.M | re.S,
)
"""What is no prose: code, directives, formulas, headings, tables, front matter."""
SOLUTION = re.compile(r"^```\{solution-start\}.*?^```\{solution-end\}\n```$", flags=re.M | re.S)
INLINE = re.compile(r"`[^`]*`|\{[\w:]+\}`[^`]*`|\$[^$]*\$|\*\*[^*]*\*\*|\[[^\]]*\]\([^)]*\)")
"""Parts of a paragraph that stay as they are."""


@dataclass(frozen=True)
class Term:
    """A word, where it is taught, how it is found, and what it means."""

    name: str
    chapter: str
    forms: str
    definition: str

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w-])(?:{self.forms})(?![\w-])", flags=re.I)


def terms() -> list[Term]:
    """The table, in the order of the book."""
    with (BOOK / "terms.csv").open(encoding="utf-8", newline="") as file:
        return [Term(row["term"], row["chapter"], row["forms"], row["definition"]) for row in csv.DictReader(file)]


def paragraphs(source: str) -> Iterator[tuple[int, int]]:
    """Start and end of the paragraphs of prose in a chapter."""
    blank = PLAIN.sub(lambda m: re.sub(r"[^\n]", "\0", m[0]), source)
    for match in re.finditer(r"(?:^[^\n]+\n?)+", blank, flags=re.M):
        if match[0].replace("\0", "").strip():
            yield match.span()


def find(term: Term, text: str) -> re.Match[str] | None:
    """The first use of a term in a paragraph, outside formulas, code, links and bold type."""
    covered = INLINE.sub(lambda m: "\0" * len(m[0]), text)
    return term.pattern.search(covered)


def defined(term: Term, source: str) -> int | None:
    """Where a chapter has the term in bold type for the first time, in its prose or in a table."""
    code = re.compile(r"^(`{3,}).*?^\1", flags=re.M | re.S)
    source = code.sub(lambda m: " " * len(m[0]), source)
    for match in re.finditer(r"\*\*([^*]+)\*\*", source):
        bold = " ".join(match[1].split())
        if term.pattern.search(bold) or term.name.lower() in bold.lower():
            return match.start()
    return None


def too_early(term: Term, chapters: list[str]) -> list[str]:
    """Uses of a term before it is taught: in an earlier chapter without a link to the one that teaches it, or in that
    chapter above its definition; the lead and the list of what will be learned may name it."""
    found = []
    for chapter in chapters[: chapters.index(term.chapter) + 1]:
        source = SOLUTION.sub("", (BOOK / f"{chapter}.md").read_text(encoding="utf-8"))
        here = chapter == term.chapter
        limit = defined(term, source) if here else len(source)
        if limit is None:
            return [f"{chapter} never defines {term.name!r}"]
        first = source.index("What you need, what you get") if here else 0
        for start, end in paragraphs(source):
            text = source[start:end]
            told = re.search(rf"\{{doc\}}`[^`]*<{term.chapter}>`", text) or text.lstrip().startswith("* **You ")
            if start < first or end > limit or told:
                continue
            if find(term, text.replace("\n", " ")):
                found.append(f"{chapter} uses {term.name!r} before {term.chapter} teaches it: {text[:80]!r}")
    return found


def linked(source: str, chapter: str) -> str:
    """The source of a chapter with the first use of each term of other chapters as a link to the glossary."""
    marks: list[tuple[int, int, Term]] = []
    wanted = [term for term in terms() if term.chapter != chapter]
    for start, end in paragraphs(source):
        for term in list(wanted):
            match = find(term, source[start:end].replace("\n", " "))
            taken = match and any(a < start + match.end() and start + match.start() < b for a, b, _ in marks)
            if match and not taken:
                marks.append((start + match.start(), start + match.end(), term))
                wanted.remove(term)
    for start, end, term in sorted(marks, key=lambda mark: mark[0], reverse=True):
        text = " ".join(source[start:end].split())
        source = f"{source[:start]}{{term}}`{text} <{term.name}>`{source[end:]}"
    return source


def symbols() -> list[tuple[str, str]]:
    """(symbol, meaning) of the rows of the page on notation."""
    rows = re.findall(
        r"^\| (\$.+?) \| (.+?) \|[^|]*\|$", (BOOK / "notation.md").read_text(encoding="utf-8"), flags=re.M
    )
    return [(symbol, meaning) for symbol, meaning in rows]


def glossary(titles: dict[str, str]) -> str:
    """The page: every term with its definition, the symbols that notation gives it, and the chapter that teaches it."""
    known, parts = symbols(), []
    for term in sorted(terms(), key=lambda term: term.name.lower()):
        name = re.compile(rf"\b{re.escape(term.name)}\b", flags=re.I)
        own = ", ".join(symbol for symbol, meaning in known if name.search(meaning))
        shown = f" Symbols: {own}." if own else ""
        parts.append(
            f"{term.name}\n  {term.definition}{shown} Taught in {{doc}}`{titles[term.chapter]} <{term.chapter}>`.\n"
        )
    return (
        "# Glossary\n\nEvery term of the book, in one sentence, and the chapter that teaches it. Its first use in "
        "other chapters links here.\n\n:::{glossary}\n" + "\n".join(parts) + ":::\n"
    )


def write_glossary(book: Path, titles: dict[str, str]) -> Path:
    """Write the page into the folder of a book."""
    page = book / "glossary.md"
    page.write_text(glossary(titles), encoding="utf-8")
    return page
