"""The words of the explorer in other languages: one file for each, from the English of the page to the other.

The code says English. What goes to a browser passes one of two functions on its way: :func:`word` for a label,
:func:`page` for HTML, which are looked up in ``apps/words/LANGUAGE.json``. A key is an English phrase in which ``#``
stands for a number and ``{}`` for a name that is looked up in its turn; the other side has them in the same order.
``apps/words/en.json`` lists all phrases: a new language is a copy of it with the other side filled in.

A page speaks the language of ``?lang=de``, else the one that this browser asked for before, else that of the setting
PHYSLAB_LANG, else the first of the browser's own that is here, else English. What has no translation stays English, and
the page says so; help pages, cards and scripts, and what the library itself says are English in all of them.
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

from bokeh.document import Document
from panel.io.state import state

log = logging.getLogger("physlab.explorer")
FOLDER = Path(__file__).with_name("words")
ENGLISH, SETTING, COOKIE = "en", "PHYSLAB_LANG", "physlab-lang"
NUMBER = re.compile(r"[+−-]?\d+(?:[.,]\d+)*(?:e[+−-]?\d+)?")
T = TypeVar("T")
_PLACE = "physlab_language"
_TAG = re.compile(r"(<[^>]*>)")
_SENTENCE = re.compile(r"(?<=[.?!]) (?=[A-ZΦ\d])|(?<=:) (?=[A-Z])")
_SAID = re.compile(r'\b(aria-label|placeholder)="([^"]*)"')


def languages() -> list[str]:
    """Those that have a file, English among them."""
    return sorted({file.stem for file in FOLDER.glob("*.json")} | {ENGLISH})


def chosen(search: str, cookies: Mapping[str, str], headers: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The language of a page, and what has to be said about it.

    Parameters
    ----------
    search : query of the address.  cookies, headers : of the request.
    """
    there = languages()
    asked = parse_qs(search.lstrip("?")).get("lang", [""])[-1].strip().lower()
    if asked and asked not in there:
        words = f"There is no file of words for {asked[:20]!r}: this page is in English; there are {', '.join(there)}."
        return ENGLISH, [words]
    wishes = [asked, cookies.get(COOKIE, ""), os.environ.get(SETTING, ""), *_of_browser(headers)]
    language = next((wish for wish in wishes if wish in there), ENGLISH)
    missing = len(_words(ENGLISH).keys() - _words(language).keys()) if language != ENGLISH else 0
    return language, [f"{missing} phrases of this page have no words in {language!r} yet: they are English."] * (
        missing > 0
    )


def _of_browser(headers: Mapping[str, Any]) -> Iterable[str]:
    """Languages of a browser, the ones that it prefers first."""
    found = []
    for at, part in enumerate(str(headers.get("Accept-Language", "")).split(",")[:20]):
        name, _, weight = part.strip().partition(";q=")
        try:
            found.append((-float(weight or 1.0), at, name.partition("-")[0].lower()))
        except ValueError:
            continue
    return [name for _, _, name in sorted(found)]


def speak(document: Document, language: str) -> None:
    """From now on a document speaks a language."""
    vars(document)[_PLACE] = language


def spoken() -> str:
    """The language of the document of now."""
    document = state.curdoc
    return vars(document).get(_PLACE, ENGLISH) if document is not None else ENGLISH


@cache
def _words(language: str) -> dict[str, str]:
    """English phrase -> the other; empty, with a line in the log, if the file is missing or broken."""
    try:
        found = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        log.error("no words of %r, pages stay English: %s", language, error)
        return {}


@cache
def _patterns(language: str) -> list[tuple[re.Pattern, str]]:
    """Phrases with names in them, those with most words of their own first."""
    keys = sorted((key for key in _words(language) if "{}" in key), key=lambda k: -len(k))
    return [(re.compile(re.escape(key).replace(r"\{\}", "(.+?)") + r"\Z"), key) for key in keys]


def word(text: str, language: str = "") -> str:
    """A phrase in the language of the page, or in another; itself where there is no translation."""
    language = language or spoken()
    return text if language == ENGLISH or not text else _word(text, language)


@lru_cache(8192)
def _word(text: str, language: str) -> str:
    found = translated(text, language)
    return text if found is None else found


def key_of(text: str) -> str:
    """A phrase as the files have it: one line, its numbers as ``#``."""
    return NUMBER.sub("#", " ".join(text.split()))


def translated(text: str, language: str) -> str | None:
    """A phrase in another language; None if it, or a part of it, has no translation."""
    words, key = _words(language), key_of(text)
    if not any(letter.isalpha() for letter in key):
        return text
    ends = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    numbers = NUMBER.findall(text)
    if key in words:
        return _filled(words[key], "#", numbers).join(ends)
    for mark, rest in ((" · ", " · "), (_SENTENCE, " ")):
        parts = mark.split(text.strip()) if isinstance(mark, re.Pattern) else text.strip().split(mark)
        if len(parts) > 1:
            found = [translated(part, language) for part in parts]
            if any(part is not None for part in found):
                return rest.join(p if new is None else new for p, new in zip(parts, found, strict=True)).join(ends)
            return None
    for pattern, template in _patterns(language):
        if (match := pattern.match(key)) is not None:
            names = [_word(name, language) for name in match.groups()]
            return _filled(_filled(words[template], "{}", names), "#", numbers).join(ends)
    return None


def _filled(template: str, mark: str, values: Iterable[str]) -> str:
    """A template with values in the places of a mark."""
    first, *others = template.split(mark)
    given = list(values)
    if len(others) != len(given):
        return template
    return first + "".join(value + other for value, other in zip(given, others, strict=True))


def page(text: str, language: str = "") -> str:
    """HTML in the language of the page; what stands in ``pre`` and ``code`` is left as it is."""
    language = language or spoken()
    return text if language == ENGLISH or not text else _page(text, language)


@lru_cache(1024)
def _page(text: str, language: str) -> str:
    parts = _TAG.split(text)
    for at, whether in _seen(parts):
        if whether:
            parts[at] = html.escape(_word(html.unescape(parts[at]), language), quote=False)
        elif parts[at].startswith("<"):
            parts[at] = _SAID.sub(lambda m: f'{m[1]}="{html.escape(_word(html.unescape(m[2]), language))}"', parts[at])
    return "".join(parts)


def _seen(parts: list[str]) -> Iterable[tuple[int, bool]]:
    """Place of each part of HTML, and whether it is words; what is `lang="en"` or code is not."""
    closed, depth = "", 0
    for at, part in enumerate(parts):
        if depth:
            depth += part.startswith(f"<{closed}") - part.startswith(f"</{closed}")
        elif part.startswith(("<pre", "<code", "<script")) or (part.startswith("<") and 'lang="en"' in part):
            closed, depth = re.split(r"[ >]", part[1:])[0], 1
        elif part.startswith("<"):
            yield at, False
        elif part.strip():
            yield at, True


def phrases(text: str) -> list[str]:
    """The phrases of HTML that are translated."""
    parts = _TAG.split(text)
    found = []
    for at, whether in _seen(parts):
        said = [parts[at]] if whether else [m[1] for m in _SAID.findall(parts[at])]
        found += [" ".join(html.unescape(phrase).split()) for phrase in said]
    return [phrase for phrase in found if any(letter.isalpha() for letter in phrase)]


def labels(options: Mapping[str, T]) -> dict[str, T]:
    """Label -> value in the language of the page."""
    language = spoken()
    return {word(label, language): value for label, value in options.items()}


def forget() -> None:
    """Read the files anew."""
    for cached in (_words, _patterns, _word, _page):
        cached.cache_clear()
