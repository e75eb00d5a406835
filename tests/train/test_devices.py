"""Devices: names are checked, and a step of every training leaves nothing behind on the processor.

There may be no graphics card here. torch's device "meta" computes shapes only, and refuses to mix with the processor
just as a card does: an objective whose tensors all follow the device passes on it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab import zoo
from physlab.assimilate import FNP, SDA, SLAM, Adas, ConvCNP, DiffDA, PhyDA, VAEVar
from physlab.assimilate.proxy import PhysicsProxy
from physlab.downscale.terrain import TerrainFields
from physlab.errors import PhysLabError
from physlab.nn.vae import VAE
from physlab.phydl import Equation, Forecaster, ForecastSettings, GridResidual, PhyDL, SmoothForce, Windows
from physlab.phydl.fit import FitSettings, Points, solve
from physlab.phydl.library import advection_along
from physlab.train import Objective, Preset, Settings, make_model
from physlab.train import latent as latents
from physlab.train import steps as functions
from physlab.train.adversarial import Adversarial, Duel
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator
from physlab.train.devices import choose_device
from physlab.train.pixels import Pixels

SETTINGS = Settings(steps=2, batch=4, precision="fp32", flips="")
GENERATOR = {"channels": 8, "blocks": 1, "noise_channels": 2, "upsample": "single", "norm": True}


@pytest.mark.parametrize("wrong", ["gpu", "cuda:99", "xpu", "cuda:one", ""])
def test_a_device_that_is_not_there_is_one_line(wrong: str) -> None:
    with pytest.raises(PhysLabError, match="choose cpu, cuda, cuda:N, mps or auto") as error:
        choose_device(wrong)
    assert "\n" not in str(error.value)


def test_devices_by_name() -> None:
    there = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == choose_device(None).type == there
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.fixture(autouse=True)
def meta(monkeypatch) -> None:
    """What "meta" has no answer to, and a card has."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(VAE, "calibrated", False)


def step(objective: Objective) -> None:
    """Forward and backward, as in the loop."""
    objective.penalised = True
    losses = list(objective.losses(*objective.batches.take(0)))
    for loss in losses[-1:]:
        loss.backward()
    assert losses and all(loss.device.type == "meta" for loss in losses)
    assert all(term.device.type == "meta" for term in objective.terms.values())


def test_mixing_is_refused() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device="meta") + torch.ones(3)


@pytest.mark.parametrize("kind", ["CompactResNet", "SRResNet"])
def test_pixels(kind: str, pairs, recipe) -> None:
    small = {"channels": 8, "blocks": 1}
    settings = SETTINGS if kind == "CompactResNet" else dataclasses.replace(SETTINGS, loss="crps", extreme=2.0)
    preset = Preset(kind, small if kind == "CompactResNet" else GENERATOR, settings)
    model, _ = make_model(recipe, "soft", 0, preset, pairs, "toy")
    step(Pixels(model, pairs, settings, 0, "meta"))


@pytest.mark.parametrize("plan", [Adversarial(channels=8), Adversarial(discriminator="Discriminator", conditional=False,
                                                                       loss="relativistic")])  # fmt: skip
def test_adversarial(plan: Adversarial, pairs, recipe) -> None:
    model, _ = make_model(recipe, "add", 0, Preset("SRResNet", GENERATOR, SETTINGS), pairs, "toy")
    step(Duel(model, pairs, SETTINGS, plan, 0, "meta"))


class Reached(Exception):
    """The step was taken."""


@pytest.fixture
def probed(monkeypatch) -> None:
    """Trainings end after a step."""

    def probe(objective: Objective, *_, **__) -> None:
        step(objective)
        raise Reached

    monkeypatch.setattr(functions, "optimise", probe)


@pytest.fixture(scope="module")
def data(twin, tmp_path_factory) -> Pairs:
    return Pairs.read([(twin.write(tmp_path_factory.mktemp("runs") / "run-8", times=6), None)])


