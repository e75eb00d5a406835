"""Where a result comes from: a line of history, attributes, and digests of what went in."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xarray as xr

MARK = re.compile(r" PhysLab \d[\w.+-]*: ")
"""Of our lines in a history."""
try:
    VERSION = version("physlab")
except PackageNotFoundError:  # a copy that was not installed
    VERSION = "0.0.0"


def remember(ds: xr.Dataset, *steps: str, **provenance: Any) -> xr.Dataset:
    """The data set with lines more in its history and with attributes that say where it comes from.

    Parameters
    ----------
    steps : what was done, one line each.
    provenance : attributes, such as model="tcw-x4-softmax-s0", seed=0; None is left out.
    """
    lines = [str(ds.attrs.get("history") or "").rstrip()]
    lines += [f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} PhysLab {VERSION}: {' '.join(step.split())}" for step in steps]
    known = {f"physlab_{key}": value for key, value in provenance.items() if value is not None}
    return ds.assign_attrs({**known, "physlab_version": VERSION, "history": "\n".join(line for line in lines if line)})


def remembered(ds: xr.Dataset) -> xr.Dataset:
    """The data set with the command that runs in its history, unless that is there; for others a line without a time,
    so that what a program writes does not depend on the time of day."""
    last = str(ds.attrs.get("history") or "").rstrip().rpartition("\n")[2]
    if MARK.search(last):
        return ds
    command = command_line()
    if command:
        return remember(ds, command)
    return ds if ds.attrs.get("history") else ds.assign_attrs(history=f"written by PhysLab {VERSION}")


def command_line() -> str:
    """The command that runs, as it was typed; empty where it is none of ours."""
    ours = Path(sys.argv[0]).name in ("physlab", "physlab.exe") or sys.argv[0].endswith(f"physlab{os.sep}__main__.py")
    return shlex.join(["physlab", *sys.argv[1:]]) if ours else ""


def digest_of(source: str | Path | Mapping | None) -> str:
    """Digest of a card, or of a file or folder by name, size and time of change; the name alone where nothing is there.

    The chunks of a Zarr store are not looked at one by one, its metadata and its folders are.
    """
    if source is None:
        return ""
    if isinstance(source, Mapping):
        content = json.dumps(source, sort_keys=True, default=str)
    else:
        path = Path(source).expanduser()
        found = [path, *sorted(path.glob("*")), *sorted(path.glob("*/.z*")), *sorted(path.glob("*/zarr.json"))]
        known = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in found if p.exists()]
        content = json.dumps([os.path.abspath(path), known])
    return hashlib.sha256(content.encode()).hexdigest()
