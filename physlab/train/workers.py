"""Worker processes: few threads each, and none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import threading

import torch


def begin(threads: int = 1) -> None:
    """Initializer of a spawned worker: cap torch's threads, and end when the parent ends, however it ends.

    A killed parent cannot tell its workers; without this they would wait for work, in memory, for ever.
    """
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
