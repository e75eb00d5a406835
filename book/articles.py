"""Chapters taken out of the built pages, for what is no web site: an article each, whose links lead to the others."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from bs4 import BeautifulSoup, Tag

OUTSIDE = re.compile(r"^(https?:|mailto:|data:)")


def article(page: Path, names: Collection[str], within: bool, opened: bool = False) -> Tag:
    """The text of one page.

    Parameters
    ----------
    page : Path
        A page of `book/_build/html`.
    names : collection of str
        The pages that the result holds; links to any other become plain words.
    within : bool
        Whether all articles stand in one page: then every id begins with the name of its chapter.
    opened : bool
        Whether solutions and folded code are shown, as in print.

    Returns
    -------
    Tag
        The `article`, with pictures and links relative to the folder of the pages.
    """
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "lxml")
    found = soup.find("article")
    assert isinstance(found, Tag), f"{page} is no page of the book"
    name = page.stem
    for part in found.select(".headerlink, .toctree-wrapper, script, button, style"):
        part.decompose()
    for part in found.find_all(id=True):
        part["id"] = f"{name}--{part['id']}" if within else part["id"]
    for link in found.find_all("a", href=True):
        _relink(link, name, names, within)
    for box in found.select("div.dropdown"):
        title = box.find("p", class_="admonition-title")
        box.name = "details"
        if isinstance(title, Tag):
            title.name = "summary"
        if opened:
            box["open"] = ""
    for folded in found.select("details.hide"):
        if opened:
            folded.decompose()
    if within:
        found["id"] = name
    return found


def _relink(link: Tag, name: str, names: Collection[str], within: bool) -> None:
    href = str(link["href"])
    if OUTSIDE.match(href):
        return
    page, _, anchor = href.partition("#")
    target = Path(page).name.removesuffix(".html") if page else name
    if (page and "/" in page) or (target not in names and page):
        link.unwrap()
    elif within:
        link["href"] = f"#{target}--{anchor}" if anchor else f"#{target}"


def title(part: Tag) -> str:
    """The first heading of an article."""
    head = part.find("h1")
    return head.get_text().strip() if head else ""
