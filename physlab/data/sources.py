"""Downloads that are checked, resumable and never half-written.

A file is looked for in this order, and taken only if its SHA-256 is right:

1. ``PHYSLAB_DATA/NAME/file``, if the environment variable ``PHYSLAB_DATA`` names a folder (never written to);
2. the user's cache folder, ``NAME/file`` below :func:`cache_folder`;
3. the address of :mod:`physlab.data.registry`; ``PHYSLAB_MIRROR`` replaces its host, for a class room with a mirror.

Bytes arrive in a hidden ``.part`` file. An interrupted download leaves it there, and the next one continues with an
HTTP range request; only a complete file with the right checksum gets its name, by an atomic rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physlab.data.registry import FILES, HOST, RemoteFile
from physlab.errors import DownloadError
from physlab.store import lock, recover
from physlab.store.manifest import digest

ATTEMPTS = 3
TIMEOUT = 20.0
"""Seconds without a byte after which an attempt ends."""
PATIENCE, SLOWEST = 60.0, 1000.0
"""An attempt also ends when fewer bytes a second than the second number have come for as many seconds as the first."""
LONGEST = 6 * 3600.0
"""Seconds to wait for another process that downloads the same file."""
CHUNK = 1 << 13
"""Bytes read at a time; a broken connection loses at most as many."""


def cache_folder() -> Path:
    """The user's cache folder of PhysLab."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("physlab"))


def address(file: RemoteFile) -> str:
    """URL of a remote file, on ``PHYSLAB_MIRROR`` if that is set."""
    return f"{os.environ.get('PHYSLAB_MIRROR', HOST).rstrip('/')}/{file.path}"


def local_copy(name: str, file: RemoteFile) -> Path | None:
    """Path of a file that is here already with the right checksum, else None."""
    own = os.environ.get("PHYSLAB_DATA")
    if own:
        path = Path(own).expanduser() / name / file.name
        if path.is_file():
            if digest(path) == file.sha256:
                return path
            warnings.warn(
                f"{path} has another checksum than the catalogue: not used; replace it or remove it", stacklevel=3
            )
    path = cache_folder() / name / file.name
    recover(path)
    return path if path.is_file() and digest(path) == file.sha256 else None


def is_cached(name: str) -> bool:
    """True if all files of a data set are here with the right size (checksums are compared when the data set is
    opened)."""
    folders = [cache_folder() / name]
    if os.environ.get("PHYSLAB_DATA"):
        folders.append(Path(os.environ["PHYSLAB_DATA"]).expanduser() / name)
    return all(
        any((f / file.name).is_file() and (f / file.name).stat().st_size == file.size for f in folders)
        for file in FILES[name]
    )


def fetch_files(name: str, progress: bool = True) -> list[Path]:
    """Paths of the files of a remote data set, downloaded where needed.

    Parameters
    ----------
    name : a key of :data:`physlab.data.registry.FILES`.
    progress : show a progress bar on standard error.

    Raises
    ------
    DownloadError : no network, an error of the server, wrong content; nothing half-written is left under the file's
        name.
    """
    return [local_copy(name, file) or download(name, file, progress) for file in FILES[name]]


def download(name: str, file: RemoteFile, progress: bool = True) -> Path:
    """Download one file into the cache and return its path (see :func:`fetch_files`)."""
    folder = cache_folder() / name
    path, part = folder / file.name, folder / f".{file.name}.part"
    try:
        with lock(path, LONGEST), _freed(part):
            if path.is_file() and digest(path) == file.sha256:
                return path
            for _ in range(2):
                arriving = Resumable(file, part, progress)
                arriving.fetch(address(file))
                if arriving.digest == file.sha256:
                    os.replace(part, path)
                    return path
                part.unlink()
                if not arriving.resumed:
                    break
    except DownloadError:
        raise
    except OSError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise DownloadError(f"{name}: cannot store {path} ({reason}): free space or set another cache folder") from None
    raise DownloadError(
        f"{name}: {address(file)} delivered {arriving.received} bytes with SHA-256 {arriving.digest[:12]}..., "
        f"expected {file.size} bytes with {file.sha256[:12]}...: the bad file was removed; try again, or put the file "
        f"into PHYSLAB_DATA/{name}/"
    )


