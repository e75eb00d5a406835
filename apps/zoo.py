"""Which checkpoint a selection means, and which there are: names only, nothing is loaded here."""

from __future__ import annotations

from pathlib import Path

from apps.options import CONSTRAINTS, HOURS, NETWORKS, OWN_DATA, OWN_MODELS, PRESETS, hours_of
from apps.state import Choice
from physlab.errors import CheckpointError
from physlab.store import read_card
from physlab.zoo import checkpoint_folders, parts

FRAMES = {"tcw-t1": ((3, 3), (1, 1)), "tcw-t2": ((2, 3),)}  # coarse frames in, fine frames out; (1, 1) for the others
SAME = {"tcw": "tcw", "t2m": "era5-uk-t2m"}  # variable of one's own -> task of the networks that know it


def frames_of(dataset: str) -> tuple[tuple[int, int], ...]:
    """Coarse frames in and fine frames out of the networks that a data set can be shown to, the best first."""
    mine = OWN_DATA.get(dataset)
    if mine is None or mine.frames == 1:
        return FRAMES.get(dataset, ((1, 1),))
    return ((len(mine.given), mine.frames),) if mine.given else ((mine.frames, mine.frames), (1, 1))


def hours(dataset: str) -> int:
    """Frames of a sequence, or 1."""
    return hours_of(dataset)


def tasks(dataset: str) -> tuple[str, ...]:
    """Tasks whose checkpoints refine a data set: single-frame networks also take given sequences frame by frame.

    Fields of one's own are shown to the networks of the same variable, which have not been trained on them.
    """
    if (mine := OWN_DATA.get(dataset)) is not None:
        return (SAME[mine.variable],) if mine.variable in SAME else ()
    return (dataset, "tcw") if dataset == "tcw-t1" else (dataset,)


def names(choice: Choice) -> list[str]:
    """Names in the zoo that a selection may mean, the best first; for statistical methods "statistical/NAME/TASK-xN".

    Statistical methods refine single frames, so that of sequences with a missing one there is none.
    """
    if choice.method == "statistical" and choice.dataset in OWN_DATA:
        single = OWN_DATA[choice.dataset].frames == 1
        return [f"statistical/{choice.statistic}/{choice.dataset}-x{choice.factor}"] * single
    if choice.method == "statistical":
        known = [task for task in tasks(choice.dataset) if task not in HOURS]
        return [f"statistical/{choice.statistic}/{task}-x{choice.factor}" for task in known]
    if choice.method != "network":
        return [f"{choice.method}-x{choice.factor}"]
    constraint = choice.constraint if choice.mode == "trained" else "none"
    if (mine := OWN_MODELS.get(choice.network)) is not None:
        here = (mine.data, mine.factor, mine.constraint) == (choice.dataset, choice.factor, constraint)
        return [str(mine.folder)] * here
    if (folder := checkpoint_folders().get(choice.network)) is not None:  # a name of one's own
        return [choice.network] if _means(folder, choice.dataset, choice.factor) == constraint else []
    label, preset = PRESETS.get(choice.network, (choice.network, ""))
    network, ending = "" if label == "compact" else f"-{label}", f"-{preset}" if preset else ""
    return [f"{task}-x{choice.factor}{network}-{constraint}{ending}" for task in tasks(choice.dataset)]


def offers(dataset: str, factor: int) -> dict[str, list[str]]:
    """Network -> constraints for which :func:`physlab.load_model` finds a checkpoint without a seed in its name.

    A checkpoint whose name is not that of a recipe is a network of its own, for the data that its card names.
    """
    found: dict[str, set[str]] = {}
    for name, mine in list(OWN_MODELS.items()):
        if (mine.data, mine.factor) == (dataset, factor):
            found[name] = {mine.constraint}
    for name, folder in checkpoint_folders().items():
        known = parts(name)
        if known is None:
            if constraint := _means(folder, dataset, factor):
                found.setdefault(name, set()).add(constraint)
        elif known["task"] in tasks(dataset) and known["factor"] == str(factor) and known["seed"] in (None, "0"):
            if dataset in OWN_DATA and _place(folder):
                continue  # it has learned another place
            label = known["label"] or "compact"
            for network in (label, *(k for k, of in PRESETS.items() if of == (label, known["preset"]))):
                found.setdefault(network, set()).add(known["constraint"] or "none")
    ordered = [n for n in NETWORKS if n in found] + [n for n in found if n in OWN_MODELS and n not in NETWORKS]
    return {n: [c for c in CONSTRAINTS if c in found[n]] for n in ordered}


def _place(folder: Path | None) -> bool:
    """Whether the network of a checkpoint has learned the map of one place; False if its card cannot be read."""
    try:
        network = read_card(folder).get("network") if folder else None
    except CheckpointError:
        return False
    return bool(((network or {}).get("arguments") or {}).get("domain"))


def _means(folder: Path, dataset: str, factor: int) -> str | None:
    """The constraint on the card of a checkpoint that is for these data; None if it is for others, or damaged."""
    try:
        card = read_card(folder)
    except CheckpointError:
        return None
    fits = card.get("task") in tasks(dataset) and card.get("factor") == factor
    return card.get("constraint") if fits and card.get("constraint") in CONSTRAINTS else None
