"""``physlab train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional


def train(
    recipe: Positional[str],
    constraint: tuple[str, ...] = (),
    seed: tuple[int, ...] = (),
    preset: Literal["cpu", "full"] = "cpu",
    all: bool = False,
    workers: int = 2,
    folder: Path | None = None,
    overwrite: bool = False,
    steps: int | None = None,
    device: str = "auto",
) -> None:
    """Train the networks of a recipe; finished ones are skipped, interrupted ones resumed.

    Args:
        recipe: for example tcw-x4, or "all" for every recipe.
        constraint: none, soft, add, scaled_add, mult, softmax; several are allowed; without any, softmax.
        seed: one or several; without any, 0.
        preset: cpu (compact, minutes on a laptop) or full (the published size, for a GPU).
        all: every constraint and every seed of the recipe, except as named.
        workers: runs side by side; under torchrun they come one after the other, each over all processes.
        folder: where the checkpoint folders go; without one, beside those that ship with PhysLab.
        overwrite: train again what is finished.
        steps: another number of steps than the preset's, for a quick try.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
    """
    from physlab.train import list_recipes, train
    from physlab.train.devices import processes

    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    with processes(device) as here:
        for name in list_recipes() if recipe == "all" else [recipe]:
            train(
                name, constraint or None, seed or None, preset, all, workers, folder, overwrite, device=here, **changes
            )
