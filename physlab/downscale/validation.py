"""Does a fitted method hold elsewhere in time? Cross-validation by blocks, and a test on another climate.

Neighbouring frames are almost the same field, so that blocks of consecutive time are held out, and frames within a gap
of the held-out block are used for nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from physlab import score
from physlab.data.patches import SRData
from physlab.downscale.base import FieldDownscaler
from physlab.downscale.interpolate import Interpolate
from physlab.downscale.statistical import Statistical
from physlab.errors import PhysLabError
from physlab.grid import coarsen, coarsening_residual

GAP = 24.0  # hours


def subset(data: SRData, split: str, parts: Mapping[str, np.ndarray]) -> SRData:
    """Pairs whose splits are the frames `parts` (name -> positions) of one split of `data`; the hash is marked."""

    def cut(values: dict) -> dict:
        return {name: values[split][torch.from_numpy(np.asarray(at))] for name, at in parts.items()}

    def cut_array(values: dict) -> dict:
        return {name: values[split][at] for name, at in parts.items()}

    return dataclasses.replace(
        data, fine=cut(data.fine), coarse=cut(data.coarse), time=cut_array(data.time),
        longitude=cut_array(data.longitude), data_hash=f"{data.data_hash} part of {split}",
    )  # fmt: skip


def fresh(method: Statistical) -> Statistical:
    """An unfitted copy with the same settings, all frames used."""
    return dataclasses.replace(method, share=1.0)


def score_against(method: FieldDownscaler, data: SRData, split: str) -> dict[str, float]:
    """Area-weighted scores: rmse, bias, block_error (root mean square of P y - x), detail_variance (inside coarse
    cells, predicted over true), and the rmse of bicubic+add."""
    truth, coarse, weights = data.fine[split].double(), data.coarse[split].double(), data.weights.double()

    def inside(y: torch.Tensor) -> float:
        mean = coarsen(y, data.factor, weights)
        return float((coarsen(y**2, data.factor, weights) - mean**2).mean())

    y = method.predict(coarse, weights)
    reference = Interpolate("bicubic", data.factor, "add").predict(coarse, weights)
    return {
        "rmse": float(score.rmse(y, truth, weights)), "bias": float(score.bias(y, truth, weights)),
        "block_error": float(coarsening_residual(y, coarse, data.factor, weights).square().mean().sqrt()),
        "detail_variance": inside(y) / inside(truth), "rmse_bicubic_add": float(score.rmse(reference, truth, weights)),
    }  # fmt: skip


def blocks_of_time(time: np.ndarray, blocks: int) -> list[np.ndarray]:
    """Positions of the frames in `blocks` runs of consecutive instants; frames of one instant stay together."""
    instants, index = np.unique(np.asarray(time), return_inverse=True)
    if not 2 <= blocks <= len(instants):
        raise PhysLabError(f"{blocks} blocks of {len(instants)} instants: pass 2 to {len(instants)}")
    number = np.repeat(np.arange(blocks), [len(part) for part in np.array_split(instants, blocks)])
    return [np.flatnonzero(number[index] == block) for block in range(blocks)]


def apart(time: np.ndarray, candidates: np.ndarray, others: np.ndarray, gap: float) -> np.ndarray:
    """The candidates at least `gap` hours from every one of the others."""
    seconds = np.asarray(time).astype("datetime64[s]").astype(np.int64)
    known = np.unique(seconds[others])
    at = np.searchsorted(known, seconds[candidates])
    distance = [np.abs(seconds[candidates] - known[np.clip(at + k, 0, len(known) - 1)]) for k in (-1, 0)]
    return candidates[np.minimum(*distance) >= gap * 3600]


def _trial(method: Statistical, data: SRData, split: str, train: np.ndarray, test: np.ndarray, seed: int) -> dict:
    if not len(train) or not len(test):
        raise PhysLabError("nothing is left to train or test on: pass a smaller gap or fewer blocks")
    part = subset(data, split, {"train": train, "test": test})
    made = fresh(method).fit(part, "train", seed)
    return {"training_frames": len(train), "test_frames": len(test)} | score_against(made, part, "test")


def cross_validate(
    method: Statistical, data: SRData, blocks: int = 5, gap: float = GAP, split: str = "train", seed: int = 0
) -> pd.DataFrame:
    """Hold out each of `blocks` runs of consecutive time once, fit on the rest without the frames within the gap.

    Returns
    -------
    DataFrame with one row per block: first, last, training_frames, test_frames and the columns of
    `score_against`.
    """
    time, rows = data.time[split], []
    for held in blocks_of_time(time, blocks):
        rest = apart(time, np.setdiff1d(np.arange(len(time)), held), held, gap)
        row = {"first": time[held].min(), "last": time[held].max()}
        rows.append(row | _trial(method, data, split, rest, held, seed))
    return pd.DataFrame(rows)


def stationarity(
    method: Statistical, data: SRData, gap: float = GAP, split: str = "train", seed: int = 0
) -> pd.DataFrame:
    """Train in one climate, test in the other: thirds of the frames by their domain mean.

    Each extreme third is predicted by a fit on the opposite third and, on the same frames, by a fit on as many frames
    from blocks of consecutive time drawn at random.

    Returns
    -------
    DataFrame with four rows: trained_on ("low third", "high third", "random blocks"), tested_on, and the columns of
    `cross_validate`.
    """
    time = data.time[split]
    mean = (data.fine[split][:, 0].double() * data.weights.double()).mean((-2, -1)).numpy()
    order = np.argsort(mean, kind="stable")
    third = len(order) // 3
    thirds = {"low third": np.sort(order[:third]), "high third": np.sort(order[-third:])}
    runs = blocks_of_time(time, min(12, len(np.unique(time))))
    chosen = np.random.default_rng(seed).permutation(len(runs))[: max(1, len(runs) // 3)]
    random = np.sort(np.concatenate([runs[i] for i in chosen]))
    rows = []
    for trained, tested in (("low third", "high third"), ("high third", "low third")):
        test = apart(time, thirds[tested], random, gap)
        frames = {trained: apart(time, thirds[trained], test, gap), "random blocks": apart(time, random, test, gap)}
        count = min(len(part) for part in frames.values())
        for name, part in frames.items():
            train = part[np.linspace(0, len(part) - 1, count).round().astype(int)] if count else part
            rows.append({"trained_on": name, "tested_on": tested} | _trial(method, data, split, train, test, seed))
    return pd.DataFrame(rows)
