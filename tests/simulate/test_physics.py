"""The forcing and the water cycle of the laboratory atmosphere against closed forms and published numbers."""

import numpy as np
import pytest

pytest.importorskip("dinosaur", reason="needs the extra physlab[simulate]")

from physlab import constants
from physlab.simulate import physics, surface
from physlab.simulate.physics import Physics


@pytest.mark.parametrize(("celsius", "hectopascal"), [(0.0, 6.112), (10.0, 12.27), (20.0, 23.37), (30.0, 42.43)])
def test_saturation_matches_the_smithsonian_tables(celsius, hectopascal):
    pressure = 1e5
    vapour = hectopascal * 100
    expected = constants.EPSILON * vapour / (pressure - (1 - constants.EPSILON) * vapour)
    got = float(physics.saturation_humidity(celsius + 273.15, pressure))
    assert got == pytest.approx(expected, rel=3e-3)  # Bolton states 0.3 % between -35 and 35 degrees


def test_equilibrium_temperature_of_held_and_suarez():
    sin_lat = np.sin(np.deg2rad([[0.0, 45.0, 90.0]]))
    surface_pressure = np.full((1, 3), 1e5)
    low = np.asarray(physics.equilibrium_temperature(Physics(), np.array([1.0]), sin_lat, surface_pressure))[0, 0]
    np.testing.assert_allclose(low, [315.0, 285.0, 255.0], rtol=1e-6)
    high = np.asarray(physics.equilibrium_temperature(Physics(), np.array([0.05]), sin_lat, surface_pressure))
    np.testing.assert_allclose(high, 200.0)


def test_relaxation_and_friction_rates():
    sigma, sin_lat = np.array([0.5, 0.7, 1.0]), np.array([[0.0, 1.0]])
    rate = physics.relaxation_rate(Physics(), sigma, sin_lat) * physics.DAY
    np.testing.assert_allclose(rate[:, 0], [[1 / 40] * 2, [1 / 40] * 2, [1 / 4, 1 / 40]], rtol=1e-12)
    # friction in one step of a day at the surface: implicit, 1 / (1 + 1)
    np.testing.assert_allclose(physics.friction(Physics(), sigma, physics.DAY).ravel(), [1, 1, 0.5])


def test_filling_keeps_the_global_water():
    rng = np.random.default_rng(0)
    humidity = rng.normal(1e-3, 2e-3, (4, 6, 5)).astype(np.float32)
    mass = rng.uniform(1e3, 2e3, humidity.shape).astype(np.float32)
    area = np.full((6, 5), 1 / 30, np.float32)
    filled, moved = physics.fill(humidity, mass, area)
    assert float(filled.min()) >= 0
    assert float((filled * mass * area).sum()) == pytest.approx(float((humidity * mass * area).sum()), rel=1e-5)
    assert float((np.maximum(humidity, 0) * mass * area).sum()) > 1.05 * float((humidity * mass * area).sum())
    assert float((moved * area).sum()) > 0


def test_step_closes_the_water_budget_and_evaporates_only_over_the_sea():
    rng = np.random.default_rng(1)
    layers, shape = 4, (6, 5)
    sigma, thickness = (np.arange(layers) + 0.5) / layers, np.full(layers, 1 / layers)
    sin_lat = np.broadcast_to(np.linspace(-0.9, 0.9, 5), shape)
    sea = (rng.random(shape) < 0.5).astype(np.float64)
    pressure = rng.uniform(9.5e4, 1.02e5, shape)
    area = np.full(shape, 1 / sin_lat.size)
    temperature = rng.uniform(250, 305, (layers, *shape))
    humidity = rng.uniform(0, 8e-3, (layers, *shape))
    wind = rng.uniform(0, 15, shape)
    _, new, water = physics.step(
        Physics(), sigma, thickness, sin_lat, sea, area, 1800.0, temperature, humidity, wind, pressure
    )
    mass = thickness[:, None, None] * pressure / constants.GRAVITY
    change = np.asarray(((new - humidity) * mass).sum(0))
    np.testing.assert_allclose(change, np.asarray(water["evaporation"] - water["precipitation"]), atol=2e-5)
    assert float(np.abs(np.asarray(water["evaporation"])[sea == 0]).max()) == 0
    assert float(np.asarray(water["evaporation"])[sea == 1].max()) > 0
    assert float(np.asarray(water["precipitation"]).max()) > 0


@pytest.mark.slow
def test_surface_is_where_the_earth_has_it():
    latitude, longitude = np.linspace(-88, 88, 64), np.arange(0, 360, 2.8125)
    height = surface.orography(latitude[:, None], longitude[None, :])
    row, column = np.unravel_index(height.argmax(), height.shape)
    assert abs(latitude[row] - 33) < 4 and abs(longitude[column] - 88) < 4  # Tibet
    sea = surface.sea_fraction(latitude, longitude)
    weights = np.cos(np.deg2rad(latitude))[:, None] * np.ones_like(sea)
    assert (sea * weights).sum() / weights.sum() == pytest.approx(0.71, abs=0.02)  # 71 % of the Earth is sea
