"""The state of an interrupted run: a file from which it goes on to the same weights."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import platformdirs
import torch

from physlab.errors import PhysLabError
from physlab.store import write_file

FORMAT = 2  # of the file; it changes with the loop


def write_state(path: Path, content: dict) -> None:
    """A reader sees the old file or the new one, never a half."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_file(path, buffer.getbuffer())


def read_state(path: Path, fingerprint: dict) -> dict:
    """The state of an interrupted run of the same settings, data, seed and constraint."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        same, known = saved["fingerprint"] == fingerprint, saved.get("format") == FORMAT
    except Exception as error:  # torch raises many kinds for a damaged file
        raise PhysLabError(
            f"training state {path} cannot be read ({type(error).__name__}): remove it to start again"
        ) from None
    if not known:
        raise PhysLabError(f"training state {path} is of another version of the library: remove it to start again")
    if not same:
        raise PhysLabError(
            f"training state {path} is of a run with other settings, data, seed or constraint: remove it to start again"
        )
    return saved


def state_file(name: str, folder: Path) -> Path:
    """State of an interrupted run, in the user's cache: no half-trained checkpoint lies among the finished ones."""
    place = f"{zlib.crc32(str(folder.resolve()).encode()):08x}"
    return platformdirs.user_cache_path("physlab") / "training" / f"{name}-{place}.pt"
