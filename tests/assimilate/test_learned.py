"""What all learned methods share: Datasets in and out, members, progress, cancelling, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr

from physlab import assimilate
from physlab.assimilate import (
    FNP,
    SDA,
    SLAM,
    Adas,
    ConvCNP,
    Corrector,
    DiffDA,
    GlobalVar3D,
    OuterStep,
    PhyDA,
    StateSpace,
    StaticLETKF,
    VAEVar,
)
from physlab.assimilate.latent import LatentDiffusion, LatentMethod
from physlab.assimilate.learned import Learned, about
from physlab.assimilate.regression import GaussianRegression, Regression
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.data.observe import observe, table
from physlab.errors import Cancelled, CheckpointError, FieldError, PhysLabError
from physlab.nn.stored import subclasses
from physlab.store import CARD, WEIGHTS

LATENT = {"latent": 3, "vae_width": 8}
SMALL = {
    Adas: {"width": 16}, ConvCNP: {"width": 16, "blocks": 1}, FNP: {"width": 8, "layers": 1, "hidden": 16},
    SDA: {"levels": (8, 16), "steps": 3}, DiffDA: {"levels": (8, 16), "steps": 3},
    SLAM: {**LATENT, "width": 8, "levels": (8, 16)},
    PhyDA: {**LATENT, "width": 8, "levels": (8, 16)}, VAEVar: {**LATENT, "iterations": 5},
    Corrector: {"levels": (8, 16)}, GlobalVar3D: {"truncation": 8, "modes": 4}, StaticLETKF: {"size": 6, "radius": 3e6},
}  # fmt: skip
ELSEWHERE = {OuterStep, assimilate.Likelihood, assimilate.ColumnOI}  # test_outer.py and test_likelihood.py
BASES = {Regression, GaussianRegression, LatentMethod, LatentDiffusion, *ELSEWHERE}
EACH = pytest.mark.parametrize("kind", list(SMALL), ids=lambda k: k.__name__)


class Nudging(Learned):
    """Half of what was observed, and 0.1 more for each member: what an analysis should be is known."""

    ensemble = True

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        made = []
        for k in range(members):
            if cancel is not None and cancel():
                raise Cancelled("stopped")
            made.append(0.5 * columns.innovation + 0.1 * k)
            if progress is not None:
                progress(k + 1, members)
        return torch.stack(made, 1)


class Drying(Learned):
    """Takes five background errors off everything, whatever was observed."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return torch.full_like(background, -5.0)[:, None]


@pytest.fixture(scope="module")
def seen(pairs, space) -> xr.Dataset:
    """The columns of the truth at one time."""
    error = {v: float(space.error[space.part(v)].mean()) for v in space.variables}
    return observe(pairs[0].isel(time=1), 0.05, error, seed=0, noise=False)


def make(kind: type[Learned], space: StateSpace, pairs) -> Learned:
    """Untrained, with no weight at zero."""
    torch.manual_seed(0)
    if hasattr(kind, "from_increments"):
        x, b = (space.tensor(ds) for ds in pairs)
        return kind.from_increments((x - b) / space.error, space, **SMALL[kind])
    method = kind(space, **SMALL[kind])
    for k, parameter in enumerate(method.parameters()):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k))
    return method.eval()


def test_every_method_is_tested_here() -> None:
    found = {k for k in subclasses(Learned) if k.__module__.startswith("physlab.")}
    assert found - BASES == set(SMALL), "add the new method to SMALL"
    assert all(hasattr(assimilate, kind.__name__) for kind in SMALL)


HALVING = (SDA, DiffDA, SLAM, PhyDA, StaticLETKF)  # these say that both numbers have to be even


@pytest.mark.parametrize("closed", [True, False], ids=["globe", "region"])
@pytest.mark.parametrize("size", [(12, 20), (26, 22), (60, 36), (13, 19)], ids=str)
@pytest.mark.parametrize("kind", [k for k in SMALL if k is not GlobalVar3D], ids=lambda k: k.__name__)
def test_grids_of_any_size(kind, size, closed) -> None:
    """Networks halve a grid several times: whatever is left over is padded, or refused in one sentence."""
    H, W = size
    one, channels = torch.ones(3, 1, 1), (("u", 500.0), ("t", 500.0), ("z", 500.0))
    longitude = np.arange(W) * 360.0 / W if closed else 10 + 1.5 * np.arange(W)
    space = StateSpace(channels, np.linspace(-70, 70, H), longitude, 0 * one, one, one)
    draw = torch.Generator().manual_seed(0)
    e = torch.randn(6, 3, H, W, generator=draw)
    torch.manual_seed(0)
    if kind in HALVING and (H % 2 or W % 2):
        with pytest.raises(PhysLabError, match="pass even numbers of both"):
            kind(space, **SMALL[kind])
        return
    options = SMALL[kind] | ({"physics": 0.0} if kind is PhyDA else {})
    if kind is StaticLETKF:
        method = kind.from_increments(e, space, **options)
    else:
        method = kind(space, **options).eval()
    columns = observe_columns(e[:1], 0.1, 0.25, space.area, draw)
    made = method.increments(e[:1], columns, 1, draw)
    assert made.shape == (1, 1, 3, H, W) and bool(torch.isfinite(made).all())


