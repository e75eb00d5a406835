"""Files that somebody brings to a server: looked at as data, with limits, before anything else touches them.

Fields (NetCDF, GRIB), stations (CSV), ZIP archives of trained methods (JSON and safetensors), Zarr stores and fields.
Nothing of them is run, nothing outside the folder of the session is read or written: names are made plain, archives are
measured before they are unpacked, links to other files are refused, and the data of a card are those that were brought
with it. Every refusal is one sentence.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from physlab.errors import FieldError, PhysLabError, one_line
from physlab.store import CARD, MANIFEST
from physlab.store.manifest import ZARR, foreign
from physlab.views.workspace import FIELDS, Workspace, read, refinable

SWITCH = "PHYSLAB_UPLOAD"
"""Environment variable: "on" where pages of the explorer take files."""
LARGEST = 64 << 20
"""Bytes of a file, as it comes."""
WHOLE = 256 << 20
"""Bytes of all that a session brings, unpacked; and of the values of one file of fields."""
FILES = 12
"""Files of a session."""
MEMBERS = 4000
"""Files of an archive."""
STATIONS = 2000
"""Places of a file of stations."""
COMING, STAGING = ".coming", ".new"  # folders, hidden from whoever looks at what was brought
PLAIN = tuple(end for end in FIELDS if end.count(".") == 1 and end != ".zarr")
CODE = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".npy", ".npz", ".joblib", ".py", ".pyc", ".so", ".dll",
        ".exe", ".sh", ".idx")  # fmt: skip
"""Endings of what is, or may hold, code."""
CODECS = (
    "blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset", "quantize",
    "bitround", "astype", "packbits", "vlen-utf8", "vlen-bytes", "vlen-array", "bytes", "crc32", "crc32c", "adler32",
    "fletcher32", "transpose", "sharding_indexed", "zfpy",
)  # fmt: skip
"""Of Zarr stores; `pickle`, which runs what it reads, is none of them."""


@dataclass(frozen=True)
class Brought:
    """What became of files.

    Attributes
    ----------
    found : what can be shown.
    said : what was understood, a sentence for each file.
    problems : a sentence for each thing that was refused, or waits for another.
    stations : latitude and longitude of the places of the last file of stations.
    """

    found: Workspace
    said: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    stations: tuple[tuple[float, float], ...] = ()


@dataclass
class _Session:
    """The folder of a session while files are put into it."""

    folder: Path
    said: list[str] = field(default_factory=list)
    stations: tuple[tuple[float, float], ...] = ()

    @property
    def room(self) -> int:
        """Bytes that may still come."""
        there = (p for part in self.things for p in (part, *part.rglob("*")) if p.is_file())
        return WHOLE - sum(p.stat().st_size for p in there)

    @property
    def things(self) -> list[Path]:
        """What was brought, without what is coming."""
        return [p for p in self.folder.iterdir() if not p.name.startswith(".")]


def receive(files: Sequence[tuple[str, str]], folder: str | Path, prefix: str) -> Brought:
    """Put files into the folder of a session and look at all that is there.

    Parameters
    ----------
    files : path where the content lies, which is moved or removed, and the name that its owner gave it.
    prefix : begins the names of fields and methods, as in :func:`physlab.views.workspace.read`.
    """
    session, problems = _Session(Path(folder)), []
    for path, name in files:
        shown = plain_name(name)
        here = session.folder / COMING / shown
        here.parent.mkdir(exist_ok=True)
        try:
            Path(path).replace(here)
            _take(here, shown, session)
        except (PhysLabError, OSError, zipfile.BadZipFile) as error:
            problems.append(_line(error, shown, session.folder))
        finally:
            shutil.rmtree(here.parent)
    found = read([session.folder], prefix, inside=True) if session.things else Workspace({}, {})
    problems += [_line(problem, "", session.folder) for problem in found.problems]
    return Brought(found, tuple(session.said), tuple(dict.fromkeys(problems)), session.stations)


def plain_name(name: str) -> str:
    """The last part of a name, of letters, digits, dots and hyphens: never a path, hidden, or long."""
    last = re.split(r"[\\/]", str(name))[-1]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-")
    stem, dot, ending = plain.rpartition(".")
    stem = stem.strip(".-")
    return f"{stem[:80]}{dot}{ending[:12]}" if stem else (ending or "file")[:80]


def _line(error: object, name: str, folder: Path) -> str:
    """One sentence with the names that its reader knows."""
    text = one_line(error, None)
    for inner in (f"{folder / COMING}/", f"{folder / STAGING}/", f"{folder}/"):
        text = text.replace(inner, "")
    text = text.replace(str(folder), "what you brought")
    return text if not name or name in text else f"{name}: {text}"


def _take(path: Path, name: str, session: _Session) -> None:
    """One file, by what it is."""
    size = path.stat().st_size
    if len(session.things) >= FILES:
        raise FieldError(f"{name} is one too many: {FILES} fields and methods can be brought; clear them first")
    if size > min(LARGEST, session.room):
        raise FieldError(
            f"{name} has {size / 1e6:.0f} MB: {LARGEST >> 20} MB a file and {WHOLE >> 20} MB of all that you bring may "
            "come to this server; open large data by physlab explore FOLDER on a machine of yours"
        )
    if zipfile.is_zipfile(path):
        _archive(path, name, session)
    elif name.lower().endswith((".csv", ".txt", ".dat")):
        _stations(path, name, session)
    else:
        _fields(path, name, session)


def _stations(path: Path, name: str, session: _Session) -> None:
    """Places of stations; the file itself is not kept."""
    from physlab.data.stations import read_stations

    ds = read_stations(path)
    places = np.unique(np.stack([ds["latitude"].values, ds["longitude"].values], 1).round(4), axis=0)
    if len(places) > STATIONS:
        raise FieldError(f"{name} has {len(places)} places: at most {STATIONS} can be shown")
    session.stations = tuple((float(north), float(east)) for north, east in places)
    session.said.append(f"{ds.attrs['history']!s}; {len(places)} places")


def _fields(path: Path, name: str, session: _Session) -> None:
    """A file of fields, which goes through the contract before it takes its name."""
    if not name.lower().endswith(PLAIN):
        raise FieldError(
            f"{name} is none of what can be brought: fields ({', '.join(PLAIN)}), "
            "stations (.csv), or a .zip of trained methods and Zarr stores"
        )
    stay_inside(path)
    _checked(path, name, session)
    path.replace(session.folder / name)


def _checked(path: Path, name: str, session: _Session) -> None:
    """Refuse what the contract does not understand, and values that are too many."""
    from physlab.data.ingest.account import told
    from physlab.data.ingest.door import open_path

    ds = open_path(path)
    try:
        if ds.nbytes > WHOLE:
            raise FieldError(
                f"{name} has {ds.nbytes / 1e6:.0f} MB of values: {WHOLE >> 20} MB are shown here; bring a shorter "
                "period or a smaller region"
            )
        if not refinable(ds):
            raise FieldError(f"{name} has no variable of time, latitude and longitude: there is nothing to refine")
        session.said.append(told(ds))
    finally:
        ds.close()


def stay_inside(path: Path) -> None:
    """Refuse a NetCDF-4 file whose values, or parts of whose tree, lie in other files.

    Raises
    ------
    FieldError : the first place that points elsewhere.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r") as file:
        groups, seen = [file], 0
        while groups:
            group = groups.pop()
            for name in group:
                seen += 1
                kind = group.get(name, getlink=True)
                if isinstance(kind, h5py.SoftLink):
                    continue
                if isinstance(kind, h5py.ExternalLink):
                    raise FieldError(f"{path.name} points to another file at '{name[:40]}': bring one that holds all")
                if seen > MEMBERS:
                    raise FieldError(f"{path.name} has more than {MEMBERS} entries: bring one that is simpler")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                    raise FieldError(
                        f"{path.name} keeps the values of '{name[:40]}' elsewhere: bring one that holds all"
                    )


