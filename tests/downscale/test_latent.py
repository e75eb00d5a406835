"""Residual latent diffusion: tiles, the globe, Datasets in and out, what is refused, and files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from physlab.downscale import latent, refine_grid
from physlab.downscale.latent import HALO, LatentDownscaler, in_tiles
from physlab.downscale.static import static_fields
from physlab.errors import Cancelled, CheckpointError, FieldError, PhysLabError
from physlab.grid import Grid, coarsen
from physlab.nn.unet import GridConv, UNet
from physlab.store import CARD, WEIGHTS

DRIVERS, STATICS = ("t_low", "u_low", "v_low"), ("elevation", "latitude")
SMALL = {"unet": (6, 8), "levels": (8, 8), "latent": 2, "features": 8}


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shaken(model: LatentDownscaler, size: float = 0.1) -> LatentDownscaler:
    """No layer at zero, and units of a temperature and a wind."""
    for k, parameter in enumerate(model.parameters()):
        parameter.data += size * normal(k, *parameter.shape)
    model.mean.copy_(torch.tensor([280.0, 0.0, 0.0])[: len(model.mean), None, None])
    model.std.copy_(torch.tensor([10.0, 5.0, 5.0])[: len(model.std), None, None])
    model.rho.fill_(1.7)
    model.steps = 3
    return model.eval()


def shaken_network(network: torch.nn.Module) -> torch.nn.Module:
    for k, parameter in enumerate(network.parameters()):
        parameter.data += 0.3 * normal(k, *parameter.shape)
    return network.double()


def make(
    factor: int = 4, periodic: bool = False, rows: int = 32, drivers=DRIVERS, statics=STATICS, **options
) -> LatentDownscaler:
    torch.manual_seed(0)
    step = 180 / rows / factor if periodic else 0.25
    latitude = (np.arange(rows * factor) + 0.5) * step - (90 if periodic else -30)
    widths = (6,) * (factor // options.get("patch", 2)).bit_length()
    return shaken(LatentDownscaler("t_low", drivers, statics, factor, latitude, periodic=periodic,
                                   **{**SMALL, "vae": widths, **options}))  # fmt: skip


def cube(model: LatentDownscaler, columns: int = 24, times: int = 2, rows: int | None = None, seed: int = 0):
    """Coarse drivers on the latitudes of the model, whole circles if it is for them."""
    latitude = Grid(np.asarray(model.training_grid["latitude"]), np.arange(8.0)).coarsen(model.factor).latitude
    step = 360 / columns if model.periodic else model.factor * 0.25
    shape = (times, len(latitude) if rows is None else rows, columns)
    rng, data = np.random.default_rng(seed), {}
    for name, mean, spread, units in (("t_low", 280, 10, "K"), ("u_low", 0, 5, "m s-1"), ("v_low", 0, 5, "m s-1")):
        values = (mean + spread * rng.standard_normal(shape)).astype(np.float32)
        data[name] = (("time", "lat", "lon"), values, {"units": units})
    coords = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
              "lat": ("lat", latitude[: shape[1]], {"units": "degrees_north"}),
              "lon": ("lon", 80.0 + step * np.arange(columns), {"units": "degrees_east"})}  # fmt: skip
    return xr.Dataset(data, coords, {"institution": "a test"})


def given(model: LatentDownscaler, h: int, w: int, batch: int = 1, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """Coarse drivers and static fields without a place."""
    coarse = normal(1, batch, 3, h, w, dtype=dtype) * model.std.to(dtype) + model.mean.to(dtype)
    return coarse, normal(2, len(model.statics), h * model.factor, w * model.factor, dtype=dtype)


# --- tiles ------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("periodic", [False, True], ids=["region", "globe"])
@pytest.mark.parametrize(
    ("factor", "tile", "h", "w"), [(4, 32, 64, 96), (8, 32, 64, 40), (4, 16, 40, 56), (2, 8, 24, 64), (2, 8, 24, 20)]
)
def test_tiles_give_what_the_whole_domain_gives(factor, tile, h, w, periodic) -> None:
    model = make(factor, periodic).double()
    coarse, static = given(model, h, w, dtype=torch.float64)
    model.steps = 2

    def members() -> Tensor:
        return model.sample(coarse, None, 1, static=static, generator=torch.Generator().manual_seed(0))

    whole = members()
    assert whole.shape == (1, 1, h * factor, w * factor) and whole.std() > 1
    model.tile = tile
    assert (members() - whole).abs().max() < 1e-8
    model.halo = 8  # less than the networks look, so that this test can fail
    assert (members() - whole).abs().max() > 1e-6


@pytest.mark.parametrize("periodic", [False, True], ids=["region", "globe"])
@pytest.mark.parametrize("mixing", ["convolution", "afno"])
def test_tiles_in_single_precision(mixing, periodic) -> None:
    model = make(4, periodic, mixing=mixing)
    coarse, static = given(model, 48, 64)
    whole = model.sample(coarse, None, 2, static=static)
    model.tile = 32
    assert (model.sample(coarse, None, 2, static=static) - whole).abs().max() < 1e-3  # K


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_networks_look_no_further_than_the_halo(factor) -> None:
    """The networks of the default sizes, each by the change that one cell makes."""
    torch.manual_seed(0)
    model = shaken(LatentDownscaler("t_low", DRIVERS, STATICS, factor, np.arange(64.0)), 0.05).double()
    n, patch, half = factor, model.arguments["patch"], 32
    scale = n // patch
    level = torch.zeros(1, dtype=torch.float64)

    def reach(network, channels: int, size: int) -> float:
        """In coarse cells."""
        x = normal(0, 1, channels, half * 2 * size, 8 * size, dtype=torch.float64)
        y, found = x.clone(), 0.0
        y[..., half * size, 4 * size] += 10.0
        with torch.no_grad():
            a, b = network(x), network(y)
        r = a.shape[-2] // (2 * half)
        rows = (a != b).any(dim=(0, 1, 3)).nonzero().flatten()
        found = max(half - float(rows.min()) / r, float(rows.max()) / r - half)
        assert found > 0 and len(rows) > 1
        return found

    inputs = (len(DRIVERS) + len(STATICS)) * patch**2
    flow = normal(3, 1, 24, 64, 8, dtype=torch.float64)
    networks = {
        "unet": (model.unet, inputs, scale),
        "decoder": (model.vae.decode, 4, 1),
        "denoiser": (lambda x: model.denoiser.network(x, level, flow), 4, 1),
        "condition": (lambda c: model.denoiser.network(flow[:, :4], level, c), 24, 1),
        "flow": (lambda x: model.conditioner(model.conditioner.flow(x), torch.ones(1, 2, 64 * n, 8 * n).to(x)), 3, 1),
        "ground": (lambda x: model.conditioner(flow, x), 2, n),
    }
    for name, (network, channels, size) in networks.items():
        assert reach(network, channels, size) < HALO, name


@pytest.mark.slow
def test_networks_that_look_further_get_tiles_that_overlap_more() -> None:
    assert make(4).halo == make(2, unet=(6, 6)).halo == HALO == make(4, unet=(6, 6, 6)).halo  # half a coarse cell
    deep, wide = make(2, levels=(6, 6, 6)), make(2, unet=(6, 6, 6), periodic=True)
    assert deep.halo == wide.halo == 40
    for model in (deep, wide):
        model.double()
        coarse, static = given(model, 88, 16, dtype=torch.float64)
        whole = model.sample(coarse, None, 1, static=static)
        model.tile = 8
        assert (model.sample(coarse, None, 1, static=static) - whole).abs().max() < 1e-8
        model.halo = HALO
        assert (model.sample(coarse, None, 1, static=static) - whole).abs().max() > 1e-8


@pytest.mark.parametrize(("levels", "blocks"), [((4,), 1), ((4, 4), 1), ((4, 4), 2), ((4, 4, 4), 1), ((4, 4, 4, 4), 1)])
def test_reach_of_a_unet_is_what_a_point_changes(levels, blocks) -> None:
    network = shaken_network(UNet(1, 1, levels, blocks, normalise=False))
    m, half = network.multiple, 128
    found = 0
    for at in range(half, half + m):  # wherever it lies among the strides
        x = normal(0, 1, 1, 2 * half, m, dtype=torch.float64)
        y = x.clone()
        y[..., at, 0] += 10.0
        with torch.no_grad():
            rows = (network(x) != network(y)).any(-1).nonzero()[:, 2]
        found = max(found, at - int(rows.min()), int(rows.max()) - at)
    assert network.reach - m < found <= network.reach


def test_any_function_of_a_neighbourhood_in_tiles() -> None:
    x = normal(0, 2, 1, 50, 70)
    seen = []

    def blur(a: Tensor) -> Tensor:
        seen.append(tuple(a.shape[-2:]))
        return torch.nn.functional.avg_pool2d(a, 9, 1, 4, count_include_pad=False).repeat_interleave(2, -1)[..., ::1, :]

    def twice(a: Tensor) -> Tensor:
        return blur(a).repeat_interleave(2, -2)

    whole = twice(x)
    assert torch.allclose(in_tiles(twice, [x], [1], 16), whole, atol=1e-6)
    assert max(s[0] for s in seen[1:]) <= 16 + 2 * HALO and len(seen) == 1 + 4 * 5
    for tile in (0, 4, 12, -8):
        with pytest.raises(PhysLabError, match="pass a multiple of 8"):
            in_tiles(twice, [x], [1], tile)


def test_the_globe_has_no_seam() -> None:
    model = make(4, True)
    coarse, static = given(model, 16, 32)
    z, shift = normal(4, 1, 2, 16, 32), 6

    def parts(coarse: Tensor, static: Tensor, z: Tensor) -> dict[str, tuple[Tensor, int]]:
        with torch.no_grad():
            base, features = model.regress(coarse, static), model.features(coarse, static)
            return {"regress": (base, 4), "features": (features, 1), "field": (model.field(base, z), 4),
                    "denoiser": (model.denoiser(z, 0.5, features), 1)}  # fmt: skip

    here = parts(coarse, static, z)
    turned = parts(coarse.roll(shift, -1), static.roll(4 * shift, -1), z.roll(shift, -1))
    for name, (x, n) in here.items():
        size = float(x.std())
        assert (turned[name][0] - x.roll(n * shift, -1)).abs().max() < 1e-4 * max(size, 1), name
    model = make(4, False)  # of a region they are no neighbours
    here = parts(coarse, static, z)
    turned = parts(coarse.roll(shift, -1), static.roll(4 * shift, -1), z.roll(shift, -1))
    for name, (x, n) in here.items():
        assert (turned[name][0] - x.roll(n * shift, -1)).abs().max() > 1e-3 * float(x.std()), name


def test_afno_on_a_globe_takes_the_circle_as_it_is() -> None:
    """Its nonlinearity of wavenumbers is bound to longitude 0, but fields that repeat around the globe still do."""
    for periodic in (True, False):
        model = make(4, periodic, mixing="afno")
        for block in model.conditioner.dynamics[1:]:
            block.spectral.bias.data.zero_()
        x = given(model, 16, 16)[0].repeat(1, 1, 1, 2)
        with torch.no_grad():
            flow = model.conditioner.flow(x)
        assert flow.shape[-2:] == (16, 32)
        assert bool((flow - flow.roll(16, -1)).abs().max() < 1e-4 * flow.std()) == periodic


def test_afno_sees_all_of_the_coarse_grid_and_convolution_does_not() -> None:
    for mixing, whole in (("convolution", False), ("afno", True)):
        model = make(4, mixing=mixing)
        coarse, static = given(model, 40, 16)
        changed = coarse.clone()
        changed[..., 1, 3] += 30.0
        model.tile = 8
        with torch.no_grad():
            far = (model.features(coarse, static) - model.features(changed, static))[..., 36:, :].abs().max()
        assert (far > 1e-5) == whole, mixing


# --- the formula ------------------------------------------------------------------------------------------------------
def test_a_member_is_the_mean_field_and_the_decoded_residual() -> None:
    model = make(4)
    coarse, static = given(model, 8, 8, batch=2)
    with torch.no_grad():
        base, z = model.regress(coarse, static), normal(5, 2, 2, 8, 8)
        up = torch.nn.functional.interpolate(coarse[:, :1], scale_factor=4, mode="bicubic")
        assert torch.allclose(model.field(base, z), base + 1.7 * model.vae.decode(z), atol=1e-4)
        model.detail.fill_(0.0)
        assert torch.allclose(model.regress(coarse, static), up, atol=1e-4)
        residual = normal(6, 2, 1, 32, 32)
        assert torch.allclose(model.encode(1.7 * residual), model.vae.encode(residual), atol=1e-5)
    untrained = LatentDownscaler("t_low", DRIVERS, STATICS, 4, np.arange(32.0))
    with torch.no_grad():
        assert torch.equal(untrained.regress(coarse, static), up)
        assert torch.equal(untrained.field(up, normal(5, 2, 4, 8, 8)), up)


def test_how_many_go_through_at_a_time_changes_nothing(monkeypatch) -> None:
    model, sizes = make(4), []
    coarse, static = given(model, 8, 8, batch=3)
    whole = model.sample(coarse, None, 2, static=static)
    monkeypatch.setattr(latent, "TOGETHER", 2)
    for part in (model.unet.head, model.conditioner.blend[0], model.denoiser.network.head):
        part.register_forward_hook(lambda *a: sizes.append(len(a[1][0])))
    assert torch.allclose(model.sample(coarse, None, 2, static=static), whole, atol=1e-3)
    assert max(sizes) <= 2


# --- Datasets ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def model() -> LatentDownscaler:
    return make(4, rows=8)


@pytest.fixture(scope="module")
def coarse(model) -> xr.Dataset:
    return cube(model, 12)


def test_an_ensemble_on_the_refined_grid(model, coarse) -> None:
    extra = coarse.assign(sp=coarse["t_low"] * np.nan)  # not a driver
    made = model.downscale(extra.transpose("lon", "lat", "time"), members=3, seed=5)
    assert dict(made.sizes) == {"member": 3, "time": 2, "latitude": 32, "longitude": 48} and list(made) == ["t_low"]
    assert made["t_low"].dims == ("member", "time", "latitude", "longitude")
    assert made["member"].values.tolist() == [0, 1, 2]
    assert made["t_low"].attrs["units"] == "K" and made.attrs["institution"] == "a test"
    assert made.attrs["title"] == "3 members, downscaled by 4 with latent diffusion, x4, seed 5"
    np.testing.assert_array_equal(made["time"], coarse["time"])
    grid = Grid.from_dataset(made)
    np.testing.assert_allclose(grid.latitude, model.training_grid["latitude"], atol=1e-9)
    np.testing.assert_allclose(grid.coarsen(4).longitude, coarse["lon"], atol=1e-9)
    values = made["t_low"].values
    assert np.isfinite(values).all() and values.dtype == np.float32
    assert min(np.abs(values[a] - values[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))) > 0.05
    xr.testing.assert_equal(model.downscale(coarse, members=3, seed=5), made)
    assert np.abs(model.downscale(coarse, members=3, seed=6)["t_low"].values - values).mean() > 0.05
    assert model.downscale(coarse).sizes["member"] == latent.MEMBERS


def test_it_is_sampled_from_the_fields_of_the_place(model, coarse) -> None:
    """The same members from tensors: drivers in their order, static fields of the fine grid."""
    made = model.downscale(coarse[["v_low", "t_low", "u_low"]], members=2, seed=1)
    x = torch.from_numpy(np.stack([coarse[n].values for n in DRIVERS], 1))
    static = static_fields(STATICS, made["latitude"].values, made["longitude"].values)
    members = model.sample(x, None, 2, torch.Generator().manual_seed(1), static).transpose(0, 1)
    np.testing.assert_allclose(made["t_low"].values, members.transpose(0, 1).numpy(), atol=1e-4)


def test_times_and_none(model, coarse) -> None:
    one = model.downscale(coarse.isel(time=[0]), members=2)
    flat = model.downscale(coarse.isel(time=0), members=2)
    bare = model.downscale(coarse.isel(time=0, drop=True), members=2)
    assert one["t_low"].dims == ("member", "time", "latitude", "longitude")
    assert flat["t_low"].dims == bare["t_low"].dims == ("member", "latitude", "longitude")
    assert flat["time"].ndim == 0 and flat["time"].values == coarse["time"].values[0] and "time" not in bare.coords
    np.testing.assert_array_equal(one["t_low"].values[:, 0], flat["t_low"].values)
    np.testing.assert_array_equal(one["t_low"].values[:, 0], bare["t_low"].values)


def test_one_driver_may_come_as_an_array(coarse) -> None:
    alone = make(4, rows=8, drivers=("t_low",), statics=())
    made = alone.downscale(coarse["t_low"], members=1)
    assert list(made) == ["t_low"] and made["t_low"].attrs["units"] == "K"
    for name in ("anything", None):
        xr.testing.assert_equal(alone.downscale(coarse["t_low"].rename(name), members=1), made)


def test_rows_in_the_other_order_are_the_same_fields(model, coarse) -> None:
    """Winds and fields of a file from north to south must not meet networks that learned from south to north."""
    made = model.downscale(coarse, members=2)
    turned = model.downscale(coarse.isel(lat=slice(None, None, -1)), members=2)
    assert turned["latitude"].values[0] > turned["latitude"].values[-1]
    xr.testing.assert_allclose(turned.sortby("latitude"), made, atol=1e-4)


def test_gaps_of_any_driver_stay_gaps(model, coarse) -> None:
    holes = coarse.copy(deep=True)
    holes["u_low"][0, 3, 4] = np.nan
    holes["t_low"][:, 0, 0] = np.nan
    made = model.downscale(holes, members=2)["t_low"]
    n, gone = model.factor, np.zeros(coarse["t_low"].shape, bool)
    gone[0, 3, 4] = gone[:, 0, 0] = True
    wanted = np.broadcast_to(gone.repeat(n, -1).repeat(n, -2), made.shape)
    np.testing.assert_array_equal(np.isnan(made), wanted)


def test_what_is_refused(model, coarse) -> None:
    holes = coarse.copy(deep=True)
    holes["u_low"][0, 3, 4] = np.inf
    celsius = coarse.assign(t_low=(coarse["t_low"] - 273.15).assign_attrs(units="degC"))
    silent = coarse.assign(t_low=(coarse["t_low"] - 273.15).assign_attrs({}))
    silent["t_low"].attrs.clear()
    cases = [
        (coarse.drop_vars(["v_low"]), "no v_low in the coarse data: .* takes t_low, u_low, v_low, found t_low, u_low"),
        (coarse["t_low"], "no u_low, v_low in the coarse data"),
        (celsius, "degrees Celsius"),
        (silent, "degrees Celsius"),
        (holes, "'u_low' holds 1 infinite value"),
        (coarse.expand_dims(member=2), "member"),
        (coarse.expand_dims(level=[850, 1000]).transpose("time", "level", "lat", "lon"), "level"),
        (coarse.rename(lat="north", lon="east").drop_vars(["north", "east"]), "latitude"),
    ]
    for field, words in cases:
        with pytest.raises(FieldError, match=words) as error:
            model.downscale(field, members=1)
        assert "\n" not in str(error.value)
    with pytest.raises(PhysLabError, match="members is 0: pass at least 1"):
        model.downscale(coarse, members=0)


def test_wrong_arguments() -> None:
    latitude = np.arange(32.0)
    for words, arguments in {
        "power of two": ("t_low", DRIVERS, STATICS, 3, latitude),
        "factor 1": ("t_low", DRIVERS, STATICS, 1, latitude),
        "the first one must be t_low": ("t_low", ("u_low", "t_low"), STATICS, 4, latitude),
        r"drivers \(\)": ("t_low", (), STATICS, 4, latitude),
    }.items():
        with pytest.raises(PhysLabError, match=words):
            LatentDownscaler(*arguments)
    for words, options in {"mixing 'fft'": {"mixing": "fft"}, "patch is 4": {"patch": 4},
                           "autoencoder of widths": {"vae": (6, 6, 6)}}.items():  # fmt: skip
        with pytest.raises(PhysLabError, match=words):
            make(4, **options)
    with pytest.raises(PhysLabError, match="its place"):
        LatentDownscaler("t_low", DRIVERS, STATICS, 4, latitude, static=torch.zeros(2, 32, 32))
    with pytest.raises(PhysLabError, match="sampler 'euler'"):
        model = make(4, rows=8)
        model.sampler = "euler"
        model.downscale(cube(model, 8), members=1)


def test_progress_and_cancel(model, coarse, monkeypatch) -> None:
    monkeypatch.setattr(latent, "TOGETHER", 2)
    told: list[tuple[int, int]] = []
    model.downscale(coarse, members=2, progress=lambda *s: told.append(s))
    assert told == [(k + 1, 6) for k in range(6)]
    calls = []
    with pytest.raises(Cancelled):
        model.downscale(coarse, members=2, cancel=lambda: calls.append(0) or len(calls) > 4)
    assert len(calls) == 5
    assert model.periodic is False


def test_members_tied_to_the_coarse_field() -> None:
    model = make(4, rows=8)
    field = cube(model, 12)
    model.constraint = "add"
    for known in ({}, {"coarsening": False}):
        model.card = known
        with pytest.raises(PhysLabError, match="no block means"):
            model.downscale(field, members=1)
    model.card = {"coarsening": True}
    made = model.downscale(field, members=2)["t_low"].values.astype(float)
    weights = refine_grid(Grid.from_dataset(field), 4).area_weights
    assert np.abs(coarsen(made, 4, weights) / field["t_low"].values - 1).max() < 1e-5
    assert np.abs(coarsen(made, 4) - field["t_low"].values).max() > 1e-3  # the areas count
    model.constraint = "none"
    free = model.downscale(field, members=2)["t_low"].values
    assert np.abs(coarsen(free, 4) - field["t_low"].values).max() > 0.1
    step = np.kron(coarsen(made - free, 4), np.ones((4, 4)))
    assert np.abs(made - free - step).max() < 1e-3  # moved by one number for a coarse cell
    model.constraint = "softmax"
    with pytest.raises(PhysLabError, match="constraint 'softmax'"):
        model.downscale(field, members=1)


def test_a_method_of_the_globe_on_a_region_and_back() -> None:
    model = make(4, True, rows=8)
    globe, region = cube(model, 16), cube(make(4, rows=8), 12)
    here = model.downscale(globe, members=1)
    there = model.downscale(region, members=1)
    assert model.periodic and all(m.columns == "circular" for m in model.modules() if isinstance(m, GridConv))
    assert model.unet.periodic and model.vae.periodic and model.conditioner.periodic
    xr.testing.assert_equal(model.downscale(globe, members=1), here)
    plain = make(4, rows=8)  # the same weights, built for a region
    np.testing.assert_array_equal(plain.downscale(region, members=1)["t_low"], there["t_low"])
    np.testing.assert_array_equal(plain.downscale(globe, members=1)["t_low"], here["t_low"])
    assert not plain.periodic and all(m.columns == "replicate" for m in plain.modules() if isinstance(m, GridConv))
    for trained, field in ((model, region), (plain, globe)):
        before = trained.periodic
        with pytest.raises(Cancelled):
            trained.downscale(field, cancel=lambda: True)
        assert trained.periodic == trained.unet.periodic == before


def test_the_attributes_sampler_and_steps_count(model, coarse) -> None:
    base = model.downscale(coarse, members=1)["t_low"].values
    try:
        model.steps = 6
        more = model.downscale(coarse, members=1)["t_low"].values
        model.sampler = "ddim"
        other = model.downscale(coarse, members=1)["t_low"].values
    finally:
        model.sampler, model.steps = "heun", 3
    assert np.abs(more - base).max() > 1e-3 and np.abs(other - more).max() > 1e-3


# --- files ------------------------------------------------------------------------------------------------------------
def test_files_give_the_method_back(coarse, tmp_path) -> None:
    model = make(4, rows=8)
    model.vae.shift.fill_(0.3)
    model.vae.scale.fill_(1.4)
    model.sampler, model.steps, model.card = "ddim", 4, {"coarsening": True, "training": {"seed": 3}}
    model.constraint = "add"
    expected = model.downscale(coarse, members=2)
    back = LatentDownscaler.load(model.save(tmp_path / "whole"))
    assert not back.training and back.card == model.card and back.arguments == model.arguments
    assert (back.sampler, back.steps, back.constraint) == ("ddim", 4, "add")
    xr.testing.assert_equal(back.downscale(coarse, members=2), expected)
    half = LatentDownscaler.load(model.save(tmp_path / "half", half=True))
    assert all(t.dtype != torch.float16 for t in half.state_dict().values())
    sizes = [(tmp_path / folder / WEIGHTS).stat().st_size for folder in ("whole", "half")]
    assert sizes[1] < 0.75 * sizes[0]
    distance = np.abs(half.downscale(coarse, members=2)["t_low"] - expected["t_low"])
    assert 0 < float(distance.mean()) < 0.05
    card = json.loads((tmp_path / "half" / CARD).read_text())
    assert card["class"] == "LatentDownscaler" and card["parameters"] == sum(p.numel() for p in model.parameters())


def test_half_precision_keeps_the_units(tmp_path) -> None:
    """Pressure in Pa does not fit into float16, and a temperature of 288.1 K is not one of 288.0 K."""
    model = make(4, rows=8)
    model.mean.copy_(torch.tensor([288.1, 98000.0, 1.0])[:, None, None])
    model.std.copy_(torch.tensor([10.1, 900.3, 3e-9])[:, None, None])
    half = LatentDownscaler.load(model.save(tmp_path / "half", half=True))
    assert torch.equal(half.mean, model.mean) and torch.equal(half.std, model.std)
    assert torch.equal(half.rho, model.rho) and torch.equal(half.detail, model.detail)


def test_static_fields_of_ones_own_go_with_the_weights(tmp_path) -> None:
    torch.manual_seed(0)
    latitude, longitude = 30.125 + 0.25 * np.arange(32), 80.0 + 0.25 * np.arange(32)
    own = normal(9, 1, 32, 32)
    model = shaken(LatentDownscaler("t_low", ("t_low",), ("roughness",), 4, latitude, longitude, static=own,
                                    **SMALL, vae=(6, 6)))  # fmt: skip
    grid = Grid(latitude, longitude).coarsen(4)
    values = 280 + normal(1, 1, 8, 8).numpy()
    coords = {"latitude": grid.latitude, "longitude": grid.longitude}
    field = xr.Dataset({"t_low": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)
    made = model.downscale(field, members=1)
    np.testing.assert_allclose(made["longitude"], longitude)
    back = LatentDownscaler.load(model.save(tmp_path / "m"))
    assert torch.equal(back.static, own)
    xr.testing.assert_equal(back.downscale(field, members=1), made)
    model.static.copy_(own.flip(-1))
    assert np.abs(model.downscale(field, members=1)["t_low"] - made["t_low"]).max() > 1e-2
    with pytest.raises(FieldError, match="has learned the map of latitude"):
        back.downscale(field.assign_coords(longitude=grid.longitude + 1), members=1)
    with pytest.raises(FieldError, match="has learned one domain"):
        back.downscale(field.isel(latitude=slice(0, 7)), members=1)


def test_damaged_folders_say_so(tmp_path) -> None:
    model = make(4, rows=8)

    def broken(name: str, change) -> None:
        folder = model.save(tmp_path / name)
        change(folder)
        with pytest.raises(CheckpointError, match=f"no latent diffusion in .*{name}.*: train it and save it again"):
            LatentDownscaler.load(folder)

    def card(**changes):
        def change(folder) -> None:
            known = json.loads((folder / CARD).read_text())
            (folder / CARD).write_text(json.dumps({**known, **changes}))

        return change

    with pytest.raises(CheckpointError, match="nowhere"):
        LatentDownscaler.load(tmp_path / "nowhere")
    broken("no-weights", lambda f: (f / WEIGHTS).unlink())
    broken("no-card", lambda f: (f / CARD).unlink())
    broken("cut", lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-100]))
    broken("other-class", card(**{"class": "SLAM"}))
    broken("other-size", card(arguments={**model.arguments, "features": 12}))
    broken("other-factor", card(arguments={**model.arguments, "factor": 3}))
