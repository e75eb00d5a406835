"""Every remote file that PhysLab downloads: address, SHA-256 and size, by the table ``remote.json``. An address names a
commit, so its content cannot change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class RemoteFile:
    """One file behind a stable address.

    Attributes
    ----------
    name : file name on disk.
    path : address below :data:`HOST`: repository, commit, path.
    sha256 : of the content, lower case hex.
    size : bytes.
    """

    name: str
    path: str
    sha256: str
    size: int


TABLE = json.loads(Path(__file__).with_name("remote.json").read_text(encoding="utf-8"))
FILES: dict[str, tuple[RemoteFile, ...]] = {
    name: tuple(RemoteFile(n, f"{entry['folder']}/{n}", sha256, size) for n, (size, sha256) in entry["files"].items())
    for name, entry in TABLE.items()
}
"""Data set name -> its files."""
