"""What constraints are worth where nothing was learned: networks of one world, scored in another.

    physlab benchmark transfer --output benchmark

Worlds: column water of the laboratory, of ERA5 (a winter day over Europe) and of the NAM analysis (one instant of North
America and its seas), and rain seen by radar. Networks of the laboratory ship; those of the radar are the ones of
`physlab benchmark rain`, trained here if they are not in the output. Column water keeps its unit; between water and
rain the coarse field is scaled so that its root mean square is that of the training block, and the result scaled back,
which every layer here allows, since none has an offset.

For each pair of worlds a line says what a layer gains over the same network without one, 1 - RMSE / RMSE, pooled over
the seeds, with the interval of a block bootstrap; and what is gained over bicubic interpolation with the additive
layer. "none then add" is the control: the network that was trained without a layer, with the layer put on afterwards.
Blocks are days in the laboratory, places of the radar, and for ERA5 and NAM, a day and an instant, quarters and
sixteenths of the map (by six hours): those intervals are about that weather and no other.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab.benchmark import rain
from physlab.benchmark.study import Context, Study
from physlab.benchmark.table import By
from physlab.data import open_dataset, sr_pairs
from physlab.downscale import CNN, Constrained, FieldDownscaler, Interpolate
from physlab.grid import Grid, coarsen
from physlab.score.paired import gains
from physlab.train import load_checkpoint
from physlab.zoo import checkpoint_folders, parts

UNTRAINED, LABORATORY, ERA5, NAM, RADAR = "untrained", "laboratory", "era5", "nam", "radar"
WORLDS = (LABORATORY, ERA5, NAM, RADAR)
FACTORS = (2, 4, 8)
LAYERS = ("none", "soft", "add", "scaled_add", "mult", "softmax")
AFTERWARDS = "none then add"
BASELINE = "bicubic"
NETWORKS = ("compact", "espcn", "edsr", "srcnn")  # of the laboratory, with and without a layer
EVERY = 3  # test frames of the laboratory
COLUMNS = ("train", "test", "factor", "model", "constraint", "seeds", "rmse", "rmse_spread", "gain", "gain_low",
           "gain_high", "layer", "layer_low", "layer_high", "layer_spread", "blocks")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """The networks of a world and a kind, with all their layers and seeds, in another world."""

    train: str
    test: str
    factor: int
    model: str

    def __str__(self) -> str:
        return f"{self.model} x{self.factor}, {self.train} to {self.test}"


def plan() -> list[Run]:
    """Interpolation everywhere; networks of the laboratory and of the radar in every world."""
    runs = [Run(UNTRAINED, test, factor, BASELINE) for test in WORLDS for factor in FACTORS]
    runs += [Run(LABORATORY, test, factor, "compact") for factor in (4, 8, 2) for test in WORLDS]
    runs += [Run(LABORATORY, test, 4, model) for model in NETWORKS[1:] for test in WORLDS]
    return runs + [Run(RADAR, test, 4, "compact") for test in WORLDS]


def quick() -> list[Run]:
    """The compact network of the laboratory, x4."""
    return [run for run in plan() if run.factor == 4 and run.train != RADAR and run.model in (BASELINE, "compact")]


@dataclass(frozen=True, eq=False)
class World:
    """Fields of a world.

    Attributes
    ----------
    fine : (S, 1, H, W), its unit.  weights : (H, W) cell areas.
    pieces : rows and columns of pieces that a field is cut into for the bootstrap.
    blocks : (S * rows * columns,) block of each piece.
    water : column water, in kg m-2.
    """

    fine: Tensor
    weights: Tensor
    pieces: tuple[int, int]
    blocks: np.ndarray
    water: bool = True

    def squares(self, made: Tensor) -> np.ndarray:
        """(pieces,) mean square error of (S, 1, H, W) by area, with the share of each piece in the whole area."""
        rows, columns = self.pieces
        height, width = self.weights.shape
        error = (made - self.fine).double().square() * self.weights / self.weights.mean()
        parts = error.reshape(len(error), rows, height // rows, columns, width // columns)
        return parts.mean((2, 4)).flatten().numpy()


@functools.lru_cache(maxsize=4)
def world(name: str) -> World:
    """A world by name."""
    if name == LABORATORY:
        data = sr_pairs("tcw", 4)
        day = (data.time["test"] - data.time["test"].min()) // np.timedelta64(1, "D")
        return World(data.fine["test"][::EVERY], data.weights, (1, 1), day[::EVERY])
    if name == RADAR:
        data = rain.pairs(4)
        return World(data.fine["test"], data.weights, (1, 1), rain.places(), water=False)
    if name == ERA5:
        ds = open_dataset("era5-moisture").isel(latitude=slice(0, 40), longitude=slice(0, 40))
        fine = torch.from_numpy(ds["tcw"].transpose("time", "latitude", "longitude").values.astype(np.float32))[:, None]
        grid = Grid(ds["latitude"].values.astype(float), ds["longitude"].values.astype(float))
        blocks = np.arange(len(fine))[:, None] // 6 * 4 + np.arange(4)
        return World(fine, torch.from_numpy(grid.area_weights).float(), (2, 2), blocks.ravel())
    values = open_dataset("nam-snapshot")["tcwv"].values.astype(np.float32)[:64, :88]
    fine = torch.from_numpy(values)[None, None]
    return World(fine, torch.ones(fine.shape[-2:]), (4, 4), np.arange(16))


def models(run: Run, context: Context) -> dict[str, list[FieldDownscaler]]:
    """Constraint -> its networks, one for each seed; and the one without, with the layer put on afterwards."""
    found: dict[str, list[FieldDownscaler]] = {}
    if run.model == BASELINE:
        return {name: [Interpolate(BASELINE, run.factor, name)] for name in ("none", "add")}
    if run.train == RADAR:
        data = rain.pairs(run.factor)
        for layer in LAYERS:
            found[layer] = [rain.make(rain.Run(run.factor, run.model, layer, 0), data, context)]
    else:
        for name, folder in checkpoint_folders().items():
            known = parts(name)
            if known is None or known["preset"] or (known["task"], known["factor"]) != ("tcw", str(run.factor)):
                continue
            if (known["label"] or "compact") == run.model:
                found.setdefault(str(known["constraint"]), []).append(load_checkpoint(folder))
    found = {layer: found[layer] for layer in LAYERS if layer in found}
    return {**found, AFTERWARDS: [Constrained(model, "add") for model in found["none"]]}


def predict(method: FieldDownscaler, coarse: Tensor, place: World, water: bool) -> Tensor:
    """Fine fields; between water and rain through the scale of the training block."""
    network = method.method if isinstance(method, Constrained) else method
    scale = 1.0
    if isinstance(network, CNN) and water != place.water:
        known = network.scale * math.hypot(network.network.shift, network.network.spread)
        scale = known / float(coarse.double().square().mean().sqrt())
    return method.predict(coarse * scale, place.weights) / scale


def one(run: Run, context: Context) -> list[dict]:
    """All layers and seeds of a run."""
    place = world(run.test)
    coarse = coarsen(place.fine.double(), run.factor, place.weights.double()).float()
    water = run.train != RADAR
    errors = {
        layer: [place.squares(predict(method, coarse, place, water)) for method in methods]
        for layer, methods in models(run, context).items()
    }
    base = place.squares(Interpolate(BASELINE, run.factor, "add").predict(coarse, place.weights))
    return [
        {"train": run.train, "test": run.test, "factor": run.factor, "model": run.model, "constraint": layer,
         "seeds": len(own), **compared(own, errors["none"], base, place.blocks)}
        for layer, own in errors.items()
    ]  # fmt: skip


def compared(
    own: list[np.ndarray], without: list[np.ndarray], base: np.ndarray, blocks: np.ndarray
) -> dict[str, float]:
    """RMSE over the seeds, and what is gained over the baseline and over no layer, with intervals over the blocks.

    Parameters
    ----------
    own, without : squares of each seed, by piece.  base : of the baseline.
    """
    rmse = np.sqrt([part.mean() for part in own])
    columns = np.stack([np.mean(own, 0), np.mean(without, 0), base], 1)
    value, low, high = gains(columns, blocks)
    same = len(own) == len(without)
    each = [1 - math.sqrt(a.mean() / b.mean()) for a, b in zip(own, without, strict=False)]
    return {
        "rmse": float(np.sqrt(np.mean(own))),
        "rmse_spread": float(rmse.std(ddof=1)) if len(own) > 1 else float("nan"),
        "layer": float(value[0]), "layer_low": float(low[0]), "layer_high": float(high[0]),
        "layer_spread": float(np.std(each, ddof=1)) if same and len(each) > 1 else float("nan"),
        "gain": float(value[1]), "gain_low": float(low[1]), "gain_high": float(high[1]),
        "blocks": len(np.unique(blocks)),
    }  # fmt: skip


def shown(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """For each factor what is gained, in percent, with intervals."""

    def text(row: pd.Series, name: str) -> str:
        return f"{row[name]:+.1%} [{row[f'{name}_low']:+.1%}, {row[f'{name}_high']:+.1%}]"

    found = []
    for factor, part in runs.groupby("factor"):
        table = part[["train", "test", "model", "constraint", "seeds"]].assign(
            rmse=part["rmse"].map("{:.4g}".format),
            layer=[text(row, "layer") for _, row in part.iterrows()],
            gain=[text(row, "gain") for _, row in part.iterrows()],
        )
        found.append((f"x{factor}: gained over no layer, and over bicubic+add", table))
    return found


def trained_before(run: Run, context: Context) -> list[Run]:
    """Networks of the radar are trained once, by the run in their own world."""
    own = Run(RADAR, RADAR, run.factor, run.model)
    there = (Path(context.output) / "rain" / f"mrms-rain-x{run.factor}-softmax-s0").is_dir()
    return [own] if run.train == RADAR and run != own and not there else []


#: One line per pair of worlds, network and layer: rmse in the unit of the test world; gain over bicubic+add and over no
#: layer (`layer`), both 1 - RMSE / RMSE with 95 % intervals; layer_spread over the seeds.
STUDY = Study(
    name="transfer",
    title="networks of one world scored in another: what constraint layers are worth where nothing was learned",
    keys=("train", "test", "factor", "model"),
    columns=COLUMNS,
    plans={"paper": plan, "quick": quick},
    work=one,
    after=trained_before,
    order=(By("factor"), By("model", (BASELINE, *NETWORKS)), By("train", (UNTRAINED, *WORLDS)), By("test", WORLDS),
           By("constraint", (*LAYERS, AFTERWARDS))),
    summarise=lambda runs: runs,
    display=shown,
    tell=lambda rows: f"RMSE {rows['rmse'].min():.4g}",
    reference=lambda run: run.model == BASELINE,
    fill={"constraint": "none"},
)  # fmt: skip
