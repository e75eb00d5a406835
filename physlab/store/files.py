"""One way to write a file, one to write a folder: what stands under the name is the old version or the new one, whole.

    .physlab-DIGEST.lock    made first and removed last; holds the name; locked while its writer lives
    .physlab-DIGEST.new     the new version, until it takes its place by one call of the system
    .physlab-DIGEST.old     the old folder, only where the system cannot exchange two names in one call
    .physlab-DIGEST.part    parts of a large new version, kept for the next try (:mod:`physlab.store.parts`)

They lie beside the target, DIGEST stands for its name. Whoever finds a lock file that nobody holds knows that its
writer was killed, and sets right what it left (:func:`recover`): that happens whenever something is written to the same
folder, and whenever a checkpoint or a Zarr store is opened.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from physlab.errors import StoreError
from physlab.store.exchange import exchange
from physlab.store.manifest import foreign
from physlab.store.strays import PREFIX, sweep

WAIT = 60.0  # seconds for another writer of the same name


def write_file(path: str | Path, content: bytes | memoryview | str | Callable[[Path], object]) -> Path:
    """Write a file, on the disk (fsync) before it takes its name; folders above it are made.

    Parameters
    ----------
    content : what is in it, text as UTF-8; or a function that writes the file of the name that it is given, for what is
        too large to lie in memory twice.

    Raises
    ------
    StoreError : a folder or a device has that name, or another process is writing it.
    OSError : what the system says; nothing is left behind.
    """
    path = Path(path).expanduser()
    with _beside(path) as (target, new):
        refuse_folder(path, target)
        if callable(content):
            _call(content, new)
            _sync(new)
        else:
            _write(new, content.encode() if isinstance(content, str) else content)
        os.replace(new, target)
        _sync(target.parent)
    return path


def refuse_folder(path: Path, target: Path) -> None:
    """Refuse to write a file where a folder or a device has its name."""
    if target.exists() and not target.is_file():
        kind = "folder" if target.is_dir() else "device"
        raise StoreError(f"cannot write '{path}': a {kind} has that name; choose another one")


def replace_file(path: Path, target: Path, write: Callable[[Path], object]) -> None:
    """With the lock of `target` held: a function writes the new version, which takes its place."""
    refuse_folder(path, target)
    new = _name(target, "new")
    try:
        _call(write, new)
        _sync(new)
        os.replace(new, target)
        _sync(target.parent)
    finally:
        _restore(target)


@contextlib.contextmanager
def new_folder(folder: str | Path, kind: str) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends without an error.

    Parameters
    ----------
    kind : "model" or "zarr"; only a folder of that kind, without any other file in it, is replaced.

    Raises
    ------
    StoreError : a file has that name, the folder holds something that PhysLab did not write, another process writes it.
    OSError : what the system says; nothing is left behind.
    """
    folder = Path(folder).expanduser()
    with _beside(folder) as (target, new):
        _refuse_foreign(folder, target, kind)
        os.mkdir(new)
        yield new
        replace_folder(folder, target, new, kind)


def replace_folder(folder: Path, target: Path, new: Path, kind: str, ready: Callable[[], object] | None = None) -> None:
    """With the lock of `target` held: a complete folder takes its place; where one was, it stands under `new` then.

    `ready` is called just before.
    """
    for parent, _, names in os.walk(new):
        for name in (*names, ""):
            _sync(Path(parent) / name)
    _refuse_foreign(folder, target, kind)  # what came meanwhile
    if ready is not None:
        ready()
    if not os.path.lexists(target):
        os.rename(new, target)
    elif not exchange(new, target):
        old = _name(target, "old")
        os.rename(target, old)
        os.rename(new, target)  # if it fails or we are killed here, recover() takes the old one back
    _sync(target.parent)


@contextlib.contextmanager
def lock(path: str | Path, wait: float = WAIT) -> Iterator[None]:
    """Be the only writer of a name for a while; on the way in, what a killed writer left of it is set right.

    Parameters
    ----------
    wait : seconds to wait for another writer.

    Raises
    ------
    StoreError : another process still writes it.
    """
    path = _real(path)
    made = _make(path.parent)
    try:
        try:
            handle = _acquire(_name(path, "lock"), path, wait)
        except OSError as error:
            raise _of(path, error) from error
        try:
            _tell(handle, path)
            _restore(path)
            yield
        finally:
            _release(_name(path, "lock"), handle, path)
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                os.rmdir(parent)
        raise


