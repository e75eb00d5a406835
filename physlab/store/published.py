"""Models that travel: packed so that any static web server can host them, checked before anything of them is opened.

A published model is its folder, whose manifest names each file with its size and SHA-256; or a ZIP archive of just
these files, stored without compression. The SHA-256 of the manifest (or of the archive) names the whole: who knows it
from a paper or a colleague gets exactly that model or an error.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from physlab.errors import CheckpointError, StoreError, one_line
from physlab.store.cards import parse_card, read_card
from physlab.store.files import new_folder, write_file
from physlab.store.manifest import (
    CARD,
    LARGEST,
    MANIFEST,
    VERSION,
    WEIGHTS,
    digest,
    manifest_of,
    read_manifest,
    verify,
    write_manifest,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
SUFFIXES = (".json", ".safetensors", ".html", ".csv", ".png", ".svg", ".md", ".txt")
MOST = 64
"""Files of a model."""
HEADER = 100 << 20
"""Bytes of the header of safetensors, at most."""


@dataclass(frozen=True)
class Entry:
    """A file of a published model: bytes, and SHA-256 in lower case hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """What :func:`publish` wrote.

    Attributes
    ----------
    path : folder or archive.  sha256 : of its manifest, or of the archive.
    """

    path: Path
    sha256: str

    @property
    def address(self) -> str:
        """As :func:`physlab.load_model` takes it, when the web server is known."""
        return f"https://YOUR.SERVER/{self.path.name}#sha256={self.sha256}"


