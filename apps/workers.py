"""What all sessions of a server share: the store and the threads that work for them.

In a module of its own, because Panel runs `apps/explorer.py` anew for each session and empties its names when that
session ends: a thread that starts later would not find them.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from apps.store import Store


def shared() -> tuple[Store, ThreadPoolExecutor, ThreadPoolExecutor]:
    """The store, the workers for panels and one worker for test-set scores; the store has one that samples."""
    store = Store(threads=1)
    store.analyses.pool = store.ensembles.pool = ThreadPoolExecutor(1, "sampling")
    return store, ThreadPoolExecutor(2, "panel"), ThreadPoolExecutor(1, "test-set", step_back)


def step_back() -> None:
    """Test-set scores yield to panels that somebody is waiting for: on Linux a thread has its own priority."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
