"""The cage of a student's process: what it may read, write, start and use up; once closed, nothing in it opens it.

Four fences, each closed for good: limits of the operating system (processor time, memory, size of files); Landlock for
files (read what Python needs, write in the own folder alone); a seccomp filter (no new process, no program, no socket);
and an audit hook of Python, which says in words what was refused and stands alone where the kernel has no Landlock.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from pathlib import Path
from typing import Any

REFUSED = "refused while an assignment is graded"


class Refused(PermissionError):
    """What a graded notebook may not do."""


# ---- limits of the operating system ---------------------------------------------------------------------------------


def limit(seconds: int, memory: int, file: int) -> None:
    """Processor time (s), memory beyond what is in use now (bytes), size of a file (bytes).

    At the limit of time the system sends SIGXCPU, whose name tells what happened; who ignores it is killed a second on.
    """
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for kind, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        resource.setrlimit(kind, (most, most))


# ---- Landlock: files ------------------------------------------------------------------------------------------------

_READ = 0x1 | 0x4 | 0x8  # execute, read a file, read a folder
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}  # rights that the versions of Landlock know
_CREATE, _ADD, _RESTRICT = 444, 445, 446


def landlock(readable: list[Path], writable: Path) -> bool:
    """Allow reading of some folders and writing in one, and nothing else; False where the kernel cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    rights = _ALL[min(version, 3)]
    ruleset = libc.syscall(_CREATE, struct.pack("<Q", rights), ctypes.c_size_t(8), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    devices = [Path("/dev/null"), Path("/dev/urandom"), Path("/dev/zero")]
    for place, allowed in [*((p, _READ) for p in readable), *((p, 0x2 | 0x4) for p in devices), (writable, rights)]:
        if not place.exists():
            continue
        if not place.is_dir():
            allowed &= 0x7
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        libc.syscall(_ADD, ruleset, 1, struct.pack("<Qi", allowed, handle), ctypes.c_uint32(0))
        os.close(handle)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges, for good
    done = libc.syscall(_RESTRICT, ruleset, ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return done


# ---- seccomp: processes and sockets ---------------------------------------------------------------------------------

_DENIED = {
    "x86_64": (0xC000003E, 56, 435, (
        41, 53, 57, 58, 59, 62, 101, 109, 112, 129, 155, 165, 166, 169, 175, 200, 234, 240, 246, 248, 249, 250, 272,
        297, 298, 304, 308, 310, 311, 313, 320, 321, 322, 323, 424, 425, 426, 427, 434, 438, 90, 91, 92, 93, 94,
    )),
    "aarch64": (0xC00000B7, 220, 435, (
        198, 199, 221, 129, 117, 154, 157, 138, 39, 40, 142, 105, 130, 131, 180, 104, 97, 240, 241, 265, 268, 270, 271,
        273, 280, 281, 282, 424, 425, 426, 427, 434, 438, 52, 53, 54, 55,
    )),
}  # fmt: skip
"""Machine -> its number, clone, clone3, and what is refused: sockets, fork, execve, kill, ptrace, mounts, chmod..."""


def seccomp() -> bool:
    """Refuse new processes, programs, sockets and signals to others; False where that is not known to work."""
    if sys.platform != "linux" or platform.machine() not in _DENIED:
        return False
    arch, clone, clone3, denied = _DENIED[platform.machine()]
    refuse, allow, absent = 0x00050001, 0x7FFF0000, 0x00050026  # EPERM, go on, ENOSYS

    def step(code: int, true: int, false: int, value: int) -> bytes:
        return struct.pack("<HBBI", code, true, false, value)

    program = [step(0x20, 0, 0, 4), step(0x15, 1, 0, arch), step(0x06, 0, 0, refuse), step(0x20, 0, 0, 0)]
    if arch == 0xC000003E:  # the second set of numbers of this machine
        program += [step(0x35, 0, 1, 0x40000000), step(0x06, 0, 0, refuse)]
    for number in denied:
        program += [step(0x15, 0, 1, number), step(0x06, 0, 0, refuse)]
    program += [step(0x15, 0, 1, clone3), step(0x06, 0, 0, absent)]
    program += [step(0x15, 0, 3, clone), step(0x20, 0, 0, 16), step(0x45, 1, 0, 0x10000), step(0x06, 0, 0, refuse)]
    program.append(step(0x06, 0, 0, allow))
    code = ctypes.create_string_buffer(b"".join(program))
    filters = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    return libc.prctl(22, 2, filters, 0, 0) == 0


# ---- Python's own hook ----------------------------------------------------------------------------------------------

_NEVER = (
    "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "pty.spawn",
    "subprocess.Popen", "os.kill", "os.killpg", "signal.pthread_kill", "webbrowser.open", "ctypes.string_at",
    "ctypes.wstring_at", "ctypes.dlopen", "ctypes.call_function", "ctypes.set_errno", "code.__new__",
    "resource.setrlimit", "resource.prlimit",
)  # fmt: skip
_CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip


def hook(readable: list[Path], writable: Path) -> None:
    """Refuse in words; an audit hook stays until the process ends."""
    own = os.path.realpath(writable)
    library = Path(__file__).resolve().parents[1]
    hidden = tuple(str(library / name) for name in ("teach", "course", "cli"))
    devices = ("/dev/null", "/dev/urandom", "/dev/zero")
    allowed = tuple(os.path.realpath(place) for place in readable)

    def inside(path: Any, places: tuple[str, ...]) -> bool:
        if isinstance(path, int) or path is None:
            return True
        real = os.path.realpath(os.fsdecode(path))
        return any(real == place or real.startswith(place + os.sep) for place in places)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(c in (mode or "") for c in "wax+") or bool(
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            if writes and not inside(path, (own, devices[0])):
                raise Refused(f"writing {path!r} is {REFUSED}: only the own folder is yours")
            secret = not isinstance(path, int) and inside(path, hidden)
            if secret or (not writes and not inside(path, (own, *devices, *allowed))):
                raise Refused(f"reading {path!r} is {REFUSED}")
        elif event in _CHANGES:
            for path in arguments[:2]:
                if isinstance(path, str | bytes | os.PathLike) and not inside(path, (own,)):
                    raise Refused(f"changing {path!r} is {REFUSED}: only the own folder is yours")
        elif event in _NEVER or event.startswith(("socket.", "ftplib.", "urllib.", "smtplib.")):
            raise Refused(f"{event} is {REFUSED}: no other process, no network")

    sys.addaudithook(watch)


def readable_places() -> list[Path]:
    """What Python, torch and the library read while they run; no book, no answers, nobody's submission."""
    import physlab

    library = Path(physlab.__file__).resolve().parent
    mine = [place for place in library.iterdir() if place.name not in ("teach", "course", "cli")]
    installed = [Path(p).resolve() for p in sys.path if "site-packages" in p or "dist-packages" in p]
    prefixes = [Path(p).resolve() for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    system = "/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache", "/proc/self", "/sys/devices/system"
    return [*map(Path, system), *prefixes, *installed, *mine]


def close(folder: Path, seconds: int, memory: int, file: int) -> dict[str, bool]:
    """Close all fences around this process; returns which of the kernel's two stand."""
    places = readable_places()
    limit(seconds, memory, file)
    files, calls = landlock(places, folder), seccomp()
    hook(places, folder)
    return {"landlock": files, "seccomp": calls}
