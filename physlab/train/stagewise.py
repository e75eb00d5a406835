"""Stage by stage: each stage of a stack learns against the truth averaged to its resolution (Vandal et al. 2017).

A stack whose stages double the grid is trained from the coarsest to the finest; the stages before stay as they have
become. All stages together take as many steps as the stack would from end to end, so that the two can be compared.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.errors import PhysLabError
from physlab.nn import DeepSD
from physlab.nn.share import told
from physlab.train.loop import Report
from physlab.train.pixels import fit
from physlab.train.settings import Settings


def fit_stagewise(
    model: CNN,
    data: SRData,
    settings: Settings,
    seed: int = 0,
    device: torch.device | str = "cpu",
    state: str | Path | None = None,
    progress: bool = False,
) -> Report:
    """Train the stages of `model` in place, one after the other.

    Parameters
    ----------
    data : pairs in memory at the factor of the whole stack.
    settings : the steps are shared out among the stages.
    state : file for interrupted runs; each stage has its own beside it.

    Returns
    -------
    report : of all stages; each entry of the history names its stage, the best score is that of the last one.

    Raises
    ------
    PhysLabError : a network without stages, pairs that are streamed, or a loss that is not a number.
    """
    network = model.network
    if not isinstance(network, DeepSD):
        raise PhysLabError(f"{type(network).__name__} has no stages to be trained one by one: choose DeepSD")
    count = len(network.stages)
    share = max(1, settings.steps // count)
    files = [None if state is None else _beside(Path(state), stage) for stage in range(count)]
    reached = told(max((k for k, file in enumerate(files) if file is not None and file.exists()), default=0))
    whole = Report()
    for stage in range(reached, count):
        part = network.up_to(stage + 1)
        for number, layers in enumerate(network.stages):
            layers.requires_grad_(number == stage)
        pairs = data.at(part.factor)
        made = CNN(part, model.constraint, model.scale, model.variable, _title(model, part), model.options)
        crop = None if settings.crop is None else settings.crop * part.factor // network.factor
        own = replace(settings, steps=share, validate_every=min(share, settings.validate_every), crop=crop)
        report = fit(made, pairs, own, seed, device, files[stage], progress)
        before = whole.steps
        whole.history += [{**entry, "step": before + entry["step"], "stage": stage + 1} for entry in report.history]
        whole.best_rmse, whole.best_step = report.best_rmse, before + report.best_step
        whole.steps, whole.wall_time_s = before + report.steps, whole.wall_time_s + report.wall_time_s
        whole.stopped, whole.precision = report.stopped, report.precision
    model.to(device).requires_grad_(True).eval()
    return whole


def _beside(state: Path, stage: int) -> Path:
    return state.with_name(f"{state.stem}-stage{stage + 1}{state.suffix}")


def _title(model: CNN, part: DeepSD) -> str:
    return f"{model.name or 'training'}, to x{part.factor}"
