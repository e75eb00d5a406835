r"""Distillation: a small network learns from the truth and from a large teacher (Hinton, Vinyals and Dean 2015).

The loss of a student y with truth t, teacher T and share a is a weighted sum of two mean squares. Completing the
square (per point; the mean follows),

.. math:: (1-a)(y-t)^2 + a(y-T)^2 = \big(y - [(1-a)t + aT]\big)^2 + a(1-a)(t-T)^2 ,

shows that it is, up to a constant, the mean square error against the *blend* of truth and teacher. So distillation
needs no loop of its own: :func:`physlab.train.fit` on the blended fine fields has the same gradients. The blend keeps
the block means of the coarse field if the teacher's constraint is hard. Validation stays on the truth: a teacher's
errors are nobody's goal.

What it can and cannot do: for a mean square error the best student is the conditional mean with either target; a good
teacher is an estimate of that mean with less noise than the truth, which helps a student with few data or few steps. A
teacher on its own training data is better than elsewhere, so that its blend says less there than one would hope.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import torch

from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.downscale.base import BATCH
from physlab.errors import PhysLabError
from physlab.nn import Upscaler
from physlab.train.loop import Report
from physlab.train.pixels import fit
from physlab.train.settings import Settings


def distill(
    teacher: CNN,
    network: Upscaler,
    data: SRData,
    settings: Settings,
    seed: int = 0,
    share: float = 0.5,
    name: str = "",
    device: torch.device | str = "cpu",
    state: str | Path | None = None,
    progress: bool = False,
) -> tuple[CNN, Report]:
    """Train a student with the constraint layer, scale and grid of its teacher.

    Parameters
    ----------
    teacher : trained, in evaluation mode; not changed.
    network : of the student, untrained, same factor; in the units of the teacher's layer.
    data : splits train and val, one frame to one.
    settings : with the loss "mse", for which alone the blend is the weighted sum. The weight `extreme` acts where the
        blend is above the threshold.
    share : a, of the teacher in the target, 0 (plain training) to 1 (the teacher alone).
    state : file for interrupted runs, as in :func:`physlab.train.fit`.

    Returns
    -------
    student : in evaluation mode, with the averaged weights that validated best on the truth.
    report : of the training.

    Raises
    ------
    PhysLabError : factors, variables or frames that do not fit, another loss, or a share outside 0 to 1.
    """
    if network.factor != teacher.factor or tuple(network.frames) != tuple(teacher.network.frames):
        raise PhysLabError(
            f"student x{network.factor} with frames {tuple(network.frames)}, teacher x{teacher.factor} with "
            f"{tuple(teacher.network.frames)}: give the student the factor and the frames of its teacher"
        )
    if settings.loss != "mse":
        raise PhysLabError(f"distillation with the loss {settings.loss!r}: the blended target needs loss='mse'")
    student = CNN(
        network, teacher.constraint, teacher.scale, teacher.variable, name, teacher.options, teacher.training_grid
    )
    report = fit(student, blended(teacher, data, share, device), settings, seed, device, state, progress)
    return student.eval(), report


def blended(teacher: CNN, data: SRData, share: float, device: torch.device | str = "cpu") -> SRData:
    """The data with (1 - a) truth + a teacher for the fine training fields; everything else, validation too, as it is.

    Its `data_hash` names the share and the teacher's weights, so that a state file of another blend is refused.
    """
    if not 0.0 <= share <= 1.0:
        raise PhysLabError(f"the teacher's share is {share}: pass a number from 0 (truth alone) to 1 (teacher alone)")
    if teacher.factor != data.factor or teacher.variable not in (None, data.variable):
        raise PhysLabError(
            f"the teacher is for {teacher.variable or 'any field'} x{teacher.factor}, the data are {data.variable} "
            f"x{data.factor}: load the pairs of its task"
        )
    if teacher.network.frames != (1, 1) or teacher.network.statics or data.fine["train"].shape[1] != 1:
        raise PhysLabError("distillation is for networks from one frame to one, without static fields: pass such a one")
    if data.stream is not None:
        raise PhysLabError(
            "distillation takes pairs in memory: pass a shorter period, or make_pairs(..., stream=False)"
        )
    if share == 0.0:
        return data
    teacher.to(device)
    parts = zip(data.fine["train"].split(BATCH), data.coarse["train"].split(BATCH), strict=True)
    target = torch.cat([torch.lerp(t, teacher.predict(x, data.weights).to(t), share) for t, x in parts])
    digest = hashlib.sha256(f"{data.data_hash} {share!r}".encode())
    digest.update(target.cpu().numpy().tobytes())
    return dataclasses.replace(data, fine={**data.fine, "train": target}, data_hash=digest.hexdigest())
