"""``physlab train phydl TRUTH OUT``: a continuous field of one's own data, beside interpolation.

Fine fields on one level are coarsened to block means, and a field is fitted to these at the centres of the coarse
cells; with five times or more every second one is withheld. It is scored on the fine grid, at the times that it was
given and, apart from them, at those that it was not. Beside it stand interpolations in place (and linear in time), and
the control: the same network with the same budget, without equations.

>>> result = train_phydl(Request("era5.nc", level=250.0), "models/field")
>>> fine = physlab.load_model("models/field").downscale(to=grid, time=times)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data.guard import open_checked
from physlab.data.ingest.account import account
from physlab.data.ingest.select import period, region
from physlab.downscale import Interpolate
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.fields import check_finite, crop_to_multiple
from physlab.grid import Grid, coarsen
from physlab.phydl.domain import Domain, grid_points
from physlab.phydl.fit import FitSettings
from physlab.phydl.force import SmoothForce
from physlab.phydl.library import atmosphere
from physlab.phydl.surrogate import PhyDL
from physlab.train.checkpoint import origin
from physlab.train.devices import agreed, by_one, processes, rank
from physlab.train.own.report import Draw, Picture, add_report, document, figures, methods_table, opening, pairs_table
from physlab.train.state import state_file

WITHHELD = 5
"""Times from which on every second one is withheld."""
LARGEST = 4_000_000
"""Coarse points that a field is fitted to at most, of all variables together."""
CONTROL = "without equations"


@dataclass(frozen=True)
class FieldRequest:
    """Which data, cut how.

    Attributes
    ----------
    truth : file, Zarr store or name.  variables : none for all on (time, latitude, longitude).
    factor : of the coarsening.
    level : hPa; None for the only one, or the one in the middle.
    region : south, north, west, east, degrees.  period : first and last time.
    mapping : (own name, name of the library).
    """

    truth: str
    variables: tuple[str, ...] = ()
    factor: int = 4
    level: float | None = None
    region: tuple[float, float, float, float] | None = None
    period: tuple[str, str] | None = None
    mapping: tuple[tuple[str, str], ...] = ()


@dataclass(eq=False)
class OwnField:
    """Fine and coarse fields in memory.

    Attributes
    ----------
    fine, coarse : (time, latitude, longitude);  given : of the times, those that are fitted.
    pressure : Pa.  lines : what was understood.
    """

    fine: xr.Dataset
    coarse: xr.Dataset
    given: np.ndarray
    pressure: float
    lines: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self.fine.data_vars))


def own_field(request: FieldRequest) -> OwnField:
    """Read, select, coarsen.

    Raises
    ------
    FieldError : in one line, what is not there or cannot be fitted.
    """
    ds = open_checked(request.truth, dict(request.mapping) or None)
    lines = [account(ds)] if account(ds) else []
    if request.region is not None:
        ds = region(ds, *request.region)
    if request.period is not None and "time" in ds.dims:
        ds = period(ds, *request.period)
    plain = [str(n) for n, da in ds.data_vars.items() if {"time", "latitude", "longitude"} <= set(da.dims)
             <= {"time", "level", "latitude", "longitude"} and da.dtype.kind in "fiu"]  # fmt: skip
    names = list(request.variables) or plain
    lacking = [n for n in names if n not in plain]
    if lacking or not names:
        raise FieldError(f"no {', '.join(lacking) or 'variable'} on (time, [level,] latitude, longitude) in "
                         f"{request.truth}: found {', '.join(plain) or 'none'}")  # fmt: skip
    ds, pressure = _one_level(ds[names], request, lines)
    inside = np.abs(ds["latitude"].values) < 90 - 1e-6
    if not inside.all():
        lines.append("The rows at the poles are left out: east has no meaning there.")
        ds = ds.isel(latitude=inside)
    if ds.sizes["time"] < 2:
        raise FieldError(f"{request.truth} has {ds.sizes['time']} time: a field of place and time wants at least two")
    cropped = crop_to_multiple(ds, request.factor)
    assert isinstance(cropped, xr.Dataset)  # of a data set
    fine = cropped.load().transpose("time", "latitude", "longitude").sortby("time")
    for name in names:
        check_finite(fine[name])
        if not float(fine[name].std()) > 0:
            raise FieldError(f"{name} does not vary: leave it out (--variable)")
    coarse = coarsened(fine, request.factor)
    if min(coarse.sizes[d] for d in ("latitude", "longitude")) < 3:
        raise FieldError(f"{coarse.sizes['latitude']} x {coarse.sizes['longitude']} coarse cells are too few: take a "
                         "smaller factor or a larger region")  # fmt: skip
    given = np.arange(fine.sizes["time"])
    if len(given) >= WITHHELD:
        given = given[::2]
        lines.append(f"Every second of the {fine.sizes['time']} times is withheld.")
    points = len(given) * coarse.sizes["latitude"] * coarse.sizes["longitude"] * len(names)
    if points > LARGEST:
        raise FieldError(f"{points:,} coarse values are more than one field holds ({LARGEST:,}): choose a region, a "
                         "period or a larger factor")  # fmt: skip
    return OwnField(fine, coarse, given, pressure, lines)


def _one_level(ds: xr.Dataset, request: FieldRequest, lines: list[str]) -> tuple[xr.Dataset, float]:
    if "level" not in ds.dims:
        level = float(ds["level"]) if "level" in ds.coords else 700.0
        return ds.drop_vars("level", errors="ignore"), 100.0 * level
    levels = ds["level"].values.astype(float)
    if request.level is None:
        level = float(levels[len(levels) // 2])
        if len(levels) > 1:
            lines.append(f"Of {len(levels)} levels {level:g} hPa is used: --level names another.")
    else:
        level = float(levels[np.abs(levels - request.level).argmin()])
        if abs(level - request.level) > 0.01 * abs(request.level):
            raise FieldError(f"no level {request.level:g} hPa: found {', '.join(f'{p:g}' for p in levels)}")
    return ds.sel(level=level).drop_vars("level"), 100.0 * level


def coarsened(fine: xr.Dataset, factor: int) -> xr.Dataset:
    """Area-weighted block means at the centres of the coarse cells."""
    grid = Grid.from_dataset(fine)
    wide = grid.coarsen(factor)
    dims = ("time", "latitude", "longitude")
    parts = {n: (dims, coarsen(da.values.astype(np.float64), factor, grid.area_weights).astype(np.float32), da.attrs)
             for n, da in fine.data_vars.items()}  # fmt: skip
    return xr.Dataset(parts, {"time": fine["time"], "latitude": wide.latitude, "longitude": wide.longitude})


def interpolated(data: OwnField, method: str, constraint: str, factor: int) -> xr.Dataset:
    """The fine fields by interpolation: linear in time between the given ones, then in place."""
    between = data.coarse.isel(time=data.given).interp(time=data.coarse["time"], kwargs={"fill_value": "extrapolate"})
    return Interpolate(method, factor, constraint).downscale(between)


@dataclass(frozen=True)
class Row:
    """RMSE of a method: variable -> at given times, at withheld ones (NaN where there are none)."""

    name: str
    kind: str
    rmse: dict[str, tuple[float, float]]


@dataclass(eq=False)
class Fitted:
    """What came out.

    Attributes
    ----------
    made : name of a method -> its fields on the fine grid, for pictures.
    """

    model: PhyDL
    folder: Path
    data: OwnField
    rows: list[Row]
    made: dict[str, xr.Dataset]
    coefficients: pd.DataFrame | None
    seconds: float = 0.0


def train_phydl(
    request: FieldRequest,
    out: str | Path,
    settings: FitSettings | None = None,
    seed: int = 0,
    force: tuple[int, int, int] = (4, 4, 8),
    network: dict | None = None,
    start: str | Path = "",
    device: str | torch.device | None = "auto",
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    draw: Draw | None = None,
) -> Fitted:
    """Fit a continuous field to one's own data and to the equations that its variables have, and score it.

    Parameters
    ----------
    settings : None for 1500 steps.
    force : waves in x, y and time of the force that the equations leave.
    network : arguments of :class:`physlab.nn.coordinate.CoordinateNetwork`.
    start : a fitted field with the same variables and network whose weights are the first ones.
    draw : of the pictures of the report, see :func:`physlab.plot.fields.pictures`.

    Raises
    ------
    PhysLabError : in one line, what cannot be fitted.
    """
    out = Path(out)
    settings = FitSettings(steps=1500) if settings is None else settings
    with processes(device) as here:
        if agreed(out.exists) and not overwrite:
            raise PhysLabError(f"{out} is there already: choose another folder, or fit again with --overwrite")
        data = own_field(request)
        equations = atmosphere(data.names, data.pressure)
        held = {e.variable for e in equations}
        said = [f"∂t {e.variable} = {' + '.join(e.names).replace('+ -', '- ')}" for e in equations]
        none = "No equation fits these variables: u, v and z, or a tracer with u and v, have one."
        data.lines.append(f"Equations: {'; '.join(said)}." if said else none)
        rest = [n for n in data.names if n not in held]
        if rest and said:
            data.lines.append(f"Data alone for {', '.join(rest)}.")
        if rank() == 0:
            for line in data.lines:
                say(line)
        chosen = data.coarse.isel(time=data.given)
        domain = Domain.of(data.fine)
        points = grid_points(domain, chosen["longitude"].values, chosen["latitude"].values, chosen["time"].values)
        values = torch.from_numpy(np.stack([chosen[n].values.ravel() for n in data.names], -1).astype(np.float32))

        def fitted(weight: float, label: str) -> PhyDL:
            model = PhyDL.at_points(data.names, domain, points, values, equations, SmoothForce(force), network,
                                    seed)  # fmt: skip
            model.pressure = data.pressure
            model.attributes = {n: {k: str(v) for k, v in data.fine[n].attrs.items()} for n in data.names}
            if start:
                begin_from(model, start)
            model.to(here)
            model.name = label
            model.fit((points, values), replace(settings, physics=weight), seed, state_file(label, out),
                      progress and rank() == 0)  # fmt: skip
            return model

        weight = settings.physics if equations else 0.0
        control = fitted(0.0, CONTROL) if weight else None
        model = fitted(weight, "phydl")
        model.name = PhyDL.name
        rows, made = scores(data, model, control, request.factor)
        found = model.coefficients() if weight else None
        result = Fitted(model, out, data, rows, made, found, model.card["training"]["wall_time_s"])
        model.card |= {
            **origin(here), "task": "own",
            "factor": request.factor, "start": str(start),
            "data": {"account": data.lines, "request": asdict(request), "given": data.given.tolist(),
                     "times": [str(t)[:19] for t in data.fine["time"].values], "pressure_pa": data.pressure,
                     "units": {n: units_of(data, n) for n in data.names}},
            "scores": {r.name: {n: [v if v == v else None for v in pair] for n, pair in r.rmse.items()} for r in rows},
        }  # fmt: skip

        def keep() -> None:
            model.to("cpu")
            model.save(out)
            add_report(out, result, page, lines_of, draw)

        by_one(keep)
    return result


def begin_from(model: PhyDL, start: str | Path) -> None:
    """Copy the weights of a fitted field; its box, base state and units are those of the new data.

    Raises
    ------
    CheckpointError : other variables or another network.
    """
    old = PhyDL.load(start)
    if old.variables != model.variables:
        raise CheckpointError(f"{start} has the variables {', '.join(old.variables)}, the data "
                              f"{', '.join(model.variables)}: choose the same (--variable)")  # fmt: skip
    shapes = [{k: v.shape for k, v in m.network.state_dict().items()} for m in (old, model)]
    if shapes[0] != shapes[1]:
        raise CheckpointError(f"{start} has another network: start from a field with the same width and depth")
    model.network.load_state_dict(old.network.state_dict())


def scores(data: OwnField, model: PhyDL, control: PhyDL | None, factor: int) -> tuple[list[Row], dict[str, xr.Dataset]]:
    """All methods on the fine grid, and what they made of it."""
    weights = xr.DataArray(Grid.from_dataset(data.fine).area_weights, dims=("latitude", "longitude"))
    withheld = np.setdiff1d(np.arange(data.fine.sizes["time"]), data.given)

    def row(name: str, kind: str, made: xr.Dataset) -> Row:
        found = {}
        for n in data.names:
            square = (made[n].values - data.fine[n].values.astype(np.float64)) ** 2 * weights.values
            found[n] = tuple(float(np.sqrt(square[at].mean())) if len(at) else float("nan") for at in
                             (data.given, withheld))  # fmt: skip
        return Row(name, kind, found)  # type: ignore[arg-type]

    free = (("nearest", "nearest", "none"), ("bicubic", "bicubic", "none"), ("bicubic+add", "bicubic", "add"))
    made = {label: interpolated(data, method, layer, factor) for label, method, layer in free}
    kinds = dict.fromkeys(made, "baseline")
    if control is not None:
        made[CONTROL], kinds[CONTROL] = control.downscale(to=data.fine), "control"
    made[PhyDL.name], kinds[PhyDL.name] = model.downscale(to=data.fine), "trained"
    return [row(name, kinds[name], ds) for name, ds in made.items()], made


def units_of(data: OwnField, name: str) -> str:
    """Of a variable."""
    return str(data.fine[name].attrs.get("units", VARIABLES.get(name, {}).get("units", "")))


def verdicts(rows: Sequence[Row]) -> list[str]:
    """A sentence for each variable."""
    mine, lines = rows[-1], []
    for name, (given, withheld) in mine.rmse.items():
        at, value = (1, withheld) if withheld == withheld else (0, given)
        best = min((r for r in rows if r.kind == "baseline"), key=lambda r: r.rmse[name][at])
        where = "times that it was not given" if at else "times that it was given"
        words = [f"{name}: RMSE {value:.4g} at {where}, {best.name} {best.rmse[name][at]:.4g} "
                 f"({1 - value / best.rmse[name][at]:+.1%})"]  # fmt: skip
        for other in (r for r in rows if r.kind == "control"):
            words.append(f"without equations {other.rmse[name][at]:.4g}")
        lines.append(", ".join(words) + ".")
    return lines


def lines_of(result: Fitted) -> Iterator[tuple]:
    """The scores."""
    yield "method", "kind", "variable", "units", "rmse_given", "rmse_withheld"
    for row in result.rows:
        for name, pair in row.rmse.items():
            numbers = [f"{v:.6g}" if v == v else "" for v in pair]
            yield row.name, row.kind, name, units_of(result.data, name), *numbers


def page(result: Fitted, pictures: Sequence[Picture] = ()) -> str:
    """The report: one page that needs nothing else."""
    data = result.data
    parts = [opening(verdicts(result.rows), data.lines)]
    parts.append("<h2>RMSE on the fine grid</h2><p class=note>Given: times that were fitted. Withheld: every "
                 "second time. Interpolations are linear in time. The control is the same network with the same "
                 "budget, without equations.</p>")  # fmt: skip
    for at, heading in enumerate(("Given times", "Withheld times")):
        if any(pair[at] == pair[at] for pair in result.rows[-1].rmse.values()):
            heads = (f"{escape(n)}<br>{escape(units_of(data, n))}" for n in data.names)
            rows = ((r.kind, r.name, [f"{r.rmse[n][at]:.4g}" for n in data.names]) for r in result.rows)
            parts.append(f"<h3>{heading}</h3>{methods_table(heads, rows)}")
    if result.coefficients is not None:
        parts.append("<h2>Equations</h2>" + result.coefficients.to_html(index=False, border=0, float_format="%.4g"))
    parts.append(figures(pictures))
    took = {"training took": f"{result.seconds:.0f} s", "seed": result.model.card["seed"]}
    parts.append("<h2>Settings</h2>" + pairs_table({**took, **result.model.card["settings"]}))
    return document(f"A continuous field of {', '.join(data.names)}", parts)
