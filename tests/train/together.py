"""A little of every training, for :mod:`test_processes`: the same here, in one process, and under torchrun.

python together.py OUTPUT         # process 0 writes name -> (start, end) weights, and histories
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from physlab.assimilate import PhyDA, VAEVar
from physlab.assimilate.proxy import PhysicsProxy
from physlab.data.patches import make_pairs
from physlab.downscale.terrain import TerrainFields
from physlab.phydl import Forecaster, ForecastSettings, PhyDL, SmoothForce, Windows, finetune
from physlab.phydl.fit import FitSettings
from physlab.train import Preset, Recipe, Settings, make_model, run
from physlab.train.adversarial import Adversarial
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator
from physlab.train.devices import processes
from physlab.train.latent import LatentSettings, make_latent, train_latent, tune_latent
from physlab.train.settings import Steps


def module(name: str, path: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


toys, twins = module("toys", "conftest.py"), module("twins", "../conftest.py")
SETTINGS = Settings(steps=6, batch=7, rate=5e-3, flips="xy", crop=8, validate_every=3, precision="fp32")
GENERATOR = {"channels": 8, "blocks": 1, "noise_channels": 2, "upsample": "single", "norm": True}
PLAN = Adversarial(
    steps=4, weight=1e-2, rate_d=2e-3, discriminator="SRGANDiscriminator", conditional=False, loss="relativistic"
)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()


def pairs():
    return make_pairs(toys.field(), 2, toys.BLOCKS, gap=72.0, task="toy")


def gan(seed: int) -> tuple:
    """Normalisation by the batch in both networks, a mean over the batch in the loss, members, a slope of a slope."""
    data, settings = pairs(), dataclasses.replace(SETTINGS, batch=8, crop=None, flips="", loss="crps")
    preset = Preset("SRResNet", GENERATOR, settings, PLAN)
    model, _ = make_model(Recipe("toy", 2, {"cpu": preset}), "add", 0, preset, data, "toy")
    start = weights(model)
    report = run.fit_in_stages(model, data, preset, seed, torch.device("cpu"), Path(tempfile.mkdtemp()) / "state.pt")
    return start, weights(model), report.history


def streamed(seed: int) -> tuple:
    """Pairs that each process reads its share of."""
    path = Path(tempfile.mkdtemp()) / "a.zarr"
    toys.field().chunk(time=5).to_dataset().to_zarr(path, zarr_format=2)
    data = make_pairs(xr.open_zarr(path)["tcw"], 2, toys.BLOCKS, gap=72.0, task="toy", stream=True)
    preset = Preset("CompactResNet", {"channels": 8, "blocks": 1}, SETTINGS)
    model, _ = make_model(Recipe("toy", 2, {"cpu": preset}), "add", 0, preset, data, "toy")
    start = weights(model)
    report = run.fit_in_stages(model, data, preset, seed, torch.device("cpu"), Path(tempfile.mkdtemp()) / "state.pt")
    return start, weights(model), report.history


def weather() -> xr.Dataset:
    """Waves over mountains that the wind carries."""
    lat, lon = np.linspace(22, 43, 16), np.linspace(70, 115, 32)
    time = np.datetime64("2001-01-01", "ns") + np.arange(6) * np.timedelta64(6, "h")
    t, y, x = np.meshgrid(np.arange(6.0), lat, lon, indexing="ij")
    fields = {"t_low": 295 - 0.4 * (y - 30) + 3 * np.sin(x / 3 - t) * np.cos(y / 2), "u_low": 6 + np.sin(x / 4 + t),
              "v_low": 2 * np.cos(x / 5 + y / 6 - t)}  # fmt: skip
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({k: (dims, v.astype(np.float32)) for k, v in fields.items()},
                      {"time": time, "latitude": lat, "longitude": lon})  # fmt: skip


def latent(seed: int) -> tuple:
    """Three stages, and the penalty of the clearer half of a batch."""
    fields = TerrainFields.of(weather(), "t_low", ("t_low", "u_low", "v_low"), 4, statics=("elevation", "latitude"))
    torch.manual_seed(0)
    model = make_latent(fields, unet=(8, 8), vae=(8, 8), levels=(8, 8), latent=2, features=8)
    start, steps = weights(model), Steps(steps=4, batch=5, rate=3e-3, precision="fp32")
    settings = LatentSettings(steps, steps, steps, steps)
    tune_latent(train_latent(model, fields, settings, seed), fields, 1.0, "balance", settings, seed)
    history = [entry for stage in ("unet", "vae", "denoiser", "tuning")
               for entry in model.card["training"][stage]["history"]]  # fmt: skip
    return start, weights(model), history


def phyda(seed: int) -> tuple:
    """An autoencoder and the diffusion on it: a statistic of the batch, and the penalty of its clearest quarter."""
    folder = Path(tempfile.mkdtemp())
    data = Pairs.read([(twins.ToyTwin().write(folder / "run-8", times=10, pieces=2), None)])
    settings, small = AssimilationSettings(steps=4, batch=5, precision="fp32"), {"latent": 3, "vae_width": 8}
    torch.manual_seed(0)
    vae, method = VAEVar(data.space, **small), PhyDA(data.space, **small, width=8, levels=(8, 16))
    method.proxy = PhysicsProxy(data.space).fit([data.truth(slice(None))])
    start = torch.cat([weights(vae), weights(method)])
    first = train_assimilator(vae, data, settings, seed)
    method.adopt(vae)
    method.calibrate([data.take(slice(None))])
    second = train_assimilator(method, data, settings, seed)
    return start, torch.cat([weights(vae), weights(method)]), [*first.history, *second.history]


def waves(hours: int, step: int, rows: int, columns: int) -> xr.Dataset:
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(hours) * np.timedelta64(step, "h")
    latitude, longitude = np.linspace(30.0, 50.0, rows), np.arange(columns) * 3.0
    t, lat, lon = np.meshgrid(step * np.arange(hours), *map(np.deg2rad, (latitude, longitude)), indexing="ij")
    phase = 16 * lon - 0.1 * t
    fields = {"u": 15 + 4 * np.sin(phase) * np.cos(3 * lat), "v": 6 * np.cos(phase),
              "t": 290 - 40 * np.sin(lat) ** 2 + 3 * np.sin(phase)}  # fmt: skip
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({k: (dims, v.astype(np.float32)) for k, v in fields.items()},
                      {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip


def field(seed: int) -> tuple:
    """Two kinds of points, values that are missing."""
    ds = waves(9, 3, 8, 10)
    ds["t"] = ds["t"].where(np.arange(9)[:, None, None] % 3 == 0)
    model = PhyDL.of(ds, force=SmoothForce((2, 2, 2)), network={"width": 16, "depth": 2})
    start = weights(model.network)
    settings = FitSettings(steps=12, batch=101, collocation=33, solve_every=5, solve_points=256, physics=0.1)
    report = model.fit(ds, settings, seed)
    return start, weights(model.network), report.history


def forecast(seed: int) -> tuple:
    ds = waves(40, 1, 12, 24)
    model = Forecaster.of("unet", ds, ("u", "v"))
    start, settings = weights(model), ForecastSettings(steps=4, batch=5, width=16, precision="fp32")
    report = finetune(model, Windows(ds, model), settings, seed=seed)
    return start, weights(model), report.history


def recipes(seed: int) -> tuple:
    """Two runs of one command under torchrun, two commands of one run each without."""
    settings = dataclasses.replace(SETTINGS, batch=8)
    recipe = Recipe("toy", 2, {"cpu": Preset("CompactResNet", {"channels": 8, "blocks": 1}, settings)})
    data, folder, said = pairs(), Path(tempfile.gettempdir()) / f"physlab-together-{PARENT}", []
    known = {"get_recipe": lambda name: recipe, "sr_pairs": lambda task, factor: data}
    before = {name: getattr(run, name) for name in known}
    try:
        vars(run).update(known)
        grouped = torch.distributed.is_initialized()
        for constraints in (("add", "softmax"),) if grouped else ("add", "softmax"):
            run.train("toy-x2", constraints, seed, folder=folder, say=said.append, overwrite=True, device="cpu")
        assert len(said) == (2 if rank_of() == 0 else 0), said
        models = [run.find_trained("toy-x2", name, seed, "cpu", folder) for name in ("add", "softmax")]
    finally:
        vars(run).update(before)
    history = [entry for model in models for entry in model.card["training"]["history"]]
    return torch.zeros(1), torch.cat([weights(model) for model in models]), history


def rank_of() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


TRAININGS = {"gan": gan, "streamed": streamed, "latent": latent, "phyda": phyda, "field": field, "forecast": forecast,
             "recipes": recipes}  # fmt: skip
PARENT = ""

if __name__ == "__main__":
    import os

    torch.set_num_threads(1)
    PARENT = str(os.getppid())
    with processes("cpu"):
        assert torch.distributed.get_world_size() == 2
        made = {name: training(3) for name, training in TRAININGS.items()}
        both = [torch.zeros(len(made), dtype=torch.float64) for _ in range(2)]
        sums = torch.stack([end.double().sum() for _, end, _ in made.values()])
        torch.distributed.all_gather(both, sums)
        assert torch.equal(*both), "the processes ended with different weights"
    if os.environ["RANK"] == "0":
        torch.save(made, sys.argv[1])