# -- archives ---------------------------------------------------------------------------------------------------------


def _archive(path: Path, name: str, session: _Session) -> None:
    """Trained methods, Zarr stores and fields of an archive, unpacked aside and moved in when all is well."""
    staging = session.folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = measured(archive, name, session.room)
            made = unpack(archive, members, Path(name).stem, staging)
        for part in made:
            if (part / CARD).is_file():
                _method(part, session)
            elif part.is_dir():
                safe_store(part)
                _checked(part, part.name, session)
            else:
                stay_inside(part)
                _checked(part, part.name, session)
        for part in made:
            target = session.folder / part.name
            if target.is_dir():
                shutil.rmtree(target)
            part.replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def measured(archive: zipfile.ZipFile, name: str, room: int) -> list[zipfile.ZipInfo]:
    """The files of an archive, none of them unpacked yet.

    Raises
    ------
    FieldError : too many or too large, encrypted, packed in unusual ways, links, code, names that leave the folder.
    """
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(archive.infolist()) > MEMBERS:
        raise FieldError(f"{name} holds more than {MEMBERS} files: bring fewer, or a NetCDF file")
    total = sum(info.file_size for info in members)
    if total > room:
        raise FieldError(
            f"{name} unpacks to {total / 1e6:.0f} MB: there is room for {max(room, 0) / 1e6:.0f} MB of what you bring"
        )
    for info in members:
        parts, shown = PurePosixPath(info.filename).parts, repr(info.filename[-60:])
        if info.filename.startswith("/") or "\\" in info.filename or ".." in parts or ":" in parts[0]:
            raise FieldError(f"{name} holds {shown}, a path that leaves its folder: pack the folder itself")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise FieldError(f"{name} holds {shown}, which is a link or a device: pack plain files")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FieldError(f"{name} holds {shown}, encrypted or packed in an unusual way: pack it plainly")
        if PurePosixPath(info.filename).suffix.lower() in CODE:
            raise FieldError(
                f"{name} holds {shown}: such files can run code; a trained method is {CARD} and *.safetensors, as "
                "physlab train writes it"
            )
    return members