@contextlib.contextmanager
def _freed(part: Path) -> Iterator[None]:
    """Keep what has come, but not on a disk that is full: others need the space."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
        raise


@dataclass
class Resumable:
    """What arrives in a ``.part`` file, which is continued if it is there.

    Attributes
    ----------
    advice : what to do where it does not arrive; without it, what helps with a data set of the catalogue.
    allowed : is called with each answer of a server and raises where it is not to be read.
    """

    file: RemoteFile
    part: Path
    progress: bool
    advice: str = ""
    allowed: Callable[[Any], object] = bool
    resumed: bool = False
    received: int = 0
    digest: str = ""

    def fetch(self, url: str) -> None:
        """Until all bytes are here, in several attempts."""
        import requests
        import urllib3

        name = self.part.parent.name
        advice = self.advice or f"put {self.file.name} into PHYSLAB_DATA/{name}/"
        self.resumed = self.part.is_file() and self.part.stat().st_size > 0
        with _bar(self.file, self.progress) as advance:
            for attempt in range(ATTEMPTS):
                try:
                    self._stream(url, advance)
                    break
                except requests.HTTPError as error:
                    assert error.response is not None  # raise_for_status names it
                    code = error.response.status_code
                    what = "is not there" if code == 404 else "was refused"
                    raise DownloadError(
                        f"{name}: {url} {what} (HTTP {code}): {self.advice or f'check PHYSLAB_MIRROR, or {advice}'}"
                    ) from None
                except (requests.RequestException, urllib3.exceptions.HTTPError, TooSlow) as error:
                    if attempt + 1 == ATTEMPTS:
                        have = self.part.stat().st_size if self.part.is_file() else 0
                        kept = (
                            f"{have} of {self.file.size} bytes are kept and continued next time"
                            if have
                            else "nothing was stored"
                        )
                        raise DownloadError(
                            f"{name}: no connection to {url.split('/')[2]} ({type(error).__name__}), {kept}: connect "
                            f"to the network and try again, or {advice}"
                        ) from None
                    time.sleep(0.5 * (attempt + 1))
        self.received, self.digest = self.part.stat().st_size, digest(self.part)

    def _stream(self, url: str, advance) -> None:
        """Append the missing bytes to the part file."""
        import requests

        have = self.part.stat().st_size if self.part.is_file() else 0
        if have >= self.file.size:
            if have == self.file.size:
                return
            self.part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # the server's file is shorter than what is here: start anew
                self.part.unlink()
                raise requests.ConnectionError("range refused")
            self.allowed(answer)
            answer.raise_for_status()
            continued = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            self.resumed = self.resumed and continued
            have = have if continued else 0
            advance(have)
            due = have + int(answer.headers.get("Content-Length", 0))
            since, before = time.monotonic(), have
            with open(self.part, "ab" if continued else "wb", buffering=0) as stream:
                while chunk := answer.raw.read1(CHUNK):  # what has come, however little
                    stream.write(chunk)
                    have += len(chunk)
                    advance(have)
                    if have > self.file.size:
                        return  # too long: the checksum will refuse it, no need to fill the disk first
                    if time.monotonic() - since > PATIENCE:
                        if have - before < PATIENCE * SLOWEST:
                            raise TooSlow
                        since, before = time.monotonic(), have
                os.fsync(stream.fileno())
            if have < due:
                raise requests.ConnectionError("the connection broke")


class TooSlow(Exception):
    """The mirror sends, but so little that it would never end."""


@contextlib.contextmanager
def _bar(file: RemoteFile, show: bool) -> Iterator:
    """A progress bar on standard error; yields a function that takes the bytes stored so far."""
    if not show:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(file.name, total=file.size)
        yield lambda done: bar.update(task, completed=done)
