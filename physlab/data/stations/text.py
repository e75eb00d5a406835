"""A table of text as people keep it: any encoding and separator, comments, blank lines, a row of units.

:func:`read_text` gives the cells as they stand, with the number of the line of each row; what they mean is decided by
:mod:`physlab.data.stations.columns`.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from physlab.data.stations import units
from physlab.data.stations.words import heading
from physlab.errors import FieldError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
LARGEST = 1 << 31
"""Bytes of a table that are read at most."""


@dataclass
class Raw:
    """A table before anything is decided.

    Attributes
    ----------
    frame : the cells, text or numbers, a column for each heading.
    lines : number of the line (or place in the file, from 1) of each row.
    units : heading -> its unit, where the file says it elsewhere than in the heading.
    good : heading -> (n,) whether a quality flag whose meaning the file states calls the value good.
    notes : what has to be said.
    """

    frame: pd.DataFrame
    lines: np.ndarray
    units: dict[str, str] = field(default_factory=dict)
    good: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_text(path: Path) -> Raw:
    """The cells of a table of text.

    Raises
    ------
    FieldError : nothing in it, no text, no line of names, or lines with more cells than names.
    """
    notes: list[str] = []
    lines = numbered_lines(path, notes)
    comments = [(n, line) for n, line in lines if line.lstrip().startswith("#")]
    lines = [(n, line) for n, line in lines if line.strip(" \t;,|\xa0") and not line.lstrip().startswith("#")]
    if lines and re.fullmatch(r"sep=(.)", lines[0][1].strip(), flags=re.I):  # the first line of a spreadsheet
        lines = lines[1:]
    if not lines:
        raise FieldError(f"{path.name} holds no line of text: pass a table with a line of names (lat, lon, value, ...)")
    names, separator = _header(lines[0][1])
    first = 1
    if _places(names) < 2 and comments and _numeric(lines[0][1]):  # the names stand in the last comment
        said, other = _header(comments[-1][1].lstrip().lstrip("#").strip())
        if _places(said) == 2:
            names, separator, first = said, other if len(said) > 1 else separator, 0
    if _places(names) < 2 and _numeric(lines[0][1]):
        raise FieldError(
            f"{path.name} has no line of names, its first is '{lines[0][1][:60]}': write lat, lon, value, error, "
            "... above"
        )
    joined = list(_joined(lines[first:], separator))
    cells, numbers = _rows([line for _, line in joined], separator), [n for n, _ in joined]
    for at, row in enumerate(cells):
        if len(row) == len(names):
            continue
        if any(cell.strip() for cell in row[len(names) :]):
            advice = "quote cells that hold the separator"
            if separator == "," and all(re.fullmatch(r"\s*[+-]?\d+\s*", c) for c in row[:2]):
                advice = "if it has decimal commas, separate the cells by semicolons or put the numbers in quotes"
            raise FieldError(
                f"{path.name}, line {numbers[at]}: {len(row)} cells for {len(names)} names (separated by "
                f"{SEPARATORS[separator]}): {advice}"
            )
        cells[at] = row[: len(names)] + [""] * (len(names) - len(row))
    frame = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    double = frame.columns.duplicated()
    if double.any():
        notes.append(f"{', '.join(sorted(set(frame.columns[double])))} stands twice, the first column counts")
        frame = frame.loc[:, ~double]
    raw = Raw(frame, np.array(numbers, dtype=int), notes=notes)
    return _without_units(raw)


def numbered_lines(path: Path, notes: list[str]) -> list[tuple[int, str]]:
    """Numbered lines of the file, decoded."""
    if path.stat().st_size > LARGEST:
        raise FieldError(f"{path.name} has {path.stat().st_size / 1e9:.1f} GB: select the days that are wanted first")
    data = path.read_bytes()
    data = _unpacked(data, path)
    head = data[:512].lstrip()
    if head[:1] == b"<" and re.match(rb"<(!doctype|html|\?xml)", head, flags=re.I):
        raise FieldError(f"{path.name} is a web page or XML, no table: get the file itself")
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    elif b"\0" in data[:4096]:
        even, odd = data[0:4096:2].count(0), data[1:4096:2].count(0)
        if max(even, odd) < 0.3 * min(len(data), 4096) / 2:
            raise FieldError(f"{path.name} is no text (it holds zero bytes): pass a table of text or a NetCDF file")
        encoding = "utf-16-be" if even > odd else "utf-16-le"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding.startswith("utf-16"):
            raise FieldError(f"{path.name} breaks off inside a character of {encoding}: get it again") from None
        encoding = "cp1252"
        text = data.decode(encoding, errors="replace")
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"text is {encoding}")
    return list(enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1))


def _unpacked(data: bytes, path: Path) -> bytes:
    """The content of gzip, bzip2, xz, or of a ZIP with one table."""
    openers = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
    for magic, unpack in openers.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise FieldError(f"{path.name} cannot be unpacked ({error}): get it again") from None
    if not data.startswith(b"PK\x03\x04"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if any(name.startswith(("xl/", "word/")) or name == "content.xml" for name in members):
                raise FieldError(f"{path.name} is a workbook of a spreadsheet program: save it as CSV first")
            if len(members) != 1:
                raise FieldError(f"{path.name} is a ZIP of {len(members)} files: unpack it and pass one table")
            return archive.read(members[0])
    except zipfile.BadZipFile as error:
        raise FieldError(f"{path.name} cannot be unpacked ({error}): get it again") from None


def _header(line: str) -> tuple[list[str], str]:
    """Names and separator: the one that shows a latitude and a longitude, else the one with most names."""
    tried = []
    for separator in SEPARATORS:
        names = [name.strip().lstrip("\ufeff") for name in _split(line, separator)]
        while names and not names[-1]:  # a separator at the end of each line
            names.pop()
        tried.append((_places(names), len(names) if separator != " " else 1 + (len(names) > 1), names, separator))
    best = max(tried, key=lambda t: t[:2])
    names = [name or f"column {n}" for n, name in enumerate(best[2], start=1)]
    return names, best[3]


def _places(names: list[str]) -> int:
    return len({heading(name).role for name in names} & {"latitude", "longitude"})


def _numeric(line: str) -> bool:
    """Whether more cells of a line are numbers than words."""
    cells = [c for c in re.split(r"[;,\t| ]+", line.strip()) if c]
    return sum(bool(re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", c, flags=re.I)) for c in cells) > len(cells) / 2


def _split(line: str, separator: str) -> list[str]:
    return next(iter(_rows([line], separator)), [])


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    """Cells of each line."""
    if separator == " ":
        lines = [re.sub(r"[ \t]+", " ", line.strip()) for line in lines]
    return list(csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t"))


def _joined(lines: list[tuple[int, str]], separator: str):
    """Lines, those inside one quoted cell joined."""
    held: tuple[int, str] | None = None
    for n, line in lines:
        if held is None and '"' not in line:
            yield n, line
            continue
        if held is not None:
            n, line = held[0], f"{held[1]} {line}"
            held = None
        if line.count('"') % 2 and re.search(rf'(^|{re.escape(separator)})\s*"', line) and len(line) < 10_000:
            held = (n, line)
            continue
        yield n, line
    if held is not None:
        yield held


def _without_units(raw: Raw) -> Raw:
    """A first row that holds the units of the columns, taken off."""
    if not len(raw.frame):
        return raw
    row = {str(name): str(cell).strip("[]() ") for name, cell in raw.frame.iloc[0].items()}
    places = [cell for name, cell in row.items() if heading(name).role in ("latitude", "longitude")]
    if not places or any(re.search(r"\d", cell) for cell in places):
        return raw
    if not any(units.parse(cell) is not None for cell in row.values() if cell):
        return raw
    said = {name: cell for name, cell in row.items() if units.parse(cell) is not None}
    return Raw(raw.frame.iloc[1:].reset_index(drop=True), raw.lines[1:], {**raw.units, **said}, raw.good, raw.notes)
