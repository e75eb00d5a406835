"""Which checkpoint a selection means, and which there are: names only, nothing is loaded here."""

from __future__ import annotations

import re

from apps.options import CONSTRAINTS, HOURS, NETWORKS
from apps.state import Choice
from physlab.zoo import checkpoint_folders

FRAMES = {"tcw-t1": ((3, 3), (1, 1)), "tcw-t2": ((2, 3),)}  # coarse frames in, fine frames out; (1, 1) for the others


def hours(dataset: str) -> int:
    """Frames of a sequence, or 1."""
    return HOURS.get(dataset, 1)


def tasks(dataset: str) -> tuple[str, ...]:
    """Tasks whose checkpoints refine a data set: single-frame networks also take given sequences frame by frame."""
    return (dataset, "tcw") if dataset == "tcw-t1" else (dataset,)


def names(choice: Choice) -> list[str]:
    """Names in the zoo that a selection may mean, the best first; for statistical methods "statistical/NAME/TASK-xN".

    Statistical methods refine single frames, so that of sequences with a missing one there is none.
    """
    if choice.method == "statistical":
        known = [task for task in tasks(choice.dataset) if task not in HOURS]
        return [f"statistical/{choice.statistic}/{task}-x{choice.factor}" for task in known]
    if choice.method != "network":
        return [f"{choice.method}-x{choice.factor}"]
    constraint = choice.constraint if choice.mode == "trained" else "none"
    network = "" if choice.network == "compact" else f"-{choice.network}"
    return [f"{task}-x{choice.factor}{network}-{constraint}" for task in tasks(choice.dataset)]


def offers(dataset: str, factor: int) -> dict[str, list[str]]:
    """Network -> constraints for which :func:`physlab.load_model` finds a checkpoint without a seed in its name."""
    pattern = "|".join(sorted(map(re.escape, CONSTRAINTS), key=len, reverse=True))
    found: dict[str, set[str]] = {}
    folders = list(checkpoint_folders())
    for task in tasks(dataset):
        form = re.compile(rf"{re.escape(task)}-x{factor}(?:-(.+))?-({pattern})(?:-s0)?")
        for match in filter(None, map(form.fullmatch, folders)):
            found.setdefault(match[1] or "compact", set()).add(match[2])
    return {n: [c for c in CONSTRAINTS if c in found[n]] for n in NETWORKS if n in found}
