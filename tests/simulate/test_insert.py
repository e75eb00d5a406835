"""From an analysis back into the model: the model shows what it was given, keeps its balance and its energy."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

jax = pytest.importorskip("jax")
pytest.importorskip("dinosaur")

from physlab.errors import FieldError, PhysLabError  # noqa: E402
from physlab.simulate import diagnostics, nature  # noqa: E402
from physlab.simulate import insert as module  # noqa: E402
from physlab.simulate.insert import forecast_from, insert, ramp  # noqa: E402

smallest = module._smallest

CP, R, T0, P0 = 1004.0, 287.0, 288.0, 1e5


@pytest.fixture(scope="module")
def model():
    return nature.atmosphere("t21")


@pytest.fixture(scope="module")
def states(model):
    """Three hours before a background, the background, and other weather of the same hour, a little away."""
    first = model.advance(model.rest(0), 24 * 90)  # weather has come up
    before = model.advance(first, 9)
    background = model.advance(before, 3)
    return before, background, model.advance(background, 6)


def seen(model, state) -> xr.Dataset:
    view = diagnostics.of(model)
    return view.dataset([view.state(state)], [np.datetime64("2001-01-31")]).isel(time=0)


def energy(model, a: xr.Dataset, b: xr.Dataset) -> float:
    """Total energy norm of a difference, squared (Ehrendorfer and Errico 1995): wind, temperature, pressure."""
    d = a - b
    column = (d.u**2 + d.v**2 + CP / T0 * d.t**2).mean("level") + R * T0 * (d.sp / P0) ** 2
    return float((column * model.area.T).sum())


@pytest.mark.slow
def test_the_model_shows_the_analysis(model, states):
    _, background, other = states
    wanted, first = seen(model, other), seen(model, background)
    found = seen(model, insert(model, background, wanted))
    assert np.sqrt(energy(model, found, wanted) / energy(model, first, wanted)) < 0.01
    one = seen(model, insert(model, background, wanted, sweeps=1))
    assert energy(model, found, wanted) < energy(model, one, wanted), "sweeps get closer"


@pytest.mark.slow
def test_what_layers_cannot_show_stays_small(model, states, monkeypatch):
    """850 and 925 hPa and the lowest layer ask for three things of two layers; no level sees the first layer."""
    _, background, _ = states
    wanted = seen(model, background).copy(deep=True)
    for level, change in ((850, 2.0), (925, -2.0)):
        wanted["t"].loc[{"level": level}] += change
    old, size = np.asarray(diagnostics.layers(model, background["dynamics"])[2]), {}
    for nugget in (module.NUGGET, 1e-4):
        monkeypatch.setattr(module, "_smallest", partial(smallest, nugget=nugget))
        new = np.asarray(diagnostics.layers(model, insert(model, background, wanted, sweeps=4)["dynamics"])[2])
        size[nugget] = np.abs(new - old).max()
        assert np.abs(new - old)[0].max() < 0.01 * size[nugget]
    assert size[module.NUGGET] < 8.0 and size[1e-4] > 2 * size[module.NUGGET], size


@pytest.mark.slow
def test_no_increment_no_change(model, states):
    _, background, _ = states
    found = insert(model, background, seen(model, background))
    for new, old in zip(jax.tree.leaves(found["dynamics"]), jax.tree.leaves(background["dynamics"]), strict=True):
        assert np.abs(np.asarray(new - old)).max() <= 2e-4 * np.abs(np.asarray(old)).max()


@pytest.mark.slow
def test_a_part_of_the_state_leaves_the_rest(model, states):
    _, background, other = states
    found = insert(model, background, seen(model, other)[["t"]])["dynamics"]
    old = background["dynamics"]
    assert np.array_equal(found.vorticity, old.vorticity) and np.array_equal(found.tracers["q"], old.tracers["q"])
    assert np.array_equal(found.log_surface_pressure, old.log_surface_pressure)
    assert not np.allclose(found.temperature_variation, old.temperature_variation)


def pressure_noise(model, state) -> float:
    """Mean |change of surface pressure| from step to step (Pa) over three hours: what rings does not drift."""
    view, size = diagnostics.of(model), []
    pressure = np.asarray(view.surface(state)["sp"])
    for _ in range(6):
        state = model.advance(state, 0.5)
        new = np.asarray(view.surface(state)["sp"])
        size.append(model.mean(np.abs(new - pressure)))
        pressure = new
    return float(np.mean(size))


@pytest.mark.slow
def test_an_update_over_six_hours_does_not_ring(model, states):
    before, background, other = states
    first, free = seen(model, background), pressure_noise(model, background)
    analysis = first + 0.3 * (seen(model, other) - first)
    analysed = insert(model, background, analysis)
    late, end = forecast_from(model, before, background, analysed, 6)
    updated = pressure_noise(model, late)
    assert updated < 1.5 * free, (updated, free)
    assert pressure_noise(model, analysed) > updated, "put in at once it rings more"
    assert energy(model, seen(model, end), seen(model, model.advance(analysed, 6))) < 0.25 * energy(
        model, seen(model, model.advance(background, 6)), seen(model, model.advance(analysed, 6))
    ), "both are the forecast of the analysis"


def test_the_update_feeds_no_wave():
    """A wave gets a share of its correction that is never negative; equal weights would give -0.22 at 4.2 hours."""
    steps, window = 36, 6.0
    from_middle = window * ((np.arange(steps) + 0.5) / steps - 0.5)
    periods = np.geomspace(0.5, 100, 400)
    response = np.cos(2 * np.pi * from_middle / periods[:, None]) @ np.stack(
        [ramp(steps), np.full(steps, 1 / steps)], 1
    )
    assert ramp(steps).sum() == pytest.approx(1)
    assert response[:, 0].min() > -0.002 and response[-1, 0] == pytest.approx(1, abs=0.01)
    assert response[:, 1].min() == pytest.approx(-0.217, abs=0.005)
    assert 4.0 < periods[response[:, 1].argmin()] < 4.4


@pytest.mark.slow
def test_refusals_say_what_to_do(model, states):
    _, background, _ = states
    good = seen(model, background)
    with pytest.raises(FieldError, match="model t21 has 32"):
        insert(model, background, good.isel(latitude=slice(4, None)))
    with pytest.raises(FieldError, match="the model takes u, v, t, q"):
        insert(model, background, good[["z"]])
    bad = good.copy(deep=True)
    bad["t"][0, 3, 4] = np.nan
    with pytest.raises(FieldError, match="'t' of the analysis holds 1 missing"):
        insert(model, background, bad)
    with pytest.raises(FieldError, match="pass one time"):
        insert(model, background, xr.concat([good, good], "time"))
    with pytest.raises(PhysLabError, match="shorten the window"):
        forecast_from(model, background, background, background, 3)


@pytest.mark.slow
def test_a_run_starts_from_an_analysis(model, states, tmp_path):
    from physlab.simulate.run import NatureRun, simulate

    _, _, other = states
    analysis = seen(model, other).assign_coords(time=np.datetime64("2030-05-06T00"))
    analysis.to_netcdf(tmp_path / "analysis.nc")
    run = NatureRun("t21", days=1, spinup_t42=5, spinup=1, hourly=(0, 0), forecasts=False,
                    start=str(tmp_path / "analysis.nc"))  # fmt: skip
    simulate(run, tmp_path / "run", progress=False)
    with xr.open_dataset(tmp_path / "run/states-00000.nc") as states_made:
        first = states_made.isel(time=0).load()
    assert first["time"].values == np.datetime64("2030-05-06T00")
    for name, size in (("z", 60.0), ("u", 0.5), ("sp", 20.0)):
        assert abs(first[name] - analysis[name]).mean() < size, name
    analysis.expand_dims(time=[np.datetime64("2030-05-06"), np.datetime64("2030-05-07")]).to_netcdf(tmp_path / "two.nc")
    with pytest.raises(PhysLabError, match="2 values of time"):
        simulate(NatureRun("t21", days=1, start=str(tmp_path / "two.nc")), tmp_path / "other", progress=False)
