"""A small laboratory for the explorer's tests: four tiny data sets, networks that are interpolation or untrained, no
files."""

from __future__ import annotations

import random
import string
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the apps are not an installed package

import physlab
from apps import store as store_module
from apps.options import CONSTRAINTS, FACTORS, HOURS
from apps.screenshot import VIEWPORT, browse, serve, wait_until_drawn
from apps.state import Choice
from physlab.assimilate import Adas, PhyDA
from physlab.data.patches import Frames, pair
from physlab.downscale import Interpolate, make_downscaler
from physlab.downscale.terrain import TerrainFields
from physlab.errors import CheckpointError, FieldError
from physlab.fields import Scaling
from physlab.nn import NETWORKS
from physlab.train.latent import make_latent
from physlab.views.twin import Twin
from physlab.zoo import load_model

FRAMES = {"tcw": 7, "era5-uk-t2m": 5, "tcw-t1": 4, "tcw-t2": 4}
SMALL = {"channels": 4, "blocks": 1, "skip": "bicubic"}
UNTRAINED = {  # recipe -> network, its arguments, constraints that have a checkpoint
    "tcw-x4-edsr": ("EDSR", {"channels": 4, "blocks": 1, "skip": "bicubic"}, ("none", "add", "softmax")),
    "tcw-x4-deepsd": ("DeepSD", {"channels": [4, 4], "skip": "bicubic"}, ("none",)),
    "tcw-x4-gan": ("NoiseResNet", {**SMALL, "upsample": "shuffle"}, ("none", "add")),
    "tcw-t1-x4-convgru": ("ConvGRU", {**SMALL, "upsample": "shuffle", "state_blocks": 1}, ("none", "add")),
    "tcw-t2-x4-flowgru": (
        "FlowConvGRU",
        {**SMALL, "upsample": "shuffle", "state_blocks": 1, "flow_channels": [4, 4, 4], "norm": False},
        ("none", "add"),
    ),
}


class PretendNetwork(Interpolate):
    """Bicubic plus a ripple, then the layer: violates conservation unless constrained, as a network does."""

    def __init__(self, name: str, factor: int, constraint: str) -> None:
        super().__init__("bicubic", factor, "none" if constraint == "soft" else constraint)
        self.name, self.variable = name, None
        self.card = {
            "name": name,
            "constraint": constraint,
            "seed": 0,
            "scores": {},
            "network": {"class": "PretendNetwork"},
        }

    def predict(self, coarse, weights=None):
        fine = Interpolate("bicubic", self.factor).predict(coarse, weights)
        fine = fine + 0.1 * torch.sin(torch.arange(fine.shape[-1]) / 2.0)
        if self.constraint == "softmax":
            fine = torch.log(fine.clamp_min(1e-6))
        return self.layer(fine, coarse, weights)


def untrained(recipe: str, constraint: str):
    """A real network with random weights, the same each time; its discriminator, if any, was right by half."""
    name, arguments, constraints = UNTRAINED[recipe]
    if constraint not in constraints:
        raise CheckpointError(f"no model '{recipe}-{constraint}'")
    task, _, _ = recipe.partition("-x4")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = NETWORKS[name](4, **arguments)
    card = {
        "name": f"{recipe}-{constraint}-s0",
        "task": task,
        "constraint": constraint,
        "seed": 0,
        "scores": {},
        "network": {"class": name, "arguments": arguments},
        "training": {"history": [{"step": 1, "d_right": 0.75}, {"step": 2, "d_right": 0.5}] if "gan" in recipe else []},
    }
    return make_downscaler(network, constraint, 20.0, "tcw", card["name"], card=card).eval()


def frames(task: str, splits: tuple[str, ...]) -> Frames:
    """Smooth random fields on a 32 x 32 grid (tropics to pole) or 16 x 24 grid (north first, as ERA5 is stored)."""
    rng = np.random.default_rng(5)
    n, moist = FRAMES[task], task.startswith("tcw")
    shape = (32, 32) if moist else (16, 24)
    y, x = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    waves = sum(
        rng.normal(size=(n, 1, 1)) / k * np.sin(2 * np.pi * (k * x + (k % 3) * y) + rng.uniform(0, 6, (n, 1, 1)))
        for k in range(1, 9)
    )
    field = 3.0 + np.exp(1.0 + 0.8 * waves) if moist else 280.0 + 4.0 * waves
    latitude = np.linspace(-80, 80, shape[0]) if moist else np.linspace(58, 50, shape[0])
    start = np.arange(n) * 50.0 if moist else np.full(n, -10.0)
    step = 360.0 / 64 if moist else 0.5
    time = np.datetime64("2001-01-01", "ns") + np.arange(n) * np.timedelta64(6, "h")
    extra = {}
    if task in HOURS:  # the waves travel
        field = np.stack([np.roll(field, shift, axis=-1) for shift in range(HOURS[task])], axis=1)
        extra = {"given": (0, 2) if task == "tcw-t2" else None, "step": np.timedelta64(1, "h")}
    return Frames(
        task=task, variable="tcw" if moist else "t2m", units="kg m-2" if moist else "K",
        non_negative=moist, values=dict.fromkeys(splits, field.astype(np.float32)), time=dict.fromkeys(splits, time),
        longitude=dict.fromkeys(splits, start[:, None] + step * np.arange(shape[1])), latitude=latitude, gap=48.0,
        rule="made up",
        statistics=Scaling((0.0,), (20.0,)) if moist else Scaling((280.0,), (4.0,)), **extra,
    )  # fmt: skip


