"""What the Ensemble view shows: latent diffusion over terrain, drawn live or stored, remembered under scalar keys.

One store serves all sessions. All methods may be called from worker threads. What costs time is the sampling, half a
second for each member; threshold, hard consistency and the member that is shown only take another look at it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from contourpy import contour_generator
from torch import Tensor

import physlab
from apps.cache import Cache
from apps.globe import east_first, globe, moment
from apps.machine import device_of, opened
from apps.options import DRAWS
from apps.problems import Overtaken, Unavailable, needed, never, silent
from apps.state import Draw
from physlab.benchmark.ensemble import DRIVERS, SHIPPED, TRUNCATION, interpolated
from physlab.constrain import make_constraint
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.terrain import TerrainFields, unrounded
from physlab.equations.surface_temperature import EffectiveBalance
from physlab.errors import Cancelled
from physlab.score.analysis import eddies
from physlab.score.detail import detail_scores
from physlab.score.spectra import radial_spectrum
from physlab.train.latent import balance_of

FACTOR = 4
TRUTH, STORED = "nature-terrain", "nature-terrain-members"
PER_DAY = 86400.0  # from s-1
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Picture:
    """All that one selection shows. Maps have row 0 southernmost, the first column at the date line, float32.

    Without members, because they are being drawn or the method is missing, `maps` and `spectra` lack what comes from
    them and `scores` has bicubic interpolation alone.
    """

    draw: Draw
    note: str
    day: int  # index of the time
    time: str
    window: tuple[float, float, float, float]
    maps: dict[str, np.ndarray]
    limits: dict[str, tuple[float, float]]  # field, error, spread, probability, law
    isotherm: tuple[list[np.ndarray], list[np.ndarray]]  # longitudes and latitudes of the lines of the true threshold
    members: int
    which: int  # member that is shown, from 1
    ratio: float  # its residual over that of the truth, root mean squares
    wavenumber: np.ndarray
    cutoff: float  # largest wavenumber of the input
    spectra: dict[str, np.ndarray]  # truth, bicubic, mean, members
    scores: dict[str, dict[str, float]]  # ensemble, bicubic -> detail_scores
    lapse_rate: float  # of the law, K m-1
    seconds: float  # of the draw
    rows: tuple[np.ndarray, np.ndarray]  # latitude and area of those of the maps
    bicubic: np.ndarray  # what needs no training, (rows, columns) as the maps
    device: str = "cpu"  # that computed it


class Ensembles:
    """Everything the Ensemble view draws. `pool` draws members; None for the workers of the other views."""

    def __init__(self, pool: Executor | None = None) -> None:
        self.pool = pool
        self._truth, self._model, self._stored = Cache(1), Cache(1), Cache(8)
        self._made, self._tied, self._pictures, self._limits = Cache(24), Cache(8), Cache(32), Cache(1)

    # -- what there is -------------------------------------------------------------------------------------------

    def truth(self) -> tuple[TerrainFields, EffectiveBalance, Tensor]:
        """All times of the true fields, the law with the numbers that fit them, and bicubic interpolation (T, H, W)."""

        def make() -> tuple[TerrainFields, EffectiveBalance, Tensor]:
            ds = physlab.open_dataset(TRUTH).load()
            t = ds[DRIVERS[0]]  # rounding to the file would make the diffusivity of the law too small
            ds = ds.assign({t.name: t.copy(data=unrounded(t.values, t["latitude"].values))})
            fields = TerrainFields.of(ds, DRIVERS[0], DRIVERS, FACTOR, statics=("elevation",))
            return fields, balance_of(fields), interpolated(fields).upsample(fields.coarse[:, 0])

        with needed("The fields over terrain are not available"):
            return self._truth.get(TRUTH, make)

    def model(self) -> LatentDownscaler:
        """The model that draws."""
        with needed("Latent diffusion is not installed"):
            return self._model.get(SHIPPED, lambda: opened(SHIPPED))

    def stored(self, weight: str) -> tuple[int, Tensor]:
        """Index of the time, and (M, H, W) stored members of a weight of the law."""

        def make() -> tuple[int, Tensor]:
            ds, fields = physlab.open_dataset(STORED).load(), self.truth()[0]
            chosen, at = np.isclose(ds["weight"].values, float(weight)), fields.time == ds["time"].values
            if not chosen.any() or not at.any():
                there = ", ".join(f"{w:g}" for w in ds["weight"].values)
                raise Unavailable(f"There are no stored members of λ = {weight} for these times; there are {there}.")
            return int(at.argmax()), torch.from_numpy(ds["t_low"].values[chosen.argmax()]).float()

        with needed("The stored members are not available"):
            return self._stored.get(weight, make)

    # -- one selection -------------------------------------------------------------------------------------------

    def known(self, draw: Draw) -> bool:
        """Whether the members are stored or were drawn before."""
        return draw.weight != "live" or self._made.peek(_key(draw)) is not None

    def cached(self, draw: Draw) -> Picture | None:
        """The picture if it was made before."""
        return self._pictures.peek(resolve(draw))

    def picture(self, draw: Draw, cancelled: Callable[[], bool] = never, progress: Progress = silent) -> Picture:
        """Everything that one selection shows.

        Raises
        ------
        Overtaken : `cancelled` said so between two steps of the sampler.
        Unavailable : the true fields are not there, or not that time.
        """
        draw = resolve(draw)
        try:
            made = self._made.get(_key(draw), lambda: self._members(draw, cancelled, progress))
        except Unavailable as error:
            return self.started(draw, str(error))
        return self._pictures.get(draw, lambda: self._draw(draw, made))

    def started(self, draw: Draw, note: str = "") -> Picture:
        """What is known before there are members."""
        return self._draw(resolve(draw), None, note)

    def now(self, day: int) -> TerrainFields:
        """The true and coarse fields of one time."""
        fields = self.truth()[0]
        if day >= len(fields):
            raise Unavailable(f"There are no fields over terrain at time {day + 1}: there are {len(fields)} times.")
        return fields.take(slice(day, day + 1))

    def _members(self, draw: Draw, cancelled: Callable[[], bool], progress: Progress) -> tuple[int, Tensor, float]:
        """Index of the time, members (M, H, W) without a constraint, and the seconds that they took."""
        if draw.weight != "live":
            return *self.stored(draw.weight), 0.0
        model, now = self.model(), self.now(draw.day)
        noise, static, start = torch.Generator().manual_seed(draw.seed), model.statics_of(now.grid), time.perf_counter()
        try:
            there = model.mean.device
            coarse, area, static = (x.to(there) for x in (now.coarse, now.area, static))
            made = model.sample(coarse, area, draw.draws, noise, static, progress, cancelled).cpu()
        except Cancelled as error:
            raise Overtaken from error
        if cancelled():
            raise Overtaken
        return draw.day, made[:, 0], time.perf_counter() - start

    def _finished(self, draw: Draw, members: Tensor, day: int) -> tuple[Tensor, dict[str, float], dict[str, Tensor]]:
        """Members with the constraint, their scores and spectra."""
        now = self.now(day)
        if draw.consistency != "none":
            given = now.coarse[0, :1].expand(len(members), -1, -1)
            members = make_constraint(draw.consistency, FACTOR)(members, given, now.area)
        return members, self._scores(members, now), {"mean": _power(members.mean(0)), "members": _power(members)}

    def _scores(self, fields: Tensor, now: TerrainFields) -> dict[str, float]:
        """Of (M, H, W) at one time."""
        wind, law = _wind(now), self.truth()[1]
        return detail_scores(fields, now.truth[0, 0], now.coarse[0, 0], now.grid, FACTOR, law, wind, TRUNCATION)

    def _residual(self, t: Tensor, now: TerrainFields) -> Tensor:
        """Of a field (H, W), K per day."""
        return PER_DAY * self.truth()[1].residual(t.double(), *(x.double() for x in _wind(now)))

    def _draw(self, draw: Draw, made: tuple[int, Tensor, float] | None, note: str = "") -> Picture:
        day, raw, seconds = (0 if draw.weight != "live" else draw.day, None, 0.0) if made is None else made
        now, (_, law, bicubic) = self.now(day), self.truth()
        truth = now.truth[0, 0]
        bicubic = bicubic[day : day + 1]
        maps, spectra, count, ratio = {"input": now.coarse[0, 0], "truth": truth}, {}, 0, float("nan")
        scores = {"bicubic": self._scores(bicubic, now)}
        if raw is not None:
            count, key = len(raw), (_key(draw), draw.consistency)
            members, own, spectra = self._tied.get(key, lambda: self._finished(draw, raw, day))
            scores = {"ensemble": own} | scores
            one = members[min(draw.which, count) - 1]
            u, v = (x.double() for x in _wind(now))
            ratio = float((law.relative(one.double(), u, v) / law.relative(truth.double(), u, v)).sqrt())
            maps |= {"mean": members.mean(0), "member": one, "error": members.mean(0) - truth,
                     "spread": members.std(0), "probability": (members > draw.threshold).float().mean(0),
                     "law": self._residual(one, now)}  # fmt: skip
        spectra = {"truth": _power(truth), "bicubic": _power(bicubic[0])} | spectra
        images, window = {name: east_first(x) for name, x in maps.items()}, globe(now.grid.latitude, now.grid.shape[1])
        return Picture(
            draw=draw,
            note=note,
            day=day,
            time=moment(now.time[0]),
            window=window,
            maps=images,
            limits=self.limits(),
            isotherm=_isotherm(images["truth"], window, draw.threshold),
            members=count,
            which=max(1, min(draw.which, count)),
            ratio=ratio,
            wavenumber=np.arange(1.0, len(spectra["truth"]) + 1),
            cutoff=max(now.grid.shape) / (2 * FACTOR),
            spectra={name: x.numpy() for name, x in spectra.items()},
            scores=scores,
            lapse_rate=law.lapse_rate,
            seconds=seconds,
            bicubic=east_first(bicubic[0]),
            rows=(np.asarray(now.grid.latitude), now.area[:, 0].double().numpy()),
            device=device_of(self.model()) if made is not None and draw.weight == "live" else "cpu",
        )

    def limits(self) -> dict[str, tuple[float, float]]:
        """Colour limits, the same for all times and members.

        Field: the central 99.8 % of the truth. Error of the mean: 98 % of the size of bicubic interpolation's. Spread:
        from zero to half of that. Law: 98 % of the size of the truth's residual.
        """

        def make() -> dict[str, tuple[float, float]]:
            fields, _, bicubic = self.truth()
            low, high = np.quantile(fields.truth.numpy(), [0.001, 0.999])
            error = float(np.quantile((bicubic - fields.truth[:, 0]).abs().numpy(), 0.98))
            size = [self._residual(t[0], self.now(k)).abs().numpy() for k, t in enumerate(fields.truth)]
            reach = float(np.quantile(size, 0.98))
            return {"field": (float(low), float(high)), "error": (-error, error), "spread": (0.0, error / 2),
                    "probability": (0.0, 1.0), "law": (-reach, reach)}  # fmt: skip

        return self._limits.get("limits", make)

    def card(self) -> dict[str, Any]:
        """The card of the model with its size; empty if it is not installed."""
        try:
            model = self.model()
        except Unavailable:
            return {}
        size = sum(p.numel() for p in model.parameters())
        own = {"class": type(model).__name__, "parameters": size, "sampler": model.sampler, "steps": model.steps}
        return {"name": SHIPPED, **own, **model.card}


def resolve(draw: Draw) -> Draw:
    """What matters of a selection: stored members have their own time, number and seed."""
    return draw if draw.weight == "live" else replace(draw, day=Draw.day, draws=DRAWS[0], seed=Draw.seed)


def _key(draw: Draw) -> Draw:
    """The selection of members, whatever is asked of them."""
    return replace(resolve(draw), consistency=Draw.consistency, threshold=Draw.threshold, which=Draw.which)


def _wind(fields: TerrainFields) -> tuple[Tensor, Tensor]:
    """Eastward and northward (H, W), m s-1."""
    u, v = fields.true_wind()
    return u[0], v[0]


def _power(x: Tensor) -> Tensor:
    """(K,) power spectrum of (H, W), or the mean of those of (M, H, W), without the zonal mean, as SpecDiv has it."""
    return radial_spectrum(eddies(x.double()))[1].reshape(-1, max(x.shape[-2:]) // 2).mean(0)[:TRUNCATION]


def _isotherm(x: np.ndarray, window: tuple[float, float, float, float], t: float) -> tuple[list, list]:
    """Lines of the value t, as the longitudes of each and the latitudes of each."""
    west, east, south, north = window
    (rows, columns), centre = x.shape, np.arange(max(x.shape)) + 0.5
    longitude, latitude = west + (east - west) * centre / columns, south + (north - south) * centre / rows
    lines = [np.asarray(line) for line in contour_generator(longitude[:columns], latitude[:rows], x).lines(t)]
    return [line[:, 0] for line in lines], [line[:, 1] for line in lines]
