"""What a way of doing something gains or costs, as a ratio that is measured in one run on one machine.

    physlab benchmark ratios

Both ways take turns and the shortest of some rounds is kept, so that another program on the same machine slows both.
A ratio above 1 says how many times as fast the way of the library is; that of streaming says which share of the
throughput of data in memory is left. Samplers take the same number of calls, so that their time is nearly the same:
their ratio is that of the distances from what they should draw (:mod:`physlab.benchmark.samplers`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.benchmark.samplers import DRAWS, SEEDS, Mixture, cloud, distances, ring, start
from physlab.benchmark.speed import machine
from physlab.benchmark.study import Context, Study
from physlab.data.patches import SRData, make_pairs
from physlab.diffusion import DDIM, AdamsBashforth
from physlab.train.pixels import Pixels
from physlab.train.recipe import Preset, Recipe, make_model
from physlab.train.settings import Settings
from physlab.train.timing import alternate
from physlab.zoo import load_model

BLOCKS = {"train": 0.8, "val": 0.1, "test": 0.1}


def waves(times: int, shape: tuple[int, int], seed: int = 0) -> xr.DataArray:
    """(time, latitude, longitude) of a column water that waves and noise make; compresses like real fields."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(0, np.pi, shape[0]), np.linspace(0, 2 * np.pi, shape[1]), indexing="ij")
    phase, number = rng.uniform(0, 2 * np.pi, (2, times, 1, 1))
    values = 30 + 15 * np.sin(4 * x + phase) * np.sin(3 * y + number) + rng.standard_normal((times, *shape))
    coords = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
              "latitude": np.linspace(-60, 60, shape[0]), "longitude": np.arange(shape[1]) * 1.0}  # fmt: skip
    return xr.DataArray(values.clip(0).astype(np.float32), coords, ("time", "latitude", "longitude"), "tcw",
                        {"units": "kg m-2"})  # fmt: skip


def streaming(times: int = 600, shape: tuple[int, int] = (128, 256), steps: int = 12, repeats: int = 20) -> dict:
    """Training steps of the compact network on fields in memory, and on the same fields read from a Zarr store.

    Parameters
    ----------
    steps : of a round.  The window of the reader holds some forty fields, so that each round reads from the disk.
    """
    settings = Settings(batch=16, crop=64, precision="fp32")
    recipe = Recipe("toy", 4, {"cpu": Preset("CompactResNet", {}, settings)})
    with tempfile.TemporaryDirectory() as folder:
        field = waves(times, shape)
        field.chunk(time=8).to_dataset().to_zarr(Path(folder) / "fields.zarr", zarr_format=2)
        stored = xr.open_zarr(Path(folder) / "fields.zarr")["tcw"]
        rounds = [_steps(make_pairs(f, 4, BLOCKS, 24.0, stream=s), recipe, settings, steps)
                  for f, s in ((field, False), (stored, True))]  # fmt: skip
        memory, streamed = (min(seconds) for seconds in alternate(rounds, repeats))
    size = f"{times} fields of {shape[0]} x {shape[1]}, chunks of 8, batches of 16 crops of 64"
    return {"ours": "read from Zarr", "other": "in memory", "ours_s": streamed / steps, "other_s": memory / steps,
            "settings": f"{size}, {torch.get_num_threads()} threads"}  # fmt: skip


def _steps(data: SRData, recipe: Recipe, settings: Settings, steps: int) -> Callable[[], object]:
    """A function that takes further steps of a training."""
    model, _ = make_model(recipe, "mult", 0, recipe.presets["cpu"], data, "toy")
    objective = Pixels(model, data, settings)
    if data.stream is not None:
        objective.batches = objective.streamed(model, data.stream, settings, 0, objective.device, budget=4 << 20)
    optimiser = objective.optimisers()[0]
    taken = iter(range(1 << 30))

    def round_of() -> None:
        for _ in range(steps):
            loss = next(objective.losses(*objective.batches.take(next(taken))))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return round_of


