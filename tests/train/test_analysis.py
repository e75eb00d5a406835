"""Methods of data assimilation on pairs of one's own: any grid and channels, members as backgrounds, regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab.cli import main
from physlab.data.observe import observe
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.train.analysis import PairRequest, own_pairs, train_on_pairs
from physlab.train.analysis.compare import error_of, oi, seen
from physlab.train.assimilation import AssimilationSettings

SETTINGS = AssimilationSettings(steps=6, batch=4, precision="fp32", validate_every=3)
SMALL = {
    "adas": {"width": 8, "growth": (1.0,), "heads": 2}, "convcnp": {"width": 8, "blocks": 1},
    "fnp": {"width": 4, "layers": 1, "hidden": 8}, "vaevar": {"latent": 3, "vae_width": 8, "iterations": 3},
    "sda": {"levels": (8, 16), "steps": 2}, "diffda": {"levels": (8, 16), "steps": 2},
    "slam": {"width": 8, "levels": (8, 16)},
    "phyda": {"width": 8, "levels": (8, 16)},
}  # fmt: skip


def states(
    times: int = 20, members: int = 0, shape: tuple[int, int] = (16, 32), region: bool = False, seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Truth, and backgrounds with smooth errors; t on two levels and a surface field."""
    rng = np.random.default_rng(seed)
    height, width = shape
    latitude = np.linspace(40, 60, height) if region else 90 - 180 / height * (np.arange(height) + 0.5)
    longitude = np.linspace(-10, 30, width) if region else 360 / width * np.arange(width)
    time = np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(12, "h")

    def smooth(*lead: int) -> np.ndarray:
        modes = np.fft.fft2(rng.standard_normal((*lead, height, width)))
        modes[..., 4 : height - 3, :] = modes[..., :, 4 : width - 3] = 0
        x = np.fft.ifft2(modes).real
        return x / x.std(axis=(-2, -1), keepdims=True)

    coords = {"time": time, "level": ("level", [850.0, 500.0], {"units": "hPa"}), "latitude": latitude,
              "longitude": longitude}  # fmt: skip
    truth = {"t": 270 + 10 * smooth(times, 2), "msl": 1e5 + 900 * smooth(times)}
    lead = (members,) if members else ()
    back = {"t": truth["t"] + 2 * smooth(*lead, times, 2), "msl": truth["msl"] + 150 * smooth(*lead, times)}
    dims = {"t": ("time", "level", "latitude", "longitude"), "msl": ("time", "latitude", "longitude")}
    units = {"t": "K", "msl": "Pa"}
    more = {"member": np.arange(members)} if members else {}
    return (
        xr.Dataset({n: (dims[n], x.astype(np.float32), {"units": units[n]}) for n, x in truth.items()}, coords),
        xr.Dataset({n: ((*(("member",) if members else ()), *dims[n]), x.astype(np.float32), {"units": units[n]})
                    for n, x in back.items()}, {**coords, **more}),
    )  # fmt: skip


def written(folder, **options) -> PairRequest:
    """Files of these states."""
    truth, background = states(**options)
    truth.to_netcdf(folder / "truth.nc")
    background.to_netcdf(folder / "background.nc")
    return PairRequest(str(folder / "truth.nc"), str(folder / "background.nc"))


def test_pairs_are_split_by_time_and_standardised_by_the_training_block(tmp_path) -> None:
    request = written(tmp_path, members=3)
    data = own_pairs(request)
    assert data.space.names == ("t850", "t500", "msl") and data.space.shape == (3, 16, 32)
    blocks = data.split["blocks"]
    assert data.split["gap_hours"] == 24 and blocks["train"]["last"] < blocks["val"]["first"] < blocks["test"]["first"]
    assert len(data.train) == 3 * blocks["train"]["samples"] and len(data.test) == 3 * blocks["test"]["samples"]
    area = data.space.area
    one = (data.train.increment.float().square() * area).mean((0, 2, 3))
    torch.testing.assert_close(one, torch.ones(3), atol=5e-3, rtol=0)
    truth = xr.open_dataset(request.truth)
    first = data.test.truth(0)
    there = truth.sel(time=blocks["test"]["first"])
    assert float((first[0] - torch.from_numpy(there["t"].sel(level=850).values)).abs().max()) < 0.05


