"""What the Assimilate view shows: calls into `physlab.views.twin`, remembered under scalar keys.

One store serves all sessions. All methods may be called from worker threads. What costs time is the analysis: 0.1 s of
a network that answers at once, up to 20 s of an ensemble that is sampled. An analysis has all fields, so that another
field of it costs next to nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apps.cache import Cache
from apps.globe import east_first, globe, moment
from apps.machine import device_of, opened
from apps.options import ASSIMILATORS, LAWS
from apps.problems import Overtaken, Unavailable, needed, never, silent
from apps.state import Setup
from physlab.assimilate import Learned
from physlab.constants import GRAVITY
from physlab.equations import LAWS as EQUATIONS
from physlab.equations import relative_residual
from physlab.errors import Cancelled
from physlab.views.twin import HEADLINE, Case, Twin, residual, shown, spectrum
from physlab.zoo import assimilator_folders

Progress = Callable[[int, int], None]
MADE = 6  # analyses that are kept with all their fields, 20 MB each of 16 members
LAW_UNITS = {"thickness": (1 / GRAVITY, "m"), "geostrophic": (1e4, "10⁻⁴ m s⁻²")}
LAW_UNITS |= {name: (1.0, EQUATIONS.specs[name].facts.get("units", "")) for name in LAWS if name not in LAW_UNITS}


@dataclass(frozen=True, eq=False)
class Picture:
    """All that one selection shows. Maps have row 0 southernmost, the first column at the date line, float32.

    Without an analysis, because it is being made or its method is missing, `maps` and `spectra` lack what comes from
    it and `scores` is empty.
    """

    setup: Setup
    note: str
    time: str
    units: str
    scale: float  # from SI units
    window: tuple[float, float, float, float]
    maps: dict[str, np.ndarray]
    limits: dict[str, tuple[float, float]]  # field, error, spread, balance
    layer: str  # where the balance is asked for
    ratios: dict[str, float]  # of_truth, of_background, of_analysis: residuals of the layer, relative to the truth's
    longitude: np.ndarray  # of the columns
    latitude: np.ndarray
    own: np.ndarray  # bool, which of them are your own
    members: int
    wavenumber: np.ndarray
    spectra: dict[str, np.ndarray]  # truth, background, analysis, members
    scores: dict[str, dict[str, float]]
    balance: dict[str, dict[str, float]]
    divergence: dict[str, float]
    seconds: float  # of the analysis
    rows: tuple[np.ndarray, np.ndarray]  # latitude and area of those of the maps
    device: str = "cpu"  # that computed it


class Analyses:
    """Everything the Assimilate view draws. `pool` makes analyses; None for the workers of the other views."""

    def __init__(self, pool: Executor | None = None) -> None:
        self.pool = pool
        self._twin, self._models, self._offers = Cache(1), Cache(16), Cache(2)
        self._cases, self._made, self._pictures, self._limits = Cache(6), Cache(MADE), Cache(64), Cache(128)

    # -- what there is -------------------------------------------------------------------------------------------

    def twin(self) -> Twin:
        """Truths and backgrounds, opened once."""
        with needed("The twin experiment is not available"):
            return self._twin.get("twin", Twin.open)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of the grid points, degrees."""
        space = self.twin().space
        return np.asarray(space.latitude), np.asarray(space.longitude)

    def offers(self) -> dict[str, str]:
        """Method -> its name in the zoo, for those that are installed; looked up anew every few seconds."""

        def look() -> dict[str, str]:
            there = {plain(name): name for name in reversed(assimilator_folders())}  # the first seed of each
            return {n: there[plain(n)] for n in ASSIMILATORS if plain(n) in there}

        return self._offers.get(int(time.monotonic() // 10), look)

    def model(self, name: str) -> Learned:
        """A method by its name among the options."""
        try:
            return self._models.get(name, lambda: opened(self.offers()[name]))
        except (KeyError, ValueError, OSError) as error:
            there = ", ".join(ASSIMILATORS[n] for n in self.offers())
            what = f"here are: {there}" if there else "no method of assimilation is"
            damage = f" ({error})" if not isinstance(error, KeyError) else ""
            raise Unavailable(f"{ASSIMILATORS[name]} is not installed{damage}; {what}.") from error

    def has_members(self, name: str) -> bool:
        """Whether a method gives ensembles; True of one that nobody has opened yet."""
        model = self._models.peek(name)
        return model is None or model.ensemble

    def resolve(self, setup: Setup) -> Setup:
        """What can be shown of a selection: one member of a method without an ensemble."""
        return setup if self.has_members(setup.assimilator) else replace(setup, members=1)

    # -- one selection -------------------------------------------------------------------------------------------

    def case(self, setup: Setup) -> Case:
        """Truth, background and observations."""
        key = (setup.when, setup.share, setup.own, setup.noise, setup.seed)
        made = lambda: self.twin().case(setup.when, setup.share / 100, setup.points, setup.noise, setup.seed)  # noqa: E731
        return self._cases.get(key, made)

    def known(self, setup: Setup) -> bool:
        """Whether the analysis was made before."""
        return self._made.peek(self._key(setup)) is not None

    def cached(self, setup: Setup) -> Picture | None:
        """The picture if it was made before."""
        return self._pictures.peek(self.resolve(setup))

    def picture(self, setup: Setup, cancelled: Callable[[], bool] = never, progress: Progress = silent) -> Picture:
        """Everything that one selection shows.

        Raises
        ------
        Overtaken : `cancelled` said so between two steps of the method.
        """
        try:
            self.model(setup.assimilator)
        except Unavailable as error:
            return self.started(setup, str(error))
        setup = self.resolve(setup)
        made, seconds = self._made.get(self._key(setup), lambda: self._analyse(setup, cancelled, progress))
        return self._pictures.get(setup, lambda: self._draw(setup, made, seconds))

    def started(self, setup: Setup, note: str = "") -> Picture:
        """What is known before there is an analysis."""
        return self._draw(self.resolve(setup), None, 0.0, note)

    def _key(self, setup: Setup) -> Setup:
        """The selection of an analysis: whatever field and law are shown."""
        return replace(self.resolve(setup), channel=Setup.channel, balance=Setup.balance)

    def _analyse(self, setup: Setup, cancelled: Callable[[], bool], progress: Progress) -> tuple[Tensor, float]:
        """Members (M, C, H, W) of the analysis and the seconds that it took."""
        case, start = self.case(setup), time.perf_counter()
        model = self.model(setup.assimilator)
        try:
            made = model.analyse(
                case.background, case.observations, members=setup.members, seed=setup.seed, progress=progress,
                cancel=cancelled,
            )  # fmt: skip
        except Cancelled as error:
            raise Overtaken from error
        if cancelled():
            raise Overtaken
        return case.fields(made).float(), time.perf_counter() - start

    def _draw(self, setup: Setup, made: Tensor | None, seconds: float, note: str = "") -> Picture:
        case, twin = self.case(setup), self.twin()
        space, k, (scale, units) = twin.space, twin.space.index(setup.channel), shown(setup.channel)
        known = case.known
        fields = {name: scale * x[k] for name, x in known.items()}
        fields["before"] = fields["background"] - fields["truth"]
        laws = dict(known)
        power = {name: x[k] for name, x in known.items()}
        members = made.double() if made is not None else None
        if members is not None:
            own = scale * members[:, k]
            fields |= {"analysis": own.mean(0), "error": own.mean(0) - fields["truth"]}
            fields["increment"] = fields["analysis"] - fields["background"]
            laws["analysis"] = members.mean(0)
            power["analysis"] = members[:, k].mean(0)
            if len(members) > 1:
                fields |= {"spread": own.std(0), "member": own[0]}
                power["members"] = members[:, k]
        balance = {f"of_{name}": self._residual(x, setup) for name, x in laws.items()}
        fields |= {name: _drawn(x) for name, x in balance.items()}
        truth, area = balance["of_truth"], space.area.double()
        spectra = {name: scale**2 * np.atleast_2d(spectrum(x, space)[1]).mean(0) for name, x in power.items()}
        latitude, longitude = case.places
        names = dict.fromkeys((*HEADLINE, setup.channel))
        return Picture(
            setup=setup,
            note=note,
            time=moment(twin.times[setup.when]),
            units=units,
            scale=scale,
            window=globe(space.latitude, space.shape[2]),
            maps={name: east_first(x) for name, x in fields.items()},
            limits=self.limits(setup.channel, setup.balance),
            layer=_layer(setup, space.levels),
            ratios={name: float(relative_residual(x, truth, area)) for name, x in balance.items()},
            longitude=(longitude + 180.0) % 360.0 - 180.0,
            latitude=latitude,
            own=np.isin(case.points, setup.points),
            members=0 if members is None else len(members),
            wavenumber=spectrum(known["truth"][k], space)[0].astype(float),
            spectra=spectra,
            scores={} if members is None else case.scores(members, names, self.model(setup.assimilator).centred),
            balance={} if members is None else case.balance(members),
            divergence={} if members is None else case.divergence(members, setup.channel),
            seconds=seconds,
            rows=(np.asarray(space.latitude), area[:, 0].numpy()),
            device="cpu" if members is None else device_of(self.model(setup.assimilator)),
        )

    def _residual(self, x: Tensor, setup: Setup) -> Tensor:
        """Of states (C, H, W), at the level that is shown: (H, W), or (2, H, W) of the geostrophic balance."""
        space = self.twin().space
        return LAW_UNITS[setup.balance][0] * residual(x, setup.balance, space)[..., _level(setup, space.levels), :, :]

    def limits(self, channel: str, law: str) -> dict[str, tuple[float, float]]:
        """Colour limits of a field, the same for all times and methods.

        Field: the central 99.8 % of the truth, symmetric for winds. Errors and increment: 99.5 % of the size of the
        background's errors. Spread: from zero to half of that. Balance: 98 % of the size of the truth's residual.
        """
        return self._limits.get((channel, law), lambda: self._make_limits(channel, law))

    def _make_limits(self, channel: str, law: str) -> dict[str, tuple[float, float]]:
        twin, setup, scale = self.twin(), Setup(channel=channel, balance=law), shown(channel)[0]
        cases = [twin.case(n, share=0.0).known for n in range(len(twin.times))]
        k = twin.space.index(channel)
        truth, background = (scale * torch.stack([c[name][k] for c in cases]) for name in ("truth", "background"))
        low, high = np.quantile(truth.numpy(), [0.001, 0.999])
        if channel[0] in "uv":
            low, high = -max(-low, high), max(-low, high)
        error = float(np.quantile((background - truth).abs().numpy(), 0.995))
        size = np.concatenate([_drawn(self._residual(c["truth"], setup)).abs().numpy().ravel() for c in cases])
        reach = float(np.nanquantile(size, 0.98))
        return {
            "field": (float(low), float(high)),
            "error": (-error, error),
            "spread": (0.0, error / 2),
            "balance": (0.0, reach) if self._residual(cases[0]["truth"], setup).ndim > 2 else (-reach, reach),
        }

    def card(self, name: str) -> dict[str, Any]:
        """The card of a method, with its class and size; empty if it is not installed."""
        try:
            model = self.model(name)
        except Unavailable:
            return {}
        size = sum(p.numel() for p in model.parameters())
        return {"name": self.offers().get(name, name), "class": type(model).__name__, "parameters": size, **model.card}


def plain(name: str) -> str:
    """A name of the zoo without its seed and hyphens."""
    return re.sub(r"-s\d+$", "", name).replace("-", "")


def _level(setup: Setup, levels: tuple[float, ...]) -> int:
    """Which level, or layer below it, belongs to a channel; the lowest one of the fields without levels."""
    number = setup.channel.lstrip("abcdefghijklmnopqrstuvwxyz_")
    at = levels.index(float(number)) if number else len(levels) - 1
    return min(at, len(levels) - 2) if setup.balance == "thickness" else at


def _layer(setup: Setup, levels: tuple[float, ...]) -> str:
    at = _level(setup, levels)
    return f"{levels[at]:g}–{levels[at + 1]:g} hPa" if setup.balance == "thickness" else f"{levels[at]:g} hPa"


def _drawn(x: Tensor) -> Tensor:
    """A residual as a map: itself, or the length of a vector (2, H, W)."""
    return x if x.ndim == 2 else torch.linalg.vector_norm(x, dim=0)
