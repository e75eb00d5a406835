"""Where JAX keeps what it has compiled for the tests, from one run of them to the next."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time


def compiled() -> str:
    """A folder of this user on this machine that stays; of what JAX has put there, nothing older than a week."""
    folder = os.path.join(tempfile.gettempdir(), f"physlab-jax-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    about = os.stat(folder)
    if os.path.islink(folder) or (hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o077)):
        folder = tempfile.mkdtemp(prefix="physlab-jax-")  # somebody else's
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for entry in os.scandir(folder):
        if entry.is_file() and entry.stat().st_mtime < time.time() - 7 * 86400:
            os.unlink(entry.path)
    return folder