def test_one_ensemble_is_truth_and_background(tmp_path) -> None:
    _, ensemble = states(times=8, members=4)
    ensemble.to_netcdf(tmp_path / "ensemble.nc")
    path = str(tmp_path / "ensemble.nc")
    data = own_pairs(PairRequest(path, path, ("t",), member=1, gap=12.0))
    samples = {n: b["samples"] for n, b in data.split["blocks"].items()}
    assert len(data.train) == 6 * samples["train"] and len(data.val) == 3 * samples["val"]
    with_truth = torch.from_numpy(ensemble["t"].isel(member=1, time=-1).values)
    assert float((data.test.truth(-1) - with_truth).abs().max()) < 0.05
    train = [data.train.truth(k) for k in range(len(data.train))]
    withheld = torch.from_numpy(ensemble["t"].isel(member=1).values)
    assert all(float((x - w).abs().max()) > 0.5 for x in train for w in withheld)
    assert any("member 1 is withheld" in line for line in data.lines)


def other(ds: xr.Dataset, what: str) -> xr.Dataset:
    """A background that does not fit."""
    if what == "times":
        return ds.assign_coords(time=ds["time"] + np.timedelta64(100, "D"))
    if what == "grid":
        return ds.isel(longitude=slice(0, 20))
    if what == "units":
        return ds.assign(msl=(ds["msl"].dims, ds["msl"].values, {"units": "hPa"}))
    if what == "missing":
        return ds.where(ds["time"] != ds["time"][3])
    return ds.isel(time=0, drop=True) if what == "no time" else ds.drop_vars("msl")


@pytest.mark.parametrize(("what", "said"), [
    ("times", "no time in common"), ("grid", "different grids"), ("no time", "has no times"),
    ("missing", "missing or infinite values, the first at 2001-01-02T12:00"), ("variable", "no msl in both files"),
])  # fmt: skip
def test_what_does_not_fit_is_said(tmp_path, what: str, said: str) -> None:
    request = written(tmp_path)
    other(states()[1], what).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(FieldError, match=said) as caught:
        own_pairs(PairRequest(request.truth, str(tmp_path / "other.nc"), ("t", "msl")))
    assert "\n" not in str(caught.value)


def test_requests_that_make_no_sense_are_refused(tmp_path) -> None:
    request = written(tmp_path)
    for changes, said in (({"background": ""}, "--background"), ({"held_out": 0.7}, "held_out"),
                          ({"background": request.truth}, "has 0 members"), ({"levels": (300.0,)}, "300 hPa"),
                          ({"period": ("2001-01-01", "2001-01-01T12")}, "2 times")):  # fmt: skip
        with pytest.raises(FieldError, match=said):
            own_pairs(PairRequest(**{"truth": request.truth, "background": request.background, **changes}))


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_method_trains_on_a_region_and_corrects_a_larger_state(tmp_path, name: str) -> None:
    """Odd numbers of points, two variables; the folder works on the user's grid, what lies outside stays as it is."""
    request = written(tmp_path, shape=(15, 21), region=True, times=14)
    options = SMALL[name]
    if name in ("slam", "phyda"):
        train_on_pairs("vaevar", request, tmp_path / "m-vaevar", SETTINGS, options=SMALL["vaevar"], device="cpu")
    result = train_on_pairs(name, request, tmp_path / "m", SETTINGS, options=options, device="cpu")
    kinds = [row.kind for row in result.rows]
    assert kinds.count("trained") == kinds.count("control") == 1 and kinds[0] == "baseline"
    assert all(np.isfinite(v) for row in result.rows for v in row.scores.values())
    assert result.rows[0].scores[0.02] == 1.0
    for word in ("closed along longitude",) if name in ("fnp", "phyda") else ("nothing wraps around",):
        assert any(word in line for line in result.notes)
    method = physlab.load_model(tmp_path / "m")
    assert method.card["data"]["channels"] == ["t850", "t500", "msl"] and method.card["data"]["units"]["msl"] == "Pa"
    assert (tmp_path / "m" / "report.html").read_text().count("<tr class=trained>") == 2
    truth, background = states(shape=(15, 21), region=True, times=14)
    state = background.isel(time=[-1]).pad(latitude=(0, 1), mode="edge")
    state = state.assign_coords(latitude=np.append(background["latitude"].values, 61.5))
    analysis = method.analyse(state, observe(truth.isel(time=-1), 0.1, error=0.1, seed=3), members=None)
    assert analysis.sizes["latitude"] == 16 and analysis["t"].dtype == np.float32
    edge = analysis["t"].isel(latitude=-1) - state["t"].isel(latitude=-1)
    assert float(abs(edge).max()) == 0.0