def recover(path: str | Path) -> None:
    """Set right what killed writers left beside `path`; never fails, and never touches what a living one is writing."""
    with contextlib.suppress(OSError):
        path = _real(path)
        with os.scandir(path.parent) as found:
            locks = [Path(e.path) for e in found if e.name.startswith(PREFIX) and e.name.endswith(".lock")]
        for left in locks:
            with contextlib.suppress(OSError, StoreError):
                name = os.fsdecode(left.read_bytes())
                if name and left == _name(path.parent / name, "lock"):
                    with lock(path.parent / name, 0.0):
                        pass
                elif not name:  # killed between making the lock and writing the name into it
                    _release(left, _acquire(left, left, 0.0), left)
        sweep(path.parent, _acquire)  # afterwards: a lock that is taken forgets the name of what a killed writer left


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, Path]]:
    """The real target and the name of its new version, both ours alone; failing leaves neither files nor folders."""
    target = _real(path)
    with lock(target):
        recover(target)
        new = _name(target, "new")
        try:
            yield target, new
        except OSError as error:
            raise _of(path, error) from error
        finally:
            _restore(target)


def _restore(target: Path) -> None:
    """With the lock held: bring a folder back that was moved aside, remove what is left of a new or an old version."""
    new, old = _name(target, "new"), _name(target, "old")
    if os.path.lexists(old) and not os.path.lexists(target):
        try:
            os.rename(old, target)
        except OSError:  # both are kept, and the lock file with them: the next one tries again
            return
    for left in (new, old):
        with contextlib.suppress(OSError):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                os.unlink(left)


def _acquire(at: Path, path: Path, wait: float) -> int:
    """Handle of a lock file, locked; a file that its owner removed in between does not count."""
    until = time.monotonic() + wait
    while True:
        handle = os.open(at, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if _flock(handle) and os.path.samestat(os.fstat(handle), os.stat(at)):
                os.ftruncate(handle, 0)
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if time.monotonic() > until:
            raise StoreError(f"another process is writing '{path}': wait until it has finished, or choose another name")
        time.sleep(0.02)


def _tell(handle: int, path: Path) -> None:
    try:
        os.write(handle, os.fsencode(path.name))
    except OSError as error:
        raise _of(path, error) from error


def _of(path: Path, error: OSError) -> OSError:
    """The error with the name that the user has given, in the place of none or of one of ours."""
    if error.errno is None or PREFIX not in os.fsdecode(error.filename or PREFIX):
        return error
    return OSError(error.errno, error.strerror, str(path))


def _release(at: Path, handle: int, path: Path) -> None:
    """The lock file stays where something could not be removed: it tells the next one to try again."""
    with contextlib.suppress(OSError):
        if not any(os.path.lexists(_name(path, kind)) for kind in ("new", "old")):
            os.unlink(at)
    os.close(handle)


def _flock(handle: int) -> bool:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # no such locks on this system
        return True
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # file systems without locks
            raise
    return True


def _refuse_foreign(shown: Path, target: Path, kind: str) -> None:
    if not os.path.lexists(target):
        return
    if not stat.S_ISDIR(os.lstat(target).st_mode):
        raise StoreError(f"cannot write the folder '{shown}': a file has that name; choose another one")
    others = foreign(target, kind)
    if others:
        names = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise StoreError(
            f"'{shown}' holds {names}, which is not of a {kind} that PhysLab wrote: nothing was changed; choose "
            "another name, or move it away first"
        )


def _real(path: str | Path) -> Path:
    """Links followed, so that what a link points to is replaced and not the link."""
    return Path(os.path.realpath(Path(path).expanduser()))


def _name(target: Path, kind: str) -> Path:
    """Of fixed length, so that any name that the file system takes can be written."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]
    return target.with_name(f"{PREFIX}{digest}.{kind}")


def _make(parent: Path) -> list[Path]:
    """Make a folder and those above it; which were made, the innermost first."""
    made: list[Path] = []
    missing = [p for p in (parent, *parent.parents) if not os.path.lexists(p)]
    try:
        for folder in reversed(missing):
            os.mkdir(folder)
            made.insert(0, folder)
    except FileExistsError:  # made by another process meanwhile
        parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        for folder in made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        raise
    return made


def _write(path: Path, content: bytes | memoryview) -> None:
    with open(path, "xb", buffering=0) as file:
        data = memoryview(content).cast("B")
        while len(data):
            data = data[os.write(file.fileno(), data[: 1 << 26]) :]
        os.fsync(file.fileno())


def _call(write: Callable[[Path], object], path: Path) -> None:
    """Libraries in Rust hide the system's error in a text: (os error 28)."""
    try:
        write(path)
    except OSError:
        raise
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def _sync(path: Path) -> None:
    """File or folder onto the disk; where the system cannot open folders, their entries follow by themselves."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