def predicting(name: str, precision: str, repeats: int = 15) -> dict:
    """Fields predicted by a network that ships, and by the same network as torch lays it out, in single precision."""
    model = load_model(name, precision=precision)
    coarse = 10 + 20 * torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))

    def plain() -> torch.Tensor:
        with torch.no_grad():
            raw, _ = model.network.run(coarse / model.scale, None, None)
            return model.layer(raw, coarse / model.scale, None) * model.scale

    ours, other = (min(seconds) for seconds in alternate([lambda: model.predict(coarse), plain], repeats))
    difference = float((model.predict(coarse) - plain()).abs().max() / plain().abs().max())
    size = f"8 fields of 32 x 32 to 128 x 128, differing by {difference:.0e} of the largest value"
    return {"ours": f"{name}, {precision}, channels last", "other": "fp32, as torch lays it out", "ours_s": ours,
            "other_s": other, "settings": f"{size}, {torch.get_num_threads()} threads"}  # fmt: skip


def sampling(denoiser: Mixture, calls: int, mixture: str, repeats: int = 5, seeds: int = SEEDS) -> dict:
    """Draws by Adams-Bashforth and by DDIM with the same number of calls: their time, and how far they are from right.

    Parameters
    ----------
    mixture : its name for people.  seeds : starts; the range of the ratio over them stands in the settings.
    """
    x = start(denoiser, DRAWS)
    rounds = [lambda kind=kind: kind(denoiser, calls)(start=x) for kind in (AdamsBashforth, DDIM)]
    ours_s, other_s = (min(seconds) for seconds in alternate(rounds, repeats))
    ours, other = (np.array(found) for found in distances(denoiser, calls, seeds=seeds))
    each = other / ours
    size = f"{mixture}, {DRAWS} draws, sliced Wasserstein distance, mean of {seeds} starts"
    return {"ours": f"Adams-Bashforth, {calls} calls", "other": f"DDIM, {calls} calls", "ours_s": ours_s,
            "other_s": other_s, "ours_distance": ours.mean(), "other_distance": other.mean(),
            "ratio": other.mean() / ours.mean(),
            "settings": f"{size} (ratio {each.min():.2f} to {each.max():.2f})"}  # fmt: skip


RING, CLOUD = "8 Gaussians on a ring", "8 Gaussians in 8 dimensions"

#: What is measured -> how; each gives ours, other, ours_s, other_s (seconds, the shortest) and settings, and a ratio if
#: it is not that of the seconds.
PARTS: dict[str, Callable[[], dict]] = {
    "streaming": streaming,
    "predict, SR-CNN": lambda: predicting("tcw-x4-srcnn-add-s0", "fp32"),
    "predict, SR-CNN in bf16": lambda: predicting("tcw-x4-srcnn-add-s0", "bf16"),
    "predict, compact": lambda: predicting("tcw-x4-softmax-s0", "fp32"),
    "predict, compact in bf16": lambda: predicting("tcw-x4-softmax-s0", "bf16"),
    "samplers, ring, 8 calls": lambda: sampling(ring(), 8, RING),
    "samplers, ring, 16 calls": lambda: sampling(ring(), 16, RING),
    "samplers, 8 dimensions, 8 calls": lambda: sampling(cloud(), 8, CLOUD),
    "samplers, 8 dimensions, 16 calls": lambda: sampling(cloud(), 16, CLOUD),
}


COLUMNS = ("what", "ours", "other", "ours_s", "other_s", "ratio", "ours_distance", "other_distance", "settings",
           "machine")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One comparison, on this machine."""

    what: str
    machine: str

    def __str__(self) -> str:
        return f"{self.what} on {self.machine}"


def one(run: Run, context: Context) -> list[dict]:
    """Both ways in turns."""
    found = PARTS[run.what]()
    ratio = found["other_s"] / found["ours_s"]
    return [{"what": run.what, "ours_distance": np.nan, "other_distance": np.nan, "ratio": ratio, **found,
             "machine": run.machine}]  # fmt: skip


def shown(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The table that is printed."""
    return [("Ratios of times, of samplers of distances, measured in turns", runs)]


STUDY = Study(
    name="ratios",
    title="what streaming costs beside data in memory, what layout and precision of networks and the sampler gain",
    keys=("what", "machine"),
    columns=COLUMNS,
    plans={"paper": lambda: [Run(what, machine()) for what in PARTS]},
    work=one,
    summarise=lambda runs: runs,
    display=shown,
    tell=lambda rows: f"{rows['ratio'].iloc[0]:.2f}",
    alone=True,
)