def unpack(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], stem: str, staging: Path) -> list[Path]:
    """What is shown of an archive as files and folders with plain names; the rest stays packed.

    Raises
    ------
    FieldError : there is nothing to show, two things have one name, or a file is longer than the archive says.
    """
    paths = {info.filename: PurePosixPath(info.filename) for info in members}
    methods = {p.parent for p in paths.values() if p.name == CARD}
    stores = {p.parent for p in paths.values() if p.name in ZARR and p.name != CARD}
    stores = {p for p in stores if not any(q in p.parents for q in stores)}  # the outermost of each
    made: dict[str, PurePosixPath] = {}
    for info in members:
        path = paths[info.filename]
        store = next((p for p in (path.parent, *path.parents) if p in stores), None)
        if any(part.startswith((".", "__MACOSX")) and part not in ZARR for part in path.parts):
            continue
        if store is not None:
            folder, name = store, str(path.relative_to(store))
            top = f"{plain_name(folder.name or stem).removesuffix('.zarr')}.zarr"
        elif path.parent in methods:
            if path.name not in (CARD, MANIFEST) and path.suffix != ".safetensors":
                continue  # reports and tables are not read
            folder, name, top = path.parent, plain_name(path.name), plain_name(path.parent.name or stem)
        elif path.name.lower().endswith(FIELDS):
            folder, name, top = path, "", plain_name(path.name)
        else:
            continue
        if made.setdefault(top, folder) != folder:
            raise FieldError(f"there are two things of the name {top} in it: rename one")
        _extract(archive, info, staging / top / name if name else staging / top)
    if not made:
        raise FieldError(
            f"there is no trained method ({CARD} and *.safetensors), no Zarr store and no field in it: pack the folder "
            "that physlab train made"
        )
    return [staging / top for top in made]


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with archive.open(info) as source, open(target, "xb") as copy:
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise FieldError(f"{info.filename[-60:]!r} is longer than the archive says: it is damaged")
            copy.write(block)


def safe_store(folder: Path) -> None:
    """Refuse a Zarr store with files that are not of one, or packed in a way that runs what it reads.

    Raises
    ------
    FieldError : which file, or which codec.
    """
    if others := foreign(folder, "zarr"):
        raise FieldError(f"{folder.name} holds {others[0][:60]!r}, which is no part of a Zarr store: take it out")
    for path in folder.rglob("*"):
        if path.name in (".zarray", ".zmetadata", "zarr.json"):
            try:
                content = json.loads(path.read_bytes()[: 16 << 20])
            except (ValueError, RecursionError):
                raise FieldError(f"{path.name} of {folder.name} is damaged: pack the store again") from None
            for codec in _codecs(content):
                if codec.removeprefix("numcodecs.") not in CODECS:
                    raise FieldError(
                        f"{folder.name} is packed by {codec[:40]!r}, which is not read here: write it with zstd"
                    )


def _codecs(content: Any) -> list[str]:
    """Names of all codecs anywhere in metadata."""
    found, todo = [], [content]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            for key, value in part.items():
                inner = value if isinstance(value, list) else [value]
                if key in ("compressor", "filters", "codecs", "index_codecs"):
                    found += [str(c.get("id", c.get("name"))) for c in inner if isinstance(c, dict)]
                todo.append(value)
    return found


def _method(folder: Path, session: _Session) -> None:
    """A trained method, opened once so that a damaged one is refused now."""
    import physlab

    card = folder / CARD
    physlab.load_model(str(folder))
    session.said.append(f"Trained method {folder.name}: {card.stat().st_size / 1e3:.0f} kB of card, opened and whole")
