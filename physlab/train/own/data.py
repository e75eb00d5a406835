"""Pairs of one's own fields: the truth and what a method is given, in three blocks, with the account of what was "
"done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.data import splits as splitting
from physlab.data.patches import SRData
from physlab.errors import FieldError
from physlab.fields import Scaling
from physlab.grid import Grid, ProjectedGrid, check_coarsening, coarsen
from physlab.train.own.cutting import SPLITS, Cut
from physlab.train.own.matching import explained, is_mean, said_of
from physlab.train.own.request import Request, never_negative
from physlab.train.own.source import Source


@dataclass(frozen=True, eq=False)
class OwnData(SRData):
    """Pairs of a request.

    Attributes
    ----------
    fine : split -> (S, V, H, W), the variables one after the other; (S, T, H, W) frames of one variable.
    coarse : split -> (S, V + P, h, w), variables and then predictors; or (S, T, h, w).
    variables, predictors : names.  all_units : of the variables.
    scales, inputs : of the variables, and offset and scale of each coarse channel, from the training block.
    positive : which variables cannot be negative.
    consistent : the coarse fields are block means of the fine ones.
    fit : how well block means explain them.
    ground : name -> split -> (S, H, W) fine fields that do not change; of (1, H, W) on one place.
    fixed : all samples lie on one place.
    place : least and largest latitude and longitude.
    on_map : the samples are patches of a map; their latitude and longitude are those of a grid of the same size at one
        of the patches.
    account : what was understood, one sentence after the other.
    """

    request: Request = field(default_factory=lambda: Request(""))
    variables: tuple[str, ...] = ()
    predictors: tuple[str, ...] = ()
    all_units: tuple[str, ...] = ()
    positive: tuple[bool, ...] = ()
    consistent: bool = True
    fit: dict = field(default_factory=dict)
    ground: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    fixed: bool = True
    place: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    on_map: bool = False
    account: tuple[str, ...] = ()

    def all_coarse(self, split: str) -> Tensor:
        """The coarse fields of the variables (or of every frame), without the predictors."""
        if self.step is not None:
            return self.coarse[split] if not self.consistent else super().all_coarse(split)
        return self.coarse[split][:, : len(self.variables)]

    def statics(self, names: Sequence[str], split: str) -> Tensor:
        """(S, K, H, W) static fields: those of the request.

        Raises
        ------
        FieldError : a field that the request has not.
        """
        missing = [n for n in names if n not in self.ground]
        if missing:
            raise FieldError(
                f"the method asks for the static field {missing[0]}: pass --statics FILE with orog (m) or land (share)"
            )
        count = len(self.fine[split])
        return torch.stack([self.ground[n][split].expand(count, -1, -1) for n in names], 1)

    def at(self, factor: int) -> OwnData:
        """See :meth:`SRData.at`; static fields are averaged along."""
        made, ratio = super().at(factor), self.factor // factor
        ground = {n: {split: coarsen(x, ratio) for split, x in fields.items()} for n, fields in self.ground.items()}
        return replace(made, ground=ground)

    def units_of(self, name: str) -> str:
        """Of a variable, or of a frame of a sequence."""
        return dict(zip(self.variables, self.all_units, strict=True)).get(name, self.units)

    def one(self, number: int = 0) -> OwnData:
        """The pairs of one variable alone, without predictors: what baselines and statistical methods take."""
        at = slice(number, number + 1)
        if self.step is not None:
            return self
        return replace(
            self, variable=self.variables[number], variables=self.variables[at], predictors=(),
            units=self.all_units[number], all_units=self.all_units[at], positive=self.positive[at],
            non_negative=self.positive[number], fine={k: v[:, at] for k, v in self.fine.items()},
            coarse={k: v[:, at] for k, v in self.coarse.items()},
            scaling=Scaling(self.scaling.offset[at], self.scaling.scale[at]),
        )  # fmt: skip

    def told(self, number: int = 0) -> OwnData:
        """The pairs of one variable that is told of all others: what a control gets beside a method of several."""
        if self.step is not None or next(iter(self.coarse.values())).shape[1] == 1:
            return self.one(number)
        names = (*self.variables, *self.predictors)
        order = [number, *(i for i in range(len(names)) if i != number)]
        coarse = {k: v[:, order] for k, v in self.coarse.items()}
        return replace(self.one(number), coarse=coarse, predictors=tuple(names[i] for i in order[1:]))

    def at_frames(self, given: Sequence[int]) -> OwnData:
        """Sequences of which some frames are given."""
        return replace(self, given=tuple(given), coarse={k: v[:, list(given)] for k, v in self.coarse.items()})

    def card(self) -> dict:
        """What a card says of the data."""
        return {
            "account": list(self.account), "request": self.request.plain(), "variables": list(self.variables),
            "units": dict(zip(self.variables, self.all_units, strict=True)), "predictors": list(self.predictors),
            "statics": list(self.ground), "region": [round(v, 4) for v in self.place], "split": self.split,
            "kind": "whole fields of one place" if self.fixed else "patches",
            "non_negative": dict(zip(self.variables, self.positive, strict=True)),
            "coarsening": {"block means": self.consistent, **{k: round(v, 8) for k, v in self.fit.items()}},
        }  # fmt: skip


def paired(source: Source, request: Request, made: Cut) -> OwnData:
    """Samples as tensors, checked and described."""
    n, fixed = request.factor, made.edge == 0
    grid = source.grid if fixed else patch_grid(source, made)
    weights = torch.from_numpy(grid.area_weights.copy()).float()
    if source.on_map:  # by row alone, so that mirror images keep the law
        row = first_of_middle(source, made)[0]
        rows = np.repeat(source.row_weights[row : row + made.edge], made.edge, 1)
        weights = torch.from_numpy(rows / rows.mean()).float()
    count = len(source.variables)
    fine = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in made.fine.items()}
    coarse = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in made.coarse.items()}
    notes, fit = [*source.notes, *made.notes], {}
    if source.given:
        fit = explained(made.fine["train"][:, 0], made.coarse["train"][:, 0], n, grid.area_weights)
        notes.append(said_of(fit, source.units[0]))
        consistent = is_mean(fit)
    else:  # of patches of several latitudes the cell areas are those of one: the truth shall satisfy the law exactly
        consistent, own = True, slice(None) if request.frames > 1 else slice(count)
        for k, y in fine.items():
            coarse[k][:, own] = torch.cat([coarsen(p.double(), n, weights.double()).float() for p in y.split(64)])
            check_coarsening(y[:8], coarse[k][:8, own], n, weights)
    positive = tuple(never_negative(source.fine[v], float(fine["train"][:, 0 if request.frames > 1 else i].min()))
                     for i, v in enumerate(source.variables))  # fmt: skip
    whole = fine["train"].flatten(0, 1)[:, None] if request.frames > 1 else fine["train"]
    # by the standard deviation, non-negative or not: the highest value of rain is a hundred times that
    scalings = [Scaling.fit(whole[:, i, None], p, "std")
                for i, p in enumerate(positive)]  # fmt: skip
    for i, name in enumerate(source.variables):
        part = fine["train"] if request.frames > 1 else fine["train"][:, i]
        if float(part.max()) == float(part.min()):
            raise FieldError(
                f"{name} has the value {float(part.min()):g} everywhere in training: there is nothing to learn"
            )
    longitude = {
        k: np.tile(grid.longitude, (len(c), 1)) if source.on_map
        else source.grid.longitude[c[:, 1][:, None] + np.arange(weights.shape[1])]
        for k, c in made.corner.items()
    }  # fmt: skip
    ground = ground_of_samples(source.ground, made, weights.shape)
    hashes = {k: _hash(fine[k], coarse[k], made.time[k]) for k in SPLITS}
    step = None
    if request.frames > 1:
        step = np.timedelta64(int(np.median(np.diff(source.time).astype("int64"))), "ns")
    return OwnData(
        task="own", factor=n, variable=source.variables[0], units=source.units[0], non_negative=positive[0],
        fine=fine, coarse=coarse, weights=weights, time=made.time, latitude=grid.latitude, longitude=longitude,
        scaling=Scaling(tuple(s.offset[0] for s in scalings), tuple(s.scale[0] for s in scalings)),
        data_hash=hashlib.sha256(" ".join(f"{k}={v}" for k, v in sorted(hashes.items())).encode()).hexdigest(),
        hashes=hashes, split=described(made), given=tuple(range(request.frames)), step=step,
        request=request, variables=source.variables, predictors=source.predictors, all_units=source.units,
        positive=positive, consistent=consistent, fit=fit, ground=ground, fixed=fixed,
        place=source.place, on_map=source.on_map, account=(summary(source, request, made, positive), *notes),
    )  # fmt: skip


def first_of_middle(source: Source, made: Cut) -> tuple[int, int]:
    """First row and column of a patch in the middle of those that were cut."""
    corners = np.concatenate(list(made.corner.values()))
    row, column = (min(int(np.median(corners[:, k])), source.grid.shape[k] - made.edge) for k in (0, 1))
    return row, column


def patch_grid(source: Source, made: Cut) -> Grid:
    """The grid of a patch in the middle of those that were cut.

    That of a patch of a map is made regular: as wide and as high, at its place, with the areas of its rows.
    """
    grid, edge = source.grid, made.edge
    row, column = first_of_middle(source, made)
    if not isinstance(grid, ProjectedGrid):
        return grid.crop(slice(row, row + edge), slice(0, edge))
    part = grid.crop(slice(row, row + edge), slice(column, column + edge))
    middle, steps = float(np.clip(part.places[0].mean(), -75, 75)), np.arange(edge) - (edge - 1) / 2
    up = np.sign(part.places[0][-1].mean() - part.places[0][0].mean()) or 1.0
    degree = np.deg2rad(1.0) * part.radius
    latitude = middle + up * steps * float(part.dy.mean()) / degree
    longitude = float(part.places[1][edge // 2, edge // 2])
    return Grid(latitude, longitude + steps * float(part.dx.mean()) / (degree * np.cos(np.deg2rad(middle))))


def described(made: Cut) -> dict:
    """The split, for the card."""
    if made.by == "time":
        splitting.check_gaps(made.time, made.gap)
        return splitting.describe(made.time, made.gap, made.rule)
    blocks = {
        k: {"columns": [int(c[:, 1].min()), int(c[:, 1].max()) + made.edge], "samples": len(c)}
        for k, c in made.corner.items()
    }
    return {"rule": made.rule, "blocks": blocks, "gap_hours": 0.0, "smallest_distance_hours": None}


def ground_of_samples(ground: dict[str, np.ndarray], made: Cut, shape: Sequence[int]) -> dict[str, dict[str, Tensor]]:
    """Static fields under each sample, in their own units."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, values in ground.items():
        field_ = torch.from_numpy(np.ascontiguousarray(values, np.float32))
        if not made.edge:
            found[name] = dict.fromkeys(SPLITS, field_[None])
            continue
        h, w = shape
        found[name] = {k: torch.stack([field_[r : r + h, c : c + w] for r, c in made.corner[k]]) for k in SPLITS}
    return found


