"""Writing that goes on where it was killed: the parts of a new version, kept beside the target until it is complete.

    .physlab-DIGEST.part/           made by the first try, found again by the next one
    .physlab-DIGEST.part/journal    first line: what the parts belong to; then one line for each that is complete

A part is on the disk before the journal names it, so that a line that was cut short costs one part. Parts that belong
to something else (other input, other options) are removed by the next writer of the same name, those that nobody came
back for by anyone who writes into the folder (:mod:`physlab.store.strays`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from physlab.store import files
from physlab.store.strays import JOURNAL, remove


class Parts:
    """The parts of a version that is being written.

    Attributes
    ----------
    folder : where they are put, by any name but `journal`.
    resumed : how many were there already.
    """

    def __init__(self, shown: Path, target: Path, folder: Path, done: set[str]) -> None:
        self.shown, self.target, self.folder, self._done, self.resumed = shown, target, folder, done, len(done)

    def __contains__(self, name: str) -> bool:
        return name in self._done

    def put(self, name: str, content: bytes | None = None, files_of: tuple[Path, ...] = ()) -> None:
        """Enter a part as complete.

        Parameters
        ----------
        content : what is in its file; None if the caller has written `files_of` itself, which are brought to the disk.
        """
        if content is not None:
            path = self.folder / name
            path.unlink(missing_ok=True)
            files._write(path, content)
        for path in files_of:
            if path.exists():  # a chunk that holds the fill value alone has no file
                files._sync(path)
        handle = os.open(self.folder / JOURNAL, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, f"{name}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        self._done.add(name)

    def to_file(self, write: Callable[[Path], object]) -> None:
        """The target, a file, made by a function from all parts."""
        files.replace_file(self.shown, self.target, write)

    def to_folder(self, name: str, kind: str) -> None:
        """The target, a folder: the one that was made among the parts."""
        journal = self.folder / JOURNAL  # after the exchange the parts are those of the old version
        files.replace_folder(self.shown, self.target, self.folder / name, kind, journal.unlink)


@contextlib.contextmanager
def parts_of(path: str | Path, belongs_to: Mapping[str, object] | None) -> Iterator[Parts]:
    """Be the only writer of a name, with the parts that an earlier try of the same thing left.

    When the block ends, or fails with an error, the parts are gone; they stay if the process is killed or interrupted.

    Parameters
    ----------
    belongs_to : what the parts are made from: the digest of the input, options. Parts of something else are removed;
        with None nobody can come back for them, and :func:`physlab.store.recover` removes what a killed writer left.

    Raises
    ------
    StoreError : another process writes that name.  OSError : what the system says; nothing is left behind.
    """
    shown = Path(path).expanduser()
    target = files._real(shown)
    key = ""
    if belongs_to is not None:
        key = hashlib.sha256(json.dumps(belongs_to, sort_keys=True, default=str).encode()).hexdigest()
    with files.lock(target):
        files.recover(target)
        folder = files._name(target, "part")
        done = _found(folder, key)
        try:
            if done is None:
                done = set()
                remove(folder)
                os.mkdir(folder)
                files._write(
                    folder / JOURNAL, (json.dumps({"physlab": 1, "key": key, "of": shown.name}) + "\n").encode()
                )
            yield Parts(shown, target, folder, done)
        except (KeyboardInterrupt, SystemExit):
            raise
        except OSError as error:
            remove(folder)
            raise files._of(shown, error) from error
        except BaseException:
            remove(folder)
            raise
        else:
            remove(folder)
        finally:
            files._restore(target)


def _found(folder: Path, key: str) -> set[str] | None:
    """Names of the complete parts of this key; None if there are none."""
    try:
        first, *lines = (folder / JOURNAL).read_bytes().decode("utf-8", "replace").split("\n")
        if not key or json.loads(first)["key"] != key:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return set(lines[:-1])  # the last one is empty, or was cut short