@pytest.fixture
def lab(monkeypatch):
    """Replaces data and zoo by the small laboratory; networks for UK temperature exist at factor 4 only."""
    folders = [f"tcw-x{n}-{c}-s0" for n in FACTORS for c in CONSTRAINTS]
    folders += [f"era5-uk-t2m-x4-{c}-s0" for c in CONSTRAINTS]
    folders += [f"{recipe}-{c}-s0" for recipe, (_, _, constraints) in UNTRAINED.items() for c in constraints]

    def pretend_pairs(task, factor, splits=("test",)):
        if task not in FRAMES:
            raise FieldError(f"unknown task '{task}'")
        return pair(frames(task, splits), factor)

    def pretend_zoo(name, device=None):
        recipe, _, constraint = name.removesuffix("-s0").rpartition("-")
        if recipe in UNTRAINED:
            return untrained(recipe, constraint)
        task, _, rest = name.rpartition("-x")
        if task in FRAMES and (rest.isdigit() or rest.partition("-")[2] not in CONSTRAINTS):
            raise CheckpointError(f"no model {name!r}")
        for known in ("tcw", "era5-uk-t2m"):
            if name.startswith(f"{known}-x"):
                factor, _, constraint = name.removeprefix(f"{known}-x").partition("-")
                if known == "era5-uk-t2m" and factor != "4":
                    raise CheckpointError(f"no model {name!r}")
                return PretendNetwork(name, int(factor), constraint)
        return load_model(name, device)

    monkeypatch.setattr(store_module, "sr_pairs", pretend_pairs)
    monkeypatch.setattr("apps.zoo.checkpoint_folders", lambda: dict.fromkeys(folders))
    monkeypatch.setattr("physlab.data.sr_pairs", pretend_pairs, raising=False)
    monkeypatch.setattr(physlab, "load_model", pretend_zoo, raising=False)
    return pretend_pairs


@pytest.fixture
def store(lab):
    """A store on the small laboratory."""
    return store_module.Store(threads=None)


@pytest.fixture(scope="session")
def untrained_assimilators(tmp_path_factory):
    """An assets folder with small methods of assimilation of random weights, which change something everywhere."""
    assets, space = tmp_path_factory.mktemp("untrained"), Twin.open().space
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        methods = {
            "phyda-s0": PhyDA(space, latent=4, vae_width=8, width=8, levels=(32, 32)),
            "adas-s0": Adas(space, width=16),
        }
        for name, method in methods.items():
            for weights in method.parameters():
                if weights.ndim > 1 and not weights.detach().any():  # layers that begin at zero
                    torch.nn.init.normal_(weights, std=0.05)
            method.card = {"task": "nature-twin", "seed": 0, "commit": "0" * 40}
            method.save(assets / "assimilators" / name)
    return assets


@pytest.fixture(scope="session")
def untrained_ensemble(tmp_path_factory):
    """An assets folder with latent diffusion of random weights over terrain, true fields on 32 x 64 points, and stored
    members of two weights at the second time."""
    assets, rng = tmp_path_factory.mktemp("untrained"), np.random.default_rng(7)
    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))
    coords = {"latitude": ("latitude", latitude, {"units": "degrees_north"}),
              "longitude": ("longitude", np.arange(64) * 5.625, {"units": "degrees_east"})}  # fmt: skip
    time = np.datetime64("2012-01-19", "ns") + np.arange(3) * np.timedelta64(144, "h")
    waves = np.fft.rfft2(rng.standard_normal((3, 3, 32, 64)))  # variable, time
    waves /= 1.0 + np.hypot(np.fft.fftfreq(32, 1 / 32)[:, None], np.arange(33))
    t, u, v = np.fft.irfft2(waves).astype(np.float32) * 20
    t += 285 - 40 * np.sin(np.deg2rad(latitude[:, None])) ** 2
    dims, units = ("time", "latitude", "longitude"), {"t_low": "K", "u_low": "m s-1", "v_low": "m s-1"}
    truth = xr.Dataset({n: (dims, x, {"units": units[n]}) for n, x in zip(units, (t, u, v), strict=True)}, coords)
    truth = truth.assign_coords(time=time)
    stored = rng.standard_normal((2, 3, 32, 64)).astype(np.float32)  # minus the truth, as they are kept
    stored = xr.Dataset({"t_low_error": (("weight", "member", *dims[1:]), stored, {"units": "K"})}, coords)
    stored = stored.assign_coords(weight=[0.0, 0.3], time=time[1])
    (assets / "data").mkdir()
    truth.to_netcdf(assets / "data" / "nature-terrain.nc")
    stored.to_netcdf(assets / "data" / "nature-terrain-members.nc")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        fields = TerrainFields.of(truth, "t_low", tuple(units), 4)
        model = make_latent(fields, unet=(8, 8), vae=(8, 8), levels=(8, 8), latent=2, features=8)
    model.card |= {"task": "nature-x4", "seed": 0, "commit": "0" * 40}
    model.save(assets / "ensembles" / "nature-t-low-x4-s0")
    return assets