def summary(source: Source, request: Request, made: Cut, positive: Sequence[bool]) -> str:
    """The first sentence of the account."""
    south, north, west, east = source.place
    names = [f"{v} ({u or 'no units'}{', never negative' if p else ''})"
             for v, u, p in zip(source.variables, source.units, positive, strict=True)]  # fmt: skip
    text = (
        f"{' and '.join(names)} of {request.truth}: {source.grid.shape[0]} x {source.grid.shape[1]} cells from "
        f"{south:.4g} to {north:.4g} N, {west:.4g} to {east:.4g} E, {len(source.time)} times from "
        f"{str(source.time[0])[:16]} to {str(source.time[-1])[:16]}, refined by {request.factor} from "
    )
    text += f"{request.coarse}." if request.coarse else "its own block means."
    if source.predictors:
        text += f" Given besides: {', '.join(source.predictors)}."
    if source.ground:
        text += f" Static fields: {', '.join(source.ground)}."
    return text


def sample(data: OwnData, split: str, index: int) -> xr.Dataset:
    """The coarse fields of one sample as a Dataset, for ``method.downscale``."""
    grid = data.grid(split, index).coarsen(data.factor)
    coords = {
        "latitude": ("latitude", grid.latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        "longitude": ("longitude", grid.longitude, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    names = (*data.variables, *data.predictors)
    values = data.coarse[split][index].numpy()
    if data.step is not None:
        times = data.time[split][index] + data.step * np.array(data.given)
        fields = {data.variable: (("time", "latitude", "longitude"), values)}
    else:
        times = data.time[split][index : index + 1]
        fields = {n: (("time", "latitude", "longitude"), values[i : i + 1]) for i, n in enumerate(names)}
    ds = xr.Dataset(fields, {"time": times, **coords})
    for n, u in zip(data.variables, data.all_units, strict=True):
        ds[n].attrs["units"] = u
    return ds


def _hash(fine: Tensor, coarse: Tensor, time: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in (fine.numpy(), coarse.numpy(), np.asarray(time, "datetime64[s]").astype("int64")):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
