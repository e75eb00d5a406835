"""The nature run at classroom size (T21): transforms, restarts, budgets, files."""

import json

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("dinosaur", reason="needs the extra physlab[simulate]")

from dinosaur import spherical_harmonic

from physlab.errors import PhysLabError
from physlab.simulate import nature
from physlab.simulate.harmonics import FourierSphericalHarmonics
from physlab.simulate.run import NatureRun, _claim, _Models, simulate
from physlab.store import lock

SETTINGS = {"preset": "t21", "spinup_t42": 20, "spinup": 0, "piece": 1, "hourly": (0, 1), "forecasts": True}


@pytest.mark.slow
@pytest.mark.parametrize("truncation", [(21, 16), (42, 32)])
def test_fft_transforms_equal_those_of_dinosaur(truncation):
    theirs = spherical_harmonic.Grid.construct(*truncation)
    ours = spherical_harmonic.Grid.construct(*truncation, spherical_harmonics_impl=FourierSphericalHarmonics)
    rng = np.random.default_rng(0)
    modal = (rng.standard_normal((3, *theirs.modal_shape)) * theirs.mask).astype(np.float32)
    nodal = rng.standard_normal((3, *theirs.nodal_shape)).astype(np.float32)
    np.testing.assert_allclose(ours.to_nodal(modal), theirs.to_nodal(modal), atol=2e-4)
    np.testing.assert_allclose(ours.to_modal(nodal) * theirs.mask, theirs.to_modal(nodal) * theirs.mask, atol=1e-5)
    np.testing.assert_allclose(ours.to_modal(ours.to_nodal(modal)), modal, atol=1e-4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of two days in one go, and the same in two sittings."""
    whole, pieces = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("pieces")
    result = simulate(NatureRun(days=2, **SETTINGS), whole, progress=False)
    simulate(NatureRun(days=1, **SETTINGS), pieces, progress=False)
    (pieces / "surface-00001.nc.part").write_bytes(b"left by a crash")
    simulate(NatureRun(days=2, **SETTINGS), pieces, progress=False)
    return whole, pieces, result


@pytest.mark.slow
def test_restart_gives_the_same_run(runs):
    whole, pieces, _ = runs
    for name in ("surface-00001.nc", "states-00001.nc", "forecasts-00001.nc"):
        with xr.open_dataset(whole / name) as a, xr.open_dataset(pieces / name) as b:
            xr.testing.assert_identical(a.load(), b.load())


@pytest.mark.slow
def test_water_and_mass_close(runs):
    result = runs[2]
    assert result["days"] == 2
    assert result["evaporation (kg m-2 day-1)"] > 0.1
    # the dynamics advect in advective form: at T21 they lose some tenths of a per cent of the column a day (T85: 2e-5)
    assert abs(result["unexplained (kg m-2 day-1)"]) < 0.25 * result["evaporation (kg m-2 day-1)"]
    assert abs(result["mass drift removed (Pa day-1)"]) < 200  # 0.2 % of the mean pressure; 1e-6 at T85


@pytest.mark.slow
def test_files_follow_cf_and_the_schedule(runs):
    first, second = (xr.load_dataset(runs[0] / f"surface-0000{day}.nc") for day in (0, 1))
    assert first.sizes["time"] == 24
    assert list(second.time.dt.hour.values) == [0, 1, 2, 6, 12, 18]
    assert first.tcw.attrs["units"] == "kg m-2" and first.latitude.attrs["standard_name"] == "latitude"
    assert json.loads(first.attrs["physics"])["t_cap"] == 300.0
    assert float(first.tcw.min()) >= 0
    # the hour's precipitation and evaporation explain the hour's change of the global mean
    mean = first[["tcw", "e", "tp"]].weighted(np.cos(np.deg2rad(first.latitude))).mean(("latitude", "longitude"))
    assert np.corrcoef(mean.tcw.diff("time").values, (mean.e - mean.tp).values[1:])[0, 1] > 0.95
    states, ahead = (xr.load_dataset(runs[0] / f"{kind}-00000.nc") for kind in ("states", "forecasts"))
    assert ahead.time.values[0] - states.time.values[0] == np.timedelta64(24, "h")
    assert states.z.attrs["units"] == "m2 s-2"
    assert bool((states.z.isel(time=0).diff("level") < 0).all())  # geopotential falls with pressure


@pytest.mark.slow
def test_another_configuration_is_refused(runs):
    with pytest.raises(PhysLabError, match="another configuration"):
        simulate(NatureRun(days=2, **{**SETTINGS, "seed": 5}), runs[0], progress=False)


@pytest.mark.slow
def test_broken_restart_says_what_to_do(runs, tmp_path):
    (tmp_path / "restart.npz").write_bytes(b"not a restart")
    with pytest.raises(PhysLabError, match="remove it"):
        simulate(NatureRun(days=2, **SETTINGS), tmp_path, progress=False)


@pytest.mark.parametrize("bad", [{"preset": "t1000"}, {"file_format": "csv"}, {"days": 0}])
def test_bad_settings_are_named(bad):
    with pytest.raises(PhysLabError):
        NatureRun(**bad)


class Clock:
    """A model whose state is the hour."""

    def state(self, state):
        return state["hour"]

    def advance(self, state, hours):
        return {"hour": state["hour"] + hours, "budget": {}}

    def regrid(self, state, _other):
        return state

    def empty_budget(self):
        return {}

    def fix_mass(self, state, _target):
        return state, 0.0

    def surface(self, state):
        return state["hour"]


@pytest.mark.parametrize(("every", "starts"), [(24, [0]), (12, [0, 12]), (6, [0, 6, 12, 18])])
def test_forecasts_are_as_many_as_asked(every, starts):
    """A day of the run with a model that only counts hours: starts, lead and valid times."""
    models = _Models.__new__(_Models)
    models.run, models.start = NatureRun(**SETTINGS, forecast_every=every), np.datetime64("2001-01-01T00", "ns")
    models.truth = models.forecast = models.view = models.forecast_view = Clock()
    frames = {"surface": [], "states": [], "forecasts": []}
    state = models.day(3, {"hour": 72, "budget": {}}, {"pressure": 0.0, "mass": 0.0}, frames)
    assert state["hour"] == 96 and [hour for _, hour in frames["states"]] == [72, 78, 84, 90]
    hour = np.timedelta64(1, "h")
    assert [(time - models.start) / hour for time, _ in frames["forecasts"]] == [96 + s for s in starts]
    assert [ahead for _, ahead in frames["forecasts"]] == [96 + s for s in starts]  # what the model had to count to
    models.run = NatureRun(**{**SETTINGS, "forecasts": False}, forecast_every=every)
    frames = {"surface": [], "states": [], "forecasts": []}
    models.day(3, {"hour": 72, "budget": {}}, {"pressure": 0.0, "mass": 0.0}, frames)
    assert not frames["forecasts"] and len(frames["states"]) == 4


def test_runs_from_before_the_choice_of_forecasts_go_on(tmp_path):
    _claim(NatureRun(days=2, **SETTINGS), tmp_path)
    path = tmp_path / "run.json"
    config = json.loads(path.read_text())
    assert config.pop("forecast_every") == 24
    path.write_text(json.dumps(config))
    _claim(NatureRun(days=9, **SETTINGS), tmp_path)  # longer, and midnight, as it was
    assert "forecast_every" not in json.loads(path.read_text())  # what is there is left
    with pytest.raises(PhysLabError, match="another configuration"):
        _claim(NatureRun(days=2, **SETTINGS, forecast_every=6), tmp_path)
    _claim(NatureRun(days=2, **SETTINGS, forecast_every=6), tmp_path / "new")
    with pytest.raises(PhysLabError, match="another configuration"):
        _claim(NatureRun(days=2, **SETTINGS), tmp_path / "new")
    with pytest.raises(PhysLabError, match="forecast_every is 5 hours: use 6, 12 or 24"):
        NatureRun(forecast_every=5)


@pytest.mark.slow
def test_an_interrupted_spin_up_goes_on_and_gives_the_same_run(tmp_path, monkeypatch):
    settings = {**SETTINGS, "spinup_t42": 10, "spinup": 1, "forecasts": False, "days": 1}
    advance, calls = nature.Atmosphere.advance, []

    def interrupted(self, state, hours):
        calls.append(hours)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return advance(self, state, hours)

    monkeypatch.setattr(nature.Atmosphere, "advance", interrupted)
    for steps in (1, 3):  # within the coarse part, and within the run's own
        with pytest.raises(KeyboardInterrupt):
            simulate(NatureRun(**settings), tmp_path / "pieces", progress=False)
        assert sorted(p.name for p in (tmp_path / "pieces").iterdir()) == ["run.json", "spinup.npz"]
        assert len(calls) == steps + 1
    simulate(NatureRun(**settings), tmp_path / "pieces", progress=False)
    assert calls[:5] == [120, 120, 120, 24, 24] and not (tmp_path / "pieces" / "spinup.npz").exists()
    monkeypatch.undo()
    simulate(NatureRun(**settings), tmp_path / "whole", progress=False)
    one, two = (xr.load_dataset(tmp_path / name / "surface-00000.nc") for name in ("pieces", "whole"))
    xr.testing.assert_identical(one, two)


@pytest.mark.slow
def test_two_runs_in_one_folder_at_once_are_refused(runs):
    with lock(runs[0]), pytest.raises(PhysLabError, match="another process is writing"):
        simulate(NatureRun(days=2, **SETTINGS), runs[0], progress=False)


@pytest.mark.slow
def test_a_damaged_configuration_says_so(runs, tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(PhysLabError, match=r"run\.json is damaged"):
        simulate(NatureRun(days=2, **SETTINGS), tmp_path, progress=False)
