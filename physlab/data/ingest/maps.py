"""Where a field lies, on a projected or curvilinear grid: rows and columns of a map, with their places on the Earth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from physlab import projection
from physlab.data.ingest import horizontal, units
from physlab.data.ingest.account import Account
from physlab.data.ingest.models import map_of_model
from physlab.errors import FieldError

Y_NAMES = ("grid_latitude", "projection_y_coordinate")
X_NAMES = ("grid_longitude", "projection_x_coordinate")


def projected(ds: xr.Dataset, note: Account, stated: str | None = None) -> tuple[xr.Dataset, bool]:
    """The data set on (y, x) of its map and True, or, if it lies on a regular grid of latitude and longitude, False.

    Parameters
    ----------
    stated : the map in words of the user, such as EPSG:3035.

    Raises
    ------
    FieldError : rows and columns of a map that nothing names.
    """
    axes = _map_axes(ds, stated is not None)
    places = _places(ds, note)
    mapping, why = _mapping(ds, note, stated)
    if places is not None and axes is None:
        ds, places, plain = _plain(ds, places, note)
        if plain:
            return ds, False
    if places is None and axes is None:
        return ds, False
    if places is not None:
        dims = ds[places[0]].dims
    else:
        assert axes is not None
        dims = (ds[axes[0]].dims[0], ds[axes[1]].dims[0])
    y_dim, x_dim = _order(ds, dims, axes)
    if min(ds.sizes[y_dim], ds.sizes[x_dim]) < 2:
        raise FieldError(
            f"'{note.file}' has {ds.sizes[y_dim]} rows and {ds.sizes[x_dim]} columns: a grid needs at least 2 of "
            f"each; take a larger "
            "part of the field"
        )
    if axes is not None:
        y, x = (_in_units(ds, name, mapping, note) for name in axes)
    if mapping is not None:
        crs = projection.crs_of(mapping)
        if axes is None:
            assert places is not None
            found = projection.axes(crs, *(ds[n].transpose(y_dim, x_dim).values for n in places))
            if found is None:
                note.did(
                    f"the map '{mapping.get('grid_mapping_name', crs.name)}' does not fit latitude and longitude: "
                    f"left out"
                )
                mapping = None
            else:
                y, x = found
    if mapping is None and places is None:
        assert axes is not None
        raise FieldError(
            f"'{note.file}' lies on rows '{axes[0]}' ({y[0]:g} to {y[-1]:g}) and columns '{axes[1]}' ({x[0]:g} to "
            f"{x[-1]:g}) of a map "
            f"{why or 'that nothing names'}: say which, as in mapping={{'EPSG:3035': 'crs'}} or --mapping "
            f"EPSG:3035=crs, or add "
            "latitude and longitude (y, x)"
        )
    if mapping is None and axes is None:
        y, x = np.arange(ds.sizes[y_dim], dtype=float), np.arange(ds.sizes[x_dim], dtype=float)
    if mapping is not None:
        at = projection.positions(projection.crs_of(mapping), y, x)
        if places is not None:
            at = _agree(ds, places, at, (y_dim, x_dim), note)
        words = str(mapping.get("grid_mapping_name", "map")).replace("_", " ")
        note.took(f"{words}, {y.size} rows x {x.size} columns")
    else:
        assert places is not None
        at = np.stack([ds[n].transpose(y_dim, x_dim).values.astype(float) for n in places])
        note.took(f"curvilinear grid, {y.size} rows x {x.size} columns, places by its latitude and longitude")
        if why:
            note.did(f"map {why}: places are taken from latitude and longitude")
    return _on_map(ds, (y_dim, x_dim), y, x, at, mapping, axes, places, note), True


def _map_axes(ds: xr.Dataset, stated: bool) -> tuple[str, str] | None:
    """Names of the one-dimensional coordinates along rows and columns of a map."""

    def named(standard: tuple[str, ...], names: tuple[str, ...], axis: str) -> str | None:
        one = [str(n) for n in ds.coords if ds[n].ndim == 1]
        for name in one:
            if str(ds[name].attrs.get("standard_name", "")).lower() in standard:
                return name
        for name in one:
            unit = units.plain(ds[name].attrs.get("units"))
            length = unit in ("m", "km") or units.measures(unit, "m") if unit else stated
            if name.lower() in names and (length or name.lower().startswith("r")):
                return name
        if stated:
            return next((n for n in one if str(ds[n].attrs.get("axis", "")).upper() == axis), None)
        return None

    y = named(Y_NAMES, ("y", "rlat", "yc", "northing", "projection_y_coordinate", "y_coord", "nj"), "Y")
    x = named(X_NAMES, ("x", "rlon", "xc", "easting", "projection_x_coordinate", "x_coord", "ni"), "X")
    return (y, x) if y and x and ds[y].dims != ds[x].dims else None


def _places(ds: xr.Dataset, note: Account) -> tuple[str, str] | None:
    """Names of two-dimensional latitude and longitude."""
    from physlab import cf

    found = []
    for kind in ("latitude", "longitude"):
        known = cf.COORDINATES[kind]
        pool = [str(n) for n in ds.coords if ds[n].ndim == 2]
        by_standard = [n for n in pool if str(ds[n].attrs.get("standard_name", "")).lower() in known["standard_name"]]
        by_name = [n for n in pool if n.lower() in known["names"]]
        by_unit = [n for n in pool if str(ds[n].attrs.get("units", "")).lower() in known["units"] and "bnds" not in n]
        chosen = by_standard or by_name or by_unit
        if not chosen:
            return None
        found.append(chosen[0])
    if set(ds[found[0]].dims) != set(ds[found[1]].dims):
        return None
    for name in found:
        values = ds[name].values
        if not np.isfinite(values).all():
            at = np.unravel_index(int((~np.isfinite(values)).argmax()), values.shape)
            raise FieldError(
                f"'{note.file}': '{name}' is missing at {dict(zip(ds[name].dims, map(int, at), strict=True))}: a "
                f"grid needs the place of "
                "every cell; fill them, or take a part without gaps"
            )
    return found[0], found[1]


def _plain(ds: xr.Dataset, places: tuple[str, str], note: Account):
    """Two-dimensional places that are those of a regular grid become one-dimensional: (ds, places, whether)."""
    latitude, longitude = (ds[n].transpose(*ds[places[0]].dims).values.astype(float) for n in places)
    noise = max(horizontal.rounding(latitude), horizontal.rounding(longitude))
    for axis in (0, 1):
        off = np.abs(latitude - latitude.take([0], 1 - axis)).max()
        # longitudes may be counted in another way from row to row
        turned = (longitude - longitude.take([0], axis) + 180) % 360 - 180
        if off <= noise and np.abs(turned).max() <= noise and latitude.shape[axis] > 1:
            rows, columns = ds[places[0]].dims[axis], ds[places[0]].dims[1 - axis]
            one = latitude.take(0, 1 - axis), longitude.take(0, axis)
            spare = [n for n in (*places, rows, columns) if n in ds.coords]
            note.took(f"two-dimensional {places[0]} and {places[1]} are those of a regular grid")
            ds = ds.drop_vars(spare).assign_coords(
                {
                    "latitude": (rows, one[0], {"standard_name": "latitude"}),
                    "longitude": (columns, one[1], {"standard_name": "longitude"}),
                }
            )
            return ds, None, True
    return ds, places, False


def _order(ds: xr.Dataset, dims: tuple, axes: tuple[str, str] | None) -> tuple[str, str]:
    """(rows, columns) among the dims of the places."""
    if axes is not None:
        return str(ds[axes[0]].dims[0]), str(ds[axes[1]].dims[0])
    first, second = (str(d) for d in dims)
    if first.lower() in ("x", "i", "ni", "west_east", "lon", "rlon", "longitude", "xc"):
        return second, first
    return first, second


def _in_units(ds: xr.Dataset, name: str, mapping: Mapping | None, note: Account) -> np.ndarray:
    """Metres, or degrees of a rotated pole."""
    values = ds[name].values.astype(float)
    unit = units.plain(ds[name].attrs.get("units"))
    factor = units.factors(unit, "m") if unit and not unit.startswith("degree") else None
    if factor is not None and factor != (1.0, 0.0):
        note.did(f"{name} from {unit} to m")
        values = factor[0] * values
    steps = np.diff(values)
    if not np.isfinite(values).all() or not ((steps > 0).all() or (steps < 0).all()):
        raise FieldError(f"'{note.file}': '{name}' neither rises nor falls throughout: sort the file along it")
    return values


def _mapping(ds: xr.Dataset, note: Account, stated: str | None) -> tuple[dict | None, str]:
    """Attributes of the grid mapping, or None and why there is none."""
    if stated is not None:
        note.took(f"map {stated}, as you say")
        return projection.named(stated), ""
    if found := map_of_model(ds):
        return found, ""
    names = {str(da.attrs.get("grid_mapping") or da.encoding.get("grid_mapping") or "") for da in ds.data_vars.values()}
    names = {name.split(":")[0].strip() for name in names if name}
    pool = [n for n in names if n in ds.variables]
    pool += [str(n) for n in ds.variables if n not in pool and ds[n].size <= 1 and
             {"grid_mapping_name", "crs_wkt", "spatial_ref"} & set(ds[n].attrs)]  # fmt: skip
    why = ""
    for name in pool:
        attrs = {k: v for k, v in ds[name].attrs.items() if v is not None}
        if attrs.get("grid_mapping_name") == "latitude_longitude":
            continue
        try:
            crs = projection.crs_of(attrs)
        except FieldError as error:
            why = f"'{name}', " + str(error).split("(", 1)[-1].split(")", 1)[0]
            continue
        if crs.is_geographic and not projection.is_rotated(crs):
            continue
        return {**attrs, **projection.attributes(crs)}, ""
    missing = sorted(names - set(map(str, ds.variables)))
    return None, why or (f"'{missing[0]}', which is not in the file" if missing else "")


def _agree(ds: xr.Dataset, places: tuple[str, str], at: np.ndarray, dims: tuple[str, str], note: Account) -> np.ndarray:
    """The places of the file, which must be those of the map to within a cell; those of the map are finer."""
    given = np.stack([ds[n].transpose(*dims).values.astype(float) for n in places])
    apart = np.linalg.norm(projection.unit_vectors(*given) - projection.unit_vectors(*at), axis=0)
    cell = np.linalg.norm(np.diff(projection.unit_vectors(*at), axis=2), axis=0).mean()
    if apart.max() > 0.5 * cell:
        j, i = np.unravel_index(int(apart.argmax()), apart.shape)
        raise FieldError(
            f"'{note.file}': row {j}, column {i} lies at {given[0, j, i]:.4g} N {given[1, j, i]:.4g} E by "
            f"'{places[0]}' and '{places[1]}', "
            f"but at {at[0, j, i]:.4g} N {at[1, j, i]:.4g} E by its map: correct one of them, or leave out the map "
            f"with "
            "mapping={'NAME_OF_THE_MAP': ''}"
        )
    return given


def _on_map(ds, dims, y, x, at, mapping, axes, places, note) -> xr.Dataset:
    """The data set with the coordinates of the contract."""
    rotated = mapping is not None and projection.is_rotated(projection.crs_of(mapping))
    old = {
        n for n in (*dims, *(axes or ()), *(places or ()), "latitude", "longitude", "y", "x", "crs") if n in ds.coords
    }
    area = _area(ds, dims, note)
    if mapping is None and axes is not None:  # numbers in unknown units say nothing that rows and columns do not
        y, x = np.arange(y.size, dtype=float), np.arange(x.size, dtype=float)
    ds = ds.drop_vars(old)
    ds = ds.rename_dims({old_: new for old_, new in zip(dims, ("y", "x"), strict=True) if old_ != new})
    unit = "degrees" if rotated else "m" if mapping is not None else "1"
    names = ("grid_latitude", "grid_longitude") if rotated else ("projection_y_coordinate", "projection_x_coordinate")
    made: dict = {}
    for dim, standard, values in zip("yx", names, (y, x), strict=True):
        attrs = (
            {"standard_name": standard}
            if mapping is not None
            else {"long_name": f"number of {'row' if dim == 'y' else 'column'}"}
        )
        made[dim] = (dim, values, {**attrs, "units": unit, "axis": dim.upper()})
    for name, unit, values in zip(("latitude", "longitude"), ("degrees_north", "degrees_east"), at, strict=True):
        made[name] = (("y", "x"), values, {"standard_name": name, "long_name": name, "units": unit})
    if area is not None:
        made["cell_area"] = (
            ("y", "x"),
            area,
            {"standard_name": "cell_area", "long_name": "area of the cell", "units": "m2"},
        )
    if mapping is not None:
        made["crs"] = (
            (),
            0,
            {k: v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in mapping.items()},
        )
    return ds.assign_coords(made)


def _area(ds: xr.Dataset, dims: tuple[str, str], note: Account) -> np.ndarray | None:
    """Areas of the cells if the file has them, m2."""
    for name in ds.variables:
        da = ds[name]
        if da.attrs.get("standard_name") == "cell_area" and set(da.dims) == set(dims):
            factor = units.factors(units.plain(da.attrs.get("units", "m2")), "m2")
            values = da.transpose(*dims).values.astype(float)
            if factor is not None and np.isfinite(values).all() and (values > 0).all():
                note.took(f"areas of the cells from '{name}'")
                return factor[0] * values
    return None