# --- analyse ----------------------------------------------------------------------------------------------------------
def test_an_analysis_is_like_the_background(space, pairs, seen) -> None:
    background = pairs[1].isel(time=[1]).assign_attrs(source="a forecast")
    background["t"].attrs["units"] = "K"
    background["e"] = background["sp"]  # not of the state
    background = background.assign(z=background["z"].transpose("time", "latitude", "longitude", "level"))
    background["q"] = background["q"].astype(np.float64)
    made = Nudging(space).analyse(background, seen, members=1, seed=3)
    assert set(made.data_vars) == set(space.variables) and "member" not in made.dims
    for name in space.variables:
        assert made[name].dims == background[name].dims and made[name].dtype == background[name].dtype, name
    xr.testing.assert_equal(made.coords.to_dataset(), background[list(space.variables)].coords.to_dataset())
    assert made["t"].attrs == {"units": "K"} and made.attrs["source"] == "a forecast"
    assert made.attrs["analysis"] == f"Nudging, {seen.sizes['observation']} observations (0 missing, 0 merged)"
    assert made.attrs["members"] == 1 and made.attrs["seed"] == 3
    # half way to the truth where columns are, the background elsewhere
    truth = pairs[0].isel(time=[1])
    at = {"latitude": xr.DataArray(seen["latitude"].values, dims="n"),
          "longitude": xr.DataArray(seen["longitude"].values, dims="n")}  # fmt: skip
    for name in ("u", "t_low", "sp"):
        a, b, x = (ds[name].sel(at, method="nearest").values.astype(float) for ds in (made, background, truth))
        assert np.allclose(a, (b + x) / 2, rtol=1e-4, atol=1e-3), name
    assert ((made["sp"] != background["sp"]).sum()) <= seen.sizes["observation"] / 20


def test_a_column_with_an_impossible_value_is_left_out_as_a_whole(space, pairs, seen) -> None:
    """The other columns count as if it had not been there, whether the rules or the background check stop it."""
    background = pairs[1].isel(time=[1])
    place = (seen["latitude"] == seen["latitude"][0]) & (seen["longitude"] == seen["longitude"][0])
    others = seen.isel(observation=np.flatnonzero(~place.values))
    expected = Nudging(space).analyse(background, others, members=1)
    for name, value in (("sp", 2e5), ("t_low", -40.0), ("u_low", 240.0)):
        bad = seen.copy(deep=True)
        bad["value"][np.flatnonzero(place.values & (seen["variable"] == name).values)] = value
        made = Nudging(space).analyse(background, bad, members=1)
        xr.testing.assert_equal(made, expected)
        assert "of columns of which a value was left out" in made.attrs["observations_account"], name


def test_members_and_times(space, pairs, seen) -> None:
    background = pairs[1].isel(time=[1])
    one = Nudging(space).analyse(background, seen, members=1)
    made = Nudging(space).analyse(background, seen, members=3)
    assert made.sizes["member"] == 3 and made["t"].dims[-3:] == ("level", "latitude", "longitude")
    assert set(made["t"].dims) == {"time", "member", "level", "latitude", "longitude"}
    assert made["time"].values == background["time"].values
    for k in range(3):
        expected = one["t_low"] + 0.1 * k * float(space.error[space.index("t_low")])
        assert np.allclose(made["t_low"].isel(member=k), expected, atol=1e-4)
    assert Nudging(space).analyse(background, seen).sizes["member"] == 8  # of a method with an ensemble
    flat = Nudging(space).analyse(pairs[1].isel(time=1), seen, members=2)  # a scalar time stays a scalar
    assert "time" not in flat.dims and flat["time"].ndim == 0 and flat["sp"].dims == ("member", "latitude", "longitude")
    none = Nudging(space).analyse(pairs[1].isel(time=1, drop=True), seen, members=1)
    assert "time" not in none.coords
    again = Nudging(space).analyse(background.isel(level=[2, 0, 1]), seen, members=1)  # levels in another order
    xr.testing.assert_allclose(again, one)