def random_link(rng: random.Random) -> str:
    """A link gone wrong: good entries, bad values, repeated names, foreign letters, broken escapes."""
    names = [*asdict(Choice()), "v", "hide", "view", "", "constructor", "__class__", "frame[]"]
    values = [
        "",
        "tcw",
        "tcw-t2",
        "era5-uk-t2m",
        "gan",
        "member-3",
        "member-11",
        "benchmark",
        "continuous",
        "statistical",
        "no-equations",
        "assimilate",
        "ensemble",
        "live",
        "add",
        "273.15",
        "z500",
        "phyda",
        "3000.412",
        "8191.8192",
        "0.5",
        "100.5",
        "100.1",
        "-38",
        "-0",
        "2",
        "4",
        "16",
        "-1",
        "1e3",
        "NaN",
        "inf",
        "99999999999999999999",
        "²",
        "٣",
        "softmax",
        "soft,add",
        "<script>alert(1)</script>",
        "%00",
        "%ff%fe",
        "../../etc/passwd",
        "None",
        "true",
        "truth,scores",
        "'; drop table",
        "\u202e",
    ]
    parts = []
    for _ in range(rng.randrange(0, 12)):
        value = (
            rng.choice(values) if rng.random() < 0.8 else "".join(rng.choices(string.printable, k=rng.randrange(60)))
        )
        parts.append(rng.choice(names) + rng.choice(["=", "=", "=", "", "=="]) + value)
    link = rng.choice(["?", "", "??", "#"]) + rng.choice(["&", "&", ";", "&&"]).join(parts)
    return link * (200 if rng.random() < 0.03 else 1)


@pytest.fixture
def broken_links():
    """Many links gone wrong: broken_links(number, seed)."""

    def make(number: int, seed: int) -> list[str]:
        rng = random.Random(seed)
        return [random_link(rng) for _ in range(number)]

    return make


# -- a real browser ---------------------------------------------------------------------------------------------------

TIMEOUT = 180_000  # ms, for a machine that is busy with something else


@pytest.fixture(scope="module")
def browser(chromium):
    with browse(chromium) as browser:
        yield browser


_SERVED = ExitStack()
_ADDRESS: list[str] = []


@pytest.fixture(scope="module")
def explorer():
    """The address of the explorer with what ships: one process serves all files of tests that follow each other."""
    if not _ADDRESS:
        _ADDRESS.append(_SERVED.enter_context(serve(timeout=180.0)))
    return _ADDRESS[0]


def pytest_runtest_teardown(item, nextitem):
    """It ends before tests that need no browser."""
    if nextitem is None or nextitem.get_closest_marker("browser") is None:
        _ADDRESS.clear()
        _SERVED.close()


@pytest.fixture(scope="module")
def address(explorer):
    """Where the pages of a file of tests are; one that wants other models or settings serves its own."""
    return explorer


@pytest.fixture
def open_page(browser, address):
    """open_page(query) -> a page that is drawn; afterwards: no error on the console, no request to another host.

    With another status than "ready" the page is returned as soon as it says so.
    """
    pages, problems = [], []

    def note(page):
        page.on("console", lambda m: problems.append(f"console {m.type}: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        page.on("requestfailed", lambda r: problems.append(f"failed request: {r.url}"))
        page.on("request", lambda r: None if inside(r.url) else problems.append(f"request to the outside: {r.url}"))

    def inside(url: str) -> bool:
        return url.startswith((address.rsplit("/", 1)[0], "data:", "blob:"))

    def open_(query: str = "", status: str = "ready"):
        page = browser.new_page(viewport=VIEWPORT)
        page.set_default_timeout(TIMEOUT)
        pages.append(page)
        note(page)
        page.goto(address + query)
        if status == "ready":
            wait_until_drawn(page, timeout=TIMEOUT / 1000)
        else:
            page.wait_for_selector(f'[data-status="{status}"]', state="attached")
        return page

    yield open_
    for page in pages:
        page.close()
    assert not problems, problems


@pytest.fixture
def painted():
    """painted(page) -> of each map and curve that can be seen: whether anything is drawn on one of its canvases."""

    def look(page) -> list[bool]:
        return page.evaluate(
            """() => {
          const found = new Map(), seek = (root) => { for (const e of root.querySelectorAll("*")) {
            if (e.tagName == "CANVAS" && e.getBoundingClientRect().width > 100) {
              const pixels = e.getContext("2d").getImageData(0, 0, e.width, e.height).data
              const drawn = new Set(new Uint32Array(pixels.buffer)).size > 50
              found.set(e.parentNode, found.get(e.parentNode) || drawn) }
            if (e.shadowRoot) seek(e.shadowRoot) } }
          seek(document); return [...found.values()] }"""
        )

    return look