@pytest.mark.slow
def test_learning_beats_the_control_and_optimal_interpolation_knows_its_radius(tmp_path) -> None:
    request = written(tmp_path, times=60, shape=(8, 16))
    settings = AssimilationSettings(steps=150, batch=8, precision="fp32", shares=(0.05, 0.3))
    result = train_on_pairs("convcnp", request, tmp_path / "m", settings, options={"width": 16, "blocks": 2},
                            device="cpu")  # fmt: skip
    row = {r.kind: r for r in result.rows}
    assert row["trained"].scores[0.1] < 0.97 < row["control"].scores[0.1]
    assert any(r.name.startswith("optimal interpolation") and r.scores[0.1] < 1 for r in result.rows)
    again = train_on_pairs("convcnp", request, tmp_path / "again", SETTINGS, options={"width": 16, "blocks": 2},
                           start=tmp_path / "m", device="cpu")  # fmt: skip
    mine = next(r for r in again.rows if r.kind == "trained")
    assert mine.scores[0.1] < 0.98  # six steps from random weights give about 1
    for start, said in ((tmp_path / "m", "start Adas from its own kind"),):
        with pytest.raises(CheckpointError, match=said):
            train_on_pairs("adas", request, tmp_path / "x", SETTINGS, options=SMALL["adas"], start=start, device="cpu")
    with pytest.raises(CheckpointError, match="differs at"):
        train_on_pairs("convcnp", request, tmp_path / "x", SETTINGS, options=SMALL["convcnp"], start=tmp_path / "m",
                       device="cpu")  # fmt: skip
    with pytest.raises(PhysLabError, match="is there already"):
        train_on_pairs("convcnp", request, tmp_path / "m", SETTINGS, device="cpu")


def test_optimal_interpolation_is_the_formula(tmp_path) -> None:
    """At an observed point without error it is the observation; far away it is the background."""
    data = own_pairs(written(tmp_path, region=True, times=12))
    _, increment, columns = seen(data.test, 0.02, noise=0.0)
    made = oi(data.space, columns, 200e3)
    at = columns.mask.expand_as(made) > 0
    torch.testing.assert_close(made[at], increment[at], atol=2e-2, rtol=0)
    assert float(made.abs().amin()) == 0.0
    assert error_of(data.space, increment, increment)[0] == 0.0


def test_the_command(tmp_path, capsys) -> None:
    request = written(tmp_path, times=12, shape=(8, 16))
    main(["train", "adas", request.truth, str(tmp_path / "m"), "--background", request.background, "--steps", "2",
          "--variable", "t", "--device", "cpu"])  # fmt: skip
    said = capsys.readouterr()
    assert "without observations" in said.out and "Channels: t850, t500" in said.err
    assert (tmp_path / "m" / "scores.csv").is_file()
    report = (tmp_path / "m" / "report.html").read_text()  # an analysis, errors by share and by scale
    assert report.count("src='data:image/png") == 3
    with pytest.raises(SystemExit):
        main(["train", "linear", request.truth, str(tmp_path / "x"), "--background", request.background])
    assert "--background is for adas" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real_data
def test_era5_members(real_data) -> None:
    """The real ensemble: ten members at four times."""
    data = own_pairs(PairRequest("era5-ensemble", "era5-ensemble"))
    assert data.space.names == ("z850", "z500", "t850", "t500") and data.space.shape == (4, 61, 120)
    assert (len(data.train), len(data.val), len(data.test)) == (144, 9, 9)