def test_water_is_not_negative_and_wind_may_be(space, pairs, seen) -> None:
    background = pairs[1].isel(time=1)
    made = Drying(space).analyse(background, seen.isel(observation=[]))
    b, error = space.tensor(background)[0], space.error
    for name in ("q", "tcw"):
        expected = (b - 5 * error)[space.part(name)].clamp(min=0).squeeze(0)
        assert (expected == 0).any() and np.allclose(made[name], expected, rtol=1e-5, atol=1e-7)
    assert np.allclose(made["u"], (b - 5 * error)[space.part("u")], atol=1e-4) and float(made["u"].min()) < -5
    assert made.attrs["analysis"] == "Drying, 0 observations (0 missing, 0 merged)"


def test_progress_and_cancel(space, pairs, seen) -> None:
    background, steps = pairs[1].isel(time=1), []
    Nudging(space).analyse(background, seen, members=3, progress=lambda *s: steps.append(s))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        Nudging(space).analyse(background, seen, cancel=lambda: True)


def test_what_is_refused(space, pairs, seen) -> None:
    method, background = Nudging(space), pairs[1]
    with pytest.raises(FieldError, match=r"background has 6 times: select one, e.g. with .isel\(time=0\)"):
        method.analyse(background, seen)
    with pytest.raises(PhysLabError, match="0 members of Nudging: pass at least 1"):
        method.analyse(background.isel(time=1), seen, members=0)
    with pytest.raises(PhysLabError, match="2 members of Drying: it gives one analysis, pass 1"):
        Drying(space).analyse(background.isel(time=1), seen, members=2)
    with pytest.raises(FieldError, match="has members"):
        method.analyse(background.isel(time=1).expand_dims(member=2), seen)
    with pytest.raises(FieldError, match="not whole"):
        method.analyse(background.isel(time=1), seen.isel(observation=slice(1, None)))
    with pytest.raises(FieldError, match="lack"):
        method.analyse(background.isel(time=1), seen.drop_vars("value"))
    with pytest.raises(FieldError, match="outside"):
        method.analyse(background.isel(time=1), table(["sp"], [np.nan], [99.0], [0.0], [1e5], [100.0]))


@EACH
def test_every_method_analyses_datasets(kind, space, pairs, seen) -> None:
    method, background = make(kind, space, pairs), pairs[1].isel(time=[1])
    steps: list[tuple[int, int]] = []
    made = method.analyse(background, seen, members=1, progress=lambda *s: steps.append(s))
    assert dict(made.sizes) == dict(background.sizes) and all(np.isfinite(v).all() for v in made.values())
    assert float(made["q"].min()) >= 0 and any((made[v] != background[v]).any() for v in made)
    done, total = zip(*steps, strict=True)
    assert len(set(total)) == 1 and list(done) == sorted(done) and 0 < done[0] and done[-1] <= total[-1]
    with pytest.raises(Cancelled):
        method.analyse(background, seen, members=1, cancel=lambda: True)
    if method.ensemble:
        two, same, other = (method.analyse(background, seen, members=2, seed=s) for s in (0, 0, 1))
        xr.testing.assert_equal(two, same)
        assert float(abs(two["t"].isel(member=0) - two["t"].isel(member=1)).max()) > 1e-3
        assert float(abs(two["t"] - other["t"]).max()) > 1e-3
    else:
        with pytest.raises(PhysLabError, match="it gives one analysis, pass 1"):
            method.analyse(background, seen, members=2)


@pytest.mark.parametrize("members", [2, 8])
def test_draws_are_moved_about_their_centre(members: int) -> None:
    """Their mean is the centre, and each is as far from it as it was from the mean of all draws."""
    draws = 3 + 2 * torch.randn(2, members, 40000, generator=torch.Generator().manual_seed(0))
    centre = torch.randn(2, 1, 40000, generator=torch.Generator().manual_seed(1))
    made = about(draws, centre)
    assert made.shape == draws.shape and torch.allclose(made.mean(1, keepdim=True), centre, atol=1e-5)
    assert float((made - centre).square().mean()) == pytest.approx(4, rel=0.02)
    assert torch.allclose(about(draws + 5, centre), made, atol=1e-4)