@pytest.mark.parametrize("kind", [VAEVar, ConvCNP, Adas, FNP, SDA, DiffDA, SLAM, PhyDA])
def test_assimilation(kind, data, probed) -> None:
    method = kind(data.space)
    if getattr(method, "physics", 0):
        method.proxy = PhysicsProxy(data.space).fit([data.truth(slice(None))])
    with pytest.raises(Reached):
        train_assimilator(method.to("meta"), data, AssimilationSettings(steps=1, batch=4))


def waves(hours: int, columns: int, step: int = 1) -> xr.Dataset:
    time = np.datetime64("2006-01-02T00", "ns") + np.arange(hours) * np.timedelta64(step, "h")
    latitude, longitude = np.linspace(30.0, 50.0, 16), np.arange(columns) * 2.0
    t, lat, lon = np.meshgrid(step * np.arange(hours), *map(np.deg2rad, (latitude, longitude)), indexing="ij")
    phase = 16 * lon - 0.1 * t
    fields = {"u": 15 + 4 * np.sin(phase) * np.cos(3 * lat), "v": 6 * np.cos(phase), "c": 3 * np.sin(phase)}
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({k: (dims, v.astype(np.float32)) for k, v in fields.items()},
                      {"time": time, "latitude": latitude, "longitude": longitude})  # fmt: skip


@pytest.fixture(scope="module")
def fields() -> TerrainFields:
    ds = waves(5, 16).rename(c="t_low", u="u_low", v="v_low")
    return TerrainFields.of(ds, "t_low", ("t_low", "u_low", "v_low"), 4, statics=("elevation", "latitude"))


@pytest.mark.parametrize("stage", latents.STAGES)
def test_latent_diffusion(stage: str, fields, probed, monkeypatch) -> None:
    monkeypatch.setattr(VAE, "calibrate", lambda self, batches: self)
    model = latents.make_latent(fields, unet=(8, 8), vae=(8, 8), levels=(8, 8), latent=2, features=8)
    with pytest.raises(Reached):
        latents.train_latent(model.to("meta"), fields, stages=(stage,))


@pytest.mark.parametrize("kind", ("balance", "flux-ratio"))
def test_laws_of_latent_diffusion(kind: str, fields) -> None:
    law, at = latents.held_law(fields, kind), torch.tensor([3, 1])
    assert law(fields.truth[at, 0].to("meta"), at).device.type == "meta"


@pytest.mark.parametrize("free", [False, True])
def test_continuous_field(free: bool) -> None:
    ds = waves(6, 8, 3).rename(c="t")
    model = PhyDL.of(ds, force=SmoothForce((2, 2, 2)), network={"width": 16, "depth": 2})
    solve(model, 64, 0)
    objective = Points(model.to("meta"), *model.data(ds), FitSettings(batch=64, collocation=16, free=free), 0)
    objective.asked = True
    if free:
        objective.free.scales = {e.variable: (torch.ones(len(e.terms)), 1.0) for e in objective.equations}
    step(objective)


@pytest.mark.parametrize("kind", ["unet", "convlstm", "afno"])
def test_forecast(kind: str) -> None:
    finetune = importlib.import_module("physlab.phydl.finetune")  # the package has a function of that name
    ds, names = waves(40, 180), ("u", "c")
    law = GridResidual.learn(ds, names, equations=(Equation("c", (advection_along("c", "x", "u"),)),))
    model = Forecaster.of(kind, ds, names).to("meta")
    settings = ForecastSettings(batch=2, width=16, physics=1.0)
    step(finetune.Forecasts(model, Windows(ds, model), settings, law, 0))


@pytest.mark.parametrize("kind", ["network", "continuous", "forecast", "assimilation", "latent diffusion"])
def test_every_kind_is_loaded_onto_a_device(kind: str) -> None:
    name = next(iter(zoo.folders_of(kind)))
    model = physlab.load_model(name, "meta")
    module = model if isinstance(model, torch.nn.Module) else model.network
    assert {tensor.device.type for tensor in module.state_dict().values()} == {"meta"}


def test_one_process_speaks_also_after_the_group_has_parted(monkeypatch):
    from physlab.train.devices import speaks

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert speaks()
    for rank in (0, 1):
        for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "TORCHELASTIC_RUN_ID": "x"}.items():
            monkeypatch.setenv(name, str(value))
        assert speaks() == (rank == 0)
