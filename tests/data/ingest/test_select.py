"""Regions and periods: over Greenwich, over the date line, in every counting, order and calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from physlab.data import period, region
from physlab.errors import FieldError

COUNTINGS = {
    "from 0": np.arange(0.0, 360, 2),
    "from -180": np.arange(-180.0, 180, 2),
    "from 352, then 0": np.r_[np.arange(352.0, 360, 2), np.arange(0.0, 352, 2)],
    "falling": np.arange(358.0, -1, -2),
    "single precision": np.arange(0, 360, 2, dtype="float32"),
}


def world(longitude: np.ndarray, falling: bool = False) -> xr.Dataset:
    """A field whose value names its place: 1000 x latitude + longitude from 0."""
    latitude = np.arange(-90.0, 91, 2)[:: -1 if falling else 1]
    values = 1000 * latitude[:, None] + (longitude % 360)[None]
    return xr.Dataset({"t2m": (("latitude", "longitude"), values)}, {"latitude": latitude, "longitude": longitude})


@pytest.mark.parametrize("falling", [True, False])
@pytest.mark.parametrize("counting", COUNTINGS)
@pytest.mark.parametrize(
    ("west", "east", "places"),
    [
        (-8, 2, [352, 354, 356, 358, 0, 2]),
        (352, 2, [352, 354, 356, 358, 0, 2]),
        (352, 362, [352, 354, 356, 358, 0, 2]),
        (176, -176, [176, 178, 180, 182, 184]),
        (10, 14, [10, 12, 14]),
        (-100, -95, [260, 262, 264]),
    ],
)
def test_a_region_is_the_same_place_however_longitudes_are_counted(counting, west, east, places, falling) -> None:
    ds = world(COUNTINGS[counting], falling)
    part = region(ds, 50, 54, west, east)
    steps = np.diff(part["longitude"])
    assert (steps > 0).all() or (steps < 0).all()
    assert sorted(part["longitude"].values % 360) == sorted(places)
    assert sorted(part["latitude"].values) == [50, 52, 54] and (part["latitude"][0] > part["latitude"][-1]) == falling
    expected = 1000 * part["latitude"] + part["longitude"] % 360
    np.testing.assert_allclose(part["t2m"].transpose(*expected.dims), expected, rtol=1e-6)
    assert part["longitude"].dtype == ds["longitude"].dtype


def test_what_is_in_one_piece_stays_as_stored_and_lazy() -> None:
    ds = world(COUNTINGS["from 0"]).chunk(latitude=10)
    assert region(ds, -90, 90, -180, 180)["longitude"].identical(ds["longitude"])
    part = region(ds, 0, 10, -20, -10)
    assert part["longitude"].values.tolist() == [340, 342, 344, 346, 348, 350] and part["t2m"].chunks
    assert region(ds, 0, 10, -4, 2)["longitude"].values.tolist() == [-4, -2, 0, 2]


def test_a_region_of_a_projected_grid_is_the_smallest_block_around_it() -> None:
    y, x = np.arange(6.0), np.arange(8.0)
    latitude, longitude = np.meshgrid(50 + y, 355 + x, indexing="ij")
    ds = xr.Dataset({"t": (("y", "x"), latitude)}, {"y": y, "x": x, "latitude": (("y", "x"), latitude),
                    "longitude": (("y", "x"), longitude % 360)})  # fmt: skip
    part = region(ds, 51, 53, -2, 1)
    assert part["y"].values.tolist() == [1, 2, 3] and part["x"].values.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("edges", [(50, 40, 0, 10), (0, 10, 5, 5), (-100, 0, 0, 10), (0.5, 1.5, 0, 10)])
def test_an_empty_region_is_refused_in_words(edges) -> None:
    with pytest.raises(FieldError, match="region") as error:
        region(world(COUNTINGS["from 0"]), *edges)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day", "julian"])
def test_a_period_takes_whole_days_and_months_in_any_calendar(calendar) -> None:
    times = xr.date_range("2001-02-27", periods=20, freq="6h", calendar=calendar)
    ds = xr.Dataset({"t": ("time", np.arange(20.0))}, {"time": times}).chunk(time=5)
    assert period(ds, "2001-02-28", "2001-02-28")["t"].values.tolist() == [4, 5, 6, 7] and ds["t"].chunks
    first = next(i for i, t in enumerate(times) if t.month == 3)
    assert period(ds, "2001-03", "2001-03")["t"].values.tolist() == list(range(first, 20))


def test_one_time_is_inside_or_refused_and_so_is_nonsense() -> None:
    ds = xr.Dataset({"t": ((), 1.0)}, {"time": pd.Timestamp("2024-01-01T06")})
    assert period(ds, "2024-01-01", "2024-01-01").identical(ds)
    for first, last, words in [("2023", "2023", "no time"), ("yesterday", "today", "not understood")]:
        with pytest.raises(FieldError, match=words) as error:
            period(ds, first, last)
        assert "2024-01-01" in str(error.value)
    with pytest.raises(FieldError, match="have no time"):
        period(ds.drop_vars("time"), "2023", "2024")