# --- files ------------------------------------------------------------------------------------------------------------
@EACH
def test_files_give_the_method_back(kind, space, pairs, tmp_path) -> None:
    method = make(kind, space, pairs)
    x, b = (space.tensor(ds) for ds in pairs)
    e = (x - b)[:1] / space.error
    columns = observe_columns(e, 0.1, 0.5, space.area, torch.Generator().manual_seed(0))
    background = space.standardise(b[:1])

    def analysis(m: Learned) -> torch.Tensor:
        return m.increments(background, columns, 2 if m.ensemble else 1, torch.Generator().manual_seed(1)).detach()

    known = dict(method.named_buffers())
    for name in known.keys() & method.state_dict().keys():  # what was calibrated must come back, too
        known[name] *= 1 + 0.01 * torch.rand(known[name].shape, generator=torch.Generator().manual_seed(2))
    method.card["seed"] = 5
    expected = analysis(method)
    back = Learned.load(method.save(tmp_path / "whole"))
    half = Learned.load(method.save(tmp_path / "half", half=True))
    assert type(back) is type(half) is kind and not back.training and back.card["seed"] == 5
    assert back.space.names == space.names and torch.allclose(back.space.error, space.error)
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), method.state_dict().values(), strict=True))
    assert torch.allclose(analysis(back), expected, atol=1e-5)
    distance = float((analysis(half) - expected).square().mean().sqrt() / expected.square().mean().sqrt())
    assert 0 < distance < 0.05
    assert all(t.dtype != torch.float16 for t in half.state_dict().values())
    sizes = [(tmp_path / folder / WEIGHTS).stat().st_size for folder in ("whole", "half")]
    assert sizes[1] < 0.75 * sizes[0]
    card = json.loads((tmp_path / "half" / CARD).read_text())
    assert card["class"] == kind.__name__ and card["parameters"] == sum(p.numel() for p in method.parameters())


def test_damaged_folders_say_so(space, pairs, tmp_path) -> None:
    method = make(VAEVar, space, pairs)

    def broken(name: str, change) -> None:
        folder = method.save(tmp_path / name)
        change(folder)
        with pytest.raises(CheckpointError, match=f"no assimilation method in .*{name}.*: train it and save it again"):
            Learned.load(folder)

    def card(**changes):
        def change(folder) -> None:
            known = json.loads((folder / CARD).read_text()) | changes
            (folder / CARD).write_text(json.dumps({k: v for k, v in known.items() if v is not None}))

        return change

    with pytest.raises(CheckpointError, match="nowhere"):
        Learned.load(tmp_path / "nowhere")
    broken("no-weights", lambda f: (f / WEIGHTS).unlink())
    broken("no-card", lambda f: (f / CARD).unlink())
    broken("cut", lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-100]))
    broken("not-json", lambda f: (f / CARD).write_text("{"))
    broken("unknown-class", card(**{"class": "Oracle"}))
    broken("other-class", card(**{"class": "SLAM"}))
    broken("other-size", card(arguments={"latent": 4, "vae_width": 8}))
    broken("no-space", card(space=None))
    assert isinstance(Learned.load(method.save(tmp_path / "cut")), VAEVar)  # written over


def test_a_failed_save_leaves_the_old_one(space, pairs, tmp_path) -> None:
    method = make(VAEVar, space, pairs)
    method.save(tmp_path / "m")
    method.card["loss"] = float("nan")
    with pytest.raises(ValueError, match=r"nan|JSON"):
        method.save(tmp_path / "m")
    assert isinstance(Learned.load(tmp_path / "m"), VAEVar)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_the_base_is_not_a_method(space) -> None:
    e = torch.zeros(1, *space.shape)
    columns = Columns(e, e[:, :1], torch.zeros(1))
    for kind in (Learned, Nudging):
        with pytest.raises(NotImplementedError, match="has no loss"):
            kind(space).loss(e, e, columns, torch.Generator())
    with pytest.raises(NotImplementedError, match="use a method of"):
        Learned(space).increments(e, columns)


# --- the control ------------------------------------------------------------------------------------------------------
def test_the_corrector_learns_from_the_background_alone(space) -> None:
    torch.manual_seed(0)
    method, draw = Corrector(space, levels=(8, 16)), torch.Generator().manual_seed(1)
    background = torch.randn(8, *space.shape, generator=draw)
    increment = 0.5 * background.roll(1, -1)  # errors that the background tells
    columns = observe_columns(increment, 0.1, 0.0, space.area, draw)
    blind = Columns(0 * columns.innovation, 0 * columns.mask, columns.noise)
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        losses.append(method.loss(background, increment, columns, draw))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(method.increments(background, columns), method.increments(background, blind))