def publish(folder: str | Path, out: str | Path) -> Published:
    """Pack the folder of a model for a web server.

    Parameters
    ----------
    out : a folder to write, or an archive if it ends in ``.zip``; its name becomes that of the model.

    Raises
    ------
    CheckpointError : no model in the folder, or files that are not what was saved.
    StoreError : a name or a kind of file that cannot travel, or `out` holds something else.
    """
    folder, out = Path(folder), Path(out)
    read_card(folder)
    names = tuple(dict.fromkeys((CARD, WEIGHTS, *(read_manifest(folder) or ()))))
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise CheckpointError(f"{folder} lacks {', '.join(absent)}: restore it, or save the model again")
    verify(folder, names)
    disguised(folder / WEIGHTS)
    for name in names:
        check_name(name)
    if not is_plain(out.name):
        raise StoreError(f"{out.name!r:.120} cannot be part of an address: use letters, digits, '_', '-', '+' and '.'")
    if out.suffix != ".zip":
        if out.resolve() == folder.resolve():
            raise StoreError(f"'{out}' is the folder itself: choose another name")
        with new_folder(out, "model") as part:
            for name in names:
                shutil.copyfile(folder / name, part / name)
            write_manifest(part, names)
        return Published(out, digest(out / MANIFEST))

    def archived(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name in (MANIFEST, *names):
                told = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same bytes whenever it is packed
                with archive.open(told, "w", force_zip64=True) as into:
                    if name == MANIFEST:
                        into.write(manifest_of(folder, names).encode())
                        continue
                    with open(folder / name, "rb") as content:
                        shutil.copyfileobj(content, into, 1 << 20)

    return Published(write_file(out, archived), digest(out))


def check_name(name: str) -> None:
    """Refuse files whose names could lead elsewhere, and kinds of files that a model does not have.

    Raises
    ------
    StoreError : says which names can travel.
    """
    if not is_plain(name) or not name.endswith(SUFFIXES):
        raise StoreError(
            f"{name!r:.120} cannot be a file of a published model: names are letters, digits, '_', '-', '+' and '.', "
            f"and end in {', '.join(SUFFIXES)}"
        )


def is_plain(name: str) -> bool:
    """Whether a name stays where it is put, on every system."""
    return NAME.fullmatch(name) is not None and ".." not in name and not name.endswith(".")


def listing(content: bytes, largest: int) -> tuple[Entry, ...]:
    """The files that a manifest names, checked before any of them is fetched.

    Parameters
    ----------
    largest : bytes of all files together.

    Raises
    ------
    CheckpointError : not such a manifest, names that could lead elsewhere, or files that are too large.
    """
    try:
        if len(content) > LARGEST:
            raise ValueError("too large")
        told = json.loads(content)
        version, digests, sizes = told["physlab"], told["sha256"], told["size"]
        found = tuple(Entry(name, sizes[name], digests[name]) for name in digests)
        if type(version) is not int or not found or len(found) > MOST or set(sizes) != set(digests):
            raise ValueError("not names, sizes and digests")
        for entry in found:
            if type(entry.size) is not int or entry.size < 0 or not re.fullmatch(r"[0-9a-f]{64}", str(entry.sha256)):
                raise ValueError(f"no size or digest of {entry.name!r:.60}")
            check_name(entry.name)
            if entry.name == MANIFEST:
                raise ValueError("names itself")
    except StoreError as error:
        raise CheckpointError(f"refused: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = one_line(error, 100)
        raise CheckpointError(
            f"{MANIFEST} is not that of a published model ({type(error).__name__}: {line}): publish it by physlab "
            "publish"
        ) from None
    if version > VERSION:
        raise CheckpointError(f"{MANIFEST} is of layout {version}, this PhysLab reads up to {VERSION}: update physlab")
    missing = {CARD, WEIGHTS} - {entry.name for entry in found}
    if missing:
        raise CheckpointError(f"the published model lacks {', '.join(sorted(missing))}: publish it again")
    total = sum(entry.size for entry in found)
    if total > largest:
        raise CheckpointError(
            f"the published model has {total / 1e6:.0f} MB, at most {largest / 1e6:.0f} MB are taken: raise the limit "
            "(--largest, in MB) if you trust it"
        )
    return found


def disguised(path: Path) -> None:
    """Refuse weights that are not safetensors, such as a pickle of that name.

    Raises
    ------
    CheckpointError : says what the file looks like.
    """
    with open(path, "rb") as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        header = b""
        if len(start) == 9 and start[8:] == b"{" and length <= min(HEADER, path.stat().st_size - 8):
            header = b"{" + file.read(length - 1)
    try:
        if not isinstance(json.loads(header), dict):
            raise ValueError
    except (ValueError, RecursionError):
        looks = "a pickle" if start[:1] == b"\x80" or start[:2] == b"PK" else "something else"
        raise CheckpointError(
            f"{path.name} is not safetensors, it looks like {looks}: nothing of it was opened; get the model from a "
            "place that you trust"
        ) from None


def settle(files: Path, target: Path, entries: tuple[Entry, ...]) -> Path:
    """Files of a published model that have all arrived, into the folder of the model; checked again as a whole."""
    with new_folder(target, "model") as part:
        for entry in entries:
            source = files / entry.name
            if source.stat().st_size != entry.size or digest(source) != entry.sha256:
                raise CheckpointError(f"{entry.name} is not what was published (its SHA-256 differs): get it again")
            shutil.copyfile(source, part / entry.name)
        disguised(part / WEIGHTS)
        parse_card(part / CARD)
        write_manifest(part, tuple(entry.name for entry in entries))
    return target


def unpack(archive: Path, target: Path, largest: int) -> Path:
    """The model of an archive; only what its manifest names is read, and no byte more than it says.

    Raises
    ------
    CheckpointError : not an archive of a published model, files that are too large or not what was published.
    """
    scratch = archive.with_name(f"{archive.name}.files")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        with zipfile.ZipFile(archive) as packed:
            infos = {info.filename: info for info in packed.infolist()}
            told = infos.get(MANIFEST)
            if told is None or told.file_size > LARGEST:
                raise CheckpointError(f"the archive has no {MANIFEST}: publish the model by physlab publish")
            with packed.open(told) as file:
                entries = listing(file.read(LARGEST + 1), largest)
            others = sorted(set(infos) - {MANIFEST, *(entry.name for entry in entries)})
            if others or len(infos) != len(packed.infolist()):
                raise CheckpointError(
                    f"the archive holds {', '.join(map(repr, others[:3])) or 'a name twice'}, which its {MANIFEST} "
                    "does not name: nothing was unpacked"
                )
            for entry in entries:
                info = infos.get(entry.name)
                if info is None or info.file_size != entry.size or info.is_dir():
                    raise CheckpointError(f"the archive lacks {entry.name}, or holds another: publish the model again")
                with packed.open(info) as content, open(scratch / entry.name, "xb") as into:
                    _limited(content, into, entry.size)
        return settle(scratch, target, entries)
    except zipfile.BadZipFile:
        raise CheckpointError("the archive is damaged, or no ZIP archive: get it again") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _limited(content, into, size: int) -> None:
    left = size
    while left and (chunk := content.read(min(1 << 20, left))):
        into.write(chunk)
        left -= len(chunk)
