"""What a folder is made of: which files are ours, and the digests that tell whether they are still what was saved."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from physlab.errors import CheckpointError

MANIFEST, CARD, WEIGHTS = "manifest.json", "card.json", "model.safetensors"
VERSION = 1
"""Of the layout of a model folder. Those without a manifest are older: they are read, and have no digests."""
ZARR = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")
CHUNK = re.compile(r"\d+(\.\d+)*|c")
LARGEST = 1 << 20


def write_manifest(folder: Path, names: tuple[str, ...] = (CARD, WEIGHTS)) -> None:
    """Into a new folder of a model, when its files are complete."""
    (folder / MANIFEST).write_text(manifest_of(folder, names), encoding="utf-8")


def manifest_of(folder: Path, names: tuple[str, ...]) -> str:
    """Digests and sizes of some files of a folder, as JSON; the sizes let a reader refuse before it fetches."""
    content = {
        "physlab": VERSION,
        "kind": "model",
        "sha256": {name: digest(folder / name) for name in names},
        "size": {name: (folder / name).stat().st_size for name in names},
    }
    return json.dumps(content, indent=1) + "\n"


def read_manifest(folder: Path) -> dict[str, str] | None:
    """File -> SHA-256; None for a folder from before there were manifests.

    Raises
    ------
    CheckpointError : damaged, or of a later version than this one knows.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        content = json.loads(path.read_bytes())
        version, found = content["physlab"], content["sha256"]
        if not all(isinstance(part, str) for pair in found.items() for part in pair) or type(version) is not int:
            raise ValueError("not names and digests")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{MANIFEST} is damaged ({type(error).__name__}): restore it") from None
    if version > VERSION:
        raise CheckpointError(f"{MANIFEST} is of layout {version}, this PhysLab reads up to {VERSION}: update physlab")
    return found


def verify(folder: str | Path, names: tuple[str, ...] = (CARD, WEIGHTS)) -> None:
    """Refuse files that are not what was saved.

    Raises
    ------
    CheckpointError : a digest differs from the manifest, or the manifest lacks a file.
    """
    folder = Path(folder)
    known = read_manifest(folder)
    if known is None:  # older than manifests
        return
    for name in names:
        if known.get(name) != digest(folder / name):
            raise CheckpointError(
                f"{name} is not what was saved (its SHA-256 differs from {MANIFEST}): restore the folder, or save the "
                "model again"
            )


def foreign(folder: Path, kind: str) -> list[str]:
    """Names in a folder that do not belong to a model, or to a Zarr store; what is there is ours if there are none."""
    names = sorted(os.listdir(folder))
    if kind == "model":
        try:
            own = {MANIFEST, *(read_manifest(folder) or ())}
        except CheckpointError:
            own = {MANIFEST}
        if own == {MANIFEST}:  # older than manifests, or of another program
            own = {MANIFEST, CARD, WEIGHTS} if {CARD, WEIGHTS} <= set(names) else set()
        return [name for name in names if name not in own or not _is_plain(folder / name)]
    return _foreign_in_zarr(folder, names)


def _foreign_in_zarr(folder: Path, names: list[str]) -> list[str]:
    is_group = any(marker in names for marker in ZARR)
    others = []
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            inside = is_group and (_is_chunk_folder(folder, name) or any((path / m).is_file() for m in ZARR))
            if not inside:
                others.append(name)
            elif _is_chunk_folder(folder, name):
                others += [f"{name}/{p.name}" for p in path.rglob("*") if not _is_chunk(p)]
            else:
                others += [f"{name}/{other}" for other in _foreign_in_zarr(path, sorted(os.listdir(path)))]
        elif not (_is_plain(path) and (name in ZARR or (_is_array(folder) and CHUNK.fullmatch(name)))):
            others.append(name)
    return others


def _is_array(folder: Path) -> bool:
    return (folder / ".zarray").is_file() or (folder / "zarr.json").is_file()


def _is_chunk_folder(folder: Path, name: str) -> bool:
    return _is_array(folder) and CHUNK.fullmatch(name) is not None


def _is_chunk(path: Path) -> bool:
    return CHUNK.fullmatch(path.name) is not None and (path.is_dir() or _is_plain(path)) and not path.is_symlink()


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def digest(path: Path) -> str:
    """SHA-256 of a file, lower case hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
