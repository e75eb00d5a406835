"""Data, checkpoints and results for the explorer: calls into `physlab`, remembered under scalar keys.

One store serves all sessions and holds no selection. It keeps what is expensive (pairs, networks, panels, test-set
scores) in small caches whose keys are the hashable scalars of `apps.state.Choice`; arrays are never hashed. All methods
may be called from worker threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import physlab
from apps.cache import Cache
from apps.script import script
from apps.state import Choice
from physlab import score
from physlab.data import sr_pairs
from physlab.downscale import Constrained
from physlab.grid import coarsening_residual

BASELINES = ("bicubic+add", "bicubic", "nearest")
SPLIT = "test"
CHUNK = 20  # frames per step of a test-set evaluation: short enough to stop quickly
LONG_NAMES = {"tcw": "Total column water vapour", "t2m": "2-m temperature"}


class Unavailable(ValueError):
    """A data set or checkpoint that is not there: one sentence for the page."""


@dataclass(frozen=True, eq=False)
class Panel:
    """All that one selection shows. Maps are (rows, columns) with row 0 southernmost, float32, in `units`."""

    choice: Choice
    note: str
    frames: int
    time: str
    long_name: str
    units: str
    window: tuple[float, float, float, float]  # west, east, south, north edges, degrees
    maps: dict[str, np.ndarray]  # input, result, truth, error, residual
    limits: dict[str, tuple[float, float]]  # field, error, residual
    wavenumber: np.ndarray
    spectra: dict[str, np.ndarray]  # input, result, truth
    cutoff: float  # largest wavenumber of the input
    scores: dict[str, dict[str, float]]  # this, bicubic+add, bicubic, nearest -> score.table
    seconds: float


class Store:
    """Everything the views draw. `threads` caps torch; the server sets it once."""

    def __init__(self, threads: int | None = 1) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._data, self._models = Cache(6), Cache(40)
        self._panels, self._known, self._limits = Cache(256), Cache(1024), Cache(16)
        self._tests, self._fields = Cache(200), Cache(4)

    # -- what there is -------------------------------------------------------------------------------------------

    def data(self, task: str, factor: int):
        """Pairs of the test split."""
        try:
            return self._data.get((task, factor), lambda: sr_pairs(task, factor, splits=(SPLIT,)))
        except (ValueError, OSError) as error:
            raise Unavailable(f"Data set {task} is not available: {error}") from error

    def frames(self, task: str) -> int:
        """Number of frames of the test split; 1 if the data set is missing."""
        try:
            return len(self.data(task, 4).fine[SPLIT])
        except Unavailable:
            return 1

    def model(self, name: str):
        """A Downscaler by its name in the zoo."""
        try:
            return self._models.get(name, lambda: physlab.load_model(name))
        except (ValueError, OSError) as error:
            raise Unavailable(f"Checkpoint {name} is not available: {error}") from error

    def resolve(self, choice: Choice) -> tuple[Choice, str]:
        """What can be shown for a selection, and a sentence if that is not the selection itself."""
        choice = choice.with_(frame=min(choice.frame, self.frames(choice.dataset) - 1))
        notes = []
        if choice.method == "network":
            try:
                self.model(_checkpoint(choice))
            except Unavailable:
                wanted = f"{choice.dataset} at factor {choice.factor}"
                notes.append(
                    f"No trained network is installed for {wanted} with this constraint: showing bicubic instead, "
                    "with the constraint applied afterwards."
                )
                choice = choice.with_(method="bicubic", mode="applied")
        if choice.method != "network":
            choice = choice.with_(mode="applied")
        if choice.mode == "applied" and choice.constraint == "soft":
            notes.append(
                "The soft penalty acts on training only and cannot be applied afterwards: showing no constraint."
            )
            choice = choice.with_(constraint="none")
        return choice, " ".join(notes)

    # -- one frame -----------------------------------------------------------------------------------------------

    def cached(self, choice: Choice) -> Panel | None:
        """The panel if it was made before."""
        return self._panels.peek(choice)

    def panel(self, choice: Choice) -> Panel:
        """Everything that one selection shows."""
        return self._panels.get(choice, lambda: self._make_panel(choice))

    def _make_panel(self, asked: Choice) -> Panel:
        start = time.perf_counter()
        choice, note = self.resolve(asked)
        data = self.data(choice.dataset, choice.factor)
        at = slice(choice.frame, choice.frame + 1)
        truth, coarse = data.fine[SPLIT][at], data.coarse[SPLIT][at]
        result = self.method(choice).predict(coarse, data.weights)
        known = self._known.get(
            (choice.dataset, choice.factor, choice.frame), lambda: self._make_known(truth, coarse, data)
        )
        northward = 1 if data.latitude[0] < data.latitude[-1] else -1
        fields = {
            "input": coarse,
            "result": result,
            "truth": truth,
            "error": result - truth,
            "residual": coarsening_residual(result, coarse, choice.factor, data.weights),
        }
        wavenumber, power = _spectrum(result)
        return Panel(
            choice=choice,
            note=note,
            frames=len(data.fine[SPLIT]),
            time=_moment(data.time[SPLIT][choice.frame]),
            long_name=LONG_NAMES.get(data.variable, data.variable),
            units=_pretty(data.units),
            window=_window(data, choice.frame),
            maps={name: np.ascontiguousarray(x[0, 0].numpy()[::northward]) for name, x in fields.items()},
            limits=self.limits(choice.dataset, choice.factor),
            wavenumber=wavenumber,
            spectra={**known["spectra"], "result": power},
            cutoff=max(data.shape) / (2 * choice.factor),
            scores={"this": self._table(result, truth, coarse, data), **known["scores"]},
            seconds=time.perf_counter() - start,
        )

    def _make_known(self, truth: torch.Tensor, coarse: torch.Tensor, data) -> dict[str, dict]:
        """What all methods share in one frame: the scores of the baselines, the spectra of input and truth."""
        baselines = {name: self._predict(f"{name}-x{data.factor}", coarse, data) for name in BASELINES}
        return {
            "scores": {name: self._table(x, truth, coarse, data) for name, x in baselines.items()},
            "spectra": {"input": _spectrum(baselines["bicubic"])[1], "truth": _spectrum(truth)[1]},
        }

    def method(self, choice: Choice):
        """The Downscaler of a resolved selection."""
        method = self.model(_checkpoint(choice))
        if choice.mode == "applied" and choice.constraint != "none":
            method = Constrained(
                method, choice.constraint, **_options(choice, self.data(choice.dataset, choice.factor))
            )
        return method

    def _predict(self, name: str, coarse: torch.Tensor, data) -> torch.Tensor:
        return self.model(name).predict(coarse, data.weights)

    def _table(self, result: torch.Tensor, truth: torch.Tensor, coarse: torch.Tensor, data) -> dict[str, float]:
        return score.table(result, truth, coarse, data.factor, data_range=data.data_range(SPLIT), weights=data.weights)

    def limits(self, task: str, factor: int) -> dict[str, tuple[float, float]]:
        """Colour limits of a data set and factor, the same for all its frames, methods and constraints.

        Fields: the central 99.8 % of the truth. Error and residual: symmetric, 99.5 % of those of bicubic.
        """
        return self._limits.get((task, factor), lambda: self._make_limits(task, factor))

    def _make_limits(self, task: str, factor: int) -> dict[str, tuple[float, float]]:
        data = self.data(task, factor)
        some = slice(None, None, max(1, len(data.fine[SPLIT]) // 24))
        truth, coarse = data.fine[SPLIT][some], data.coarse[SPLIT][some]
        bicubic = self._predict(f"bicubic-x{factor}", coarse, data)
        residual = coarsening_residual(bicubic, coarse, factor, data.weights)
        low, high = np.quantile(truth.numpy(), [0.001, 0.999])
        reach = {
            name: float(np.quantile(np.abs(x.numpy()), 0.995))
            for name, x in {"error": bicubic - truth, "residual": residual}.items()
        }
        return {
            "field": (0.0 if data.non_negative else float(low), float(high)),
            **{name: (-top, top) for name, top in reach.items()},
        }

    # -- the whole test split ------------------------------------------------------------------------------------

    def test_scores(
        self, choice: Choice, cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, float]] | None:
        """Scores over the test split of a selection and of the baselines; None if `cancelled` said so on the way.

        A network with the constraint it was trained with has its scores on its card; all else is evaluated here, once.
        """
        choice = self.resolve(choice)[0].with_(frame=0)
        scores = {}
        for name, selection in {"this": choice, **{name: _baseline(choice, name) for name in BASELINES}}.items():
            scores[name] = self._test_table(selection, cancelled)
            if scores[name] is None:
                return None
        return scores

    def cached_test_scores(self, choice: Choice) -> dict[str, dict[str, float]] | None:
        """The scores over the test split if nothing has to be computed for them."""
        choice = self.resolve(choice)[0].with_(frame=0)
        scores = {
            name: self._tests.peek(c)
            for name, c in {"this": choice, **{n: _baseline(choice, n) for n in BASELINES}}.items()
        }
        return scores if all(table is not None for table in scores.values()) else None

    def _test_table(self, choice: Choice, cancelled: Callable[[], bool]) -> dict[str, float] | None:
        table = self._tests.peek(choice)
        if table is None and choice.method == "network" and choice.mode == "trained":
            card, data = self.card(choice), self.data(choice.dataset, choice.factor)
            if card.get("split_hashes", {}).get(SPLIT) == data.hashes[SPLIT]:
                table = card.get("scores", {}).get(SPLIT)
        if table is None:
            data = self.data(choice.dataset, choice.factor)
            result = self._test_fields(_checkpoint(choice), data, cancelled)
            if result is None:
                return None
            method = self.method(choice)
            if isinstance(method, Constrained):
                result = method.constrain(result, data.coarse[SPLIT], data.weights)
            table = self._table(result, data.fine[SPLIT], data.coarse[SPLIT], data)
        return self._tests.get(choice, lambda: table)

    def _test_fields(self, name: str, data, cancelled: Callable[[], bool]) -> torch.Tensor | None:
        """What a model makes of all test frames, in short steps."""
        key = (name, data.task)
        fields = self._fields.peek(key)
        if fields is None:
            steps = []
            for coarse in data.coarse[SPLIT].split(CHUNK):
                if cancelled():
                    return None
                steps.append(self._predict(name, coarse, data))
            fields = torch.cat(steps)
        return self._fields.get(key, lambda: fields)

    # -- provenance ----------------------------------------------------------------------------------------------

    def card(self, choice: Choice) -> dict[str, Any] | None:
        """The card of the checkpoint behind a resolved selection; None for interpolation."""
        if choice.method != "network":
            return None
        return dict(getattr(self.model(_checkpoint(choice)), "card", None) or {})

    def code(self, choice: Choice) -> str:
        """A script that prints the scores of a resolved selection from the library alone."""
        data = self.data(choice.dataset, choice.factor)
        return script(choice, _checkpoint(choice), _options(choice, data), SPLIT, data.units)


def _checkpoint(choice: Choice) -> str:
    """Name in the zoo of the model behind a selection."""
    if choice.method != "network":
        return f"{choice.method}-x{choice.factor}"
    return f"{choice.dataset}-x{choice.factor}-{choice.constraint if choice.mode == 'trained' else 'none'}"


def _baseline(choice: Choice, name: str) -> Choice:
    """The selection that stands for a baseline of the score table."""
    method, _, constraint = name.partition("+")
    return choice.with_(method=method, mode="applied", constraint=constraint or "none")


def _options(choice: Choice, data) -> dict[str, Any]:
    """Arguments of a layer that is applied afterwards, physical units: scaled_add needs bounds of the values."""
    if choice.constraint != "scaled_add":
        return {}
    offset, scale = data.scaling.offset[0], data.scaling.scale[0]
    reach = (0.0, scale) if data.non_negative else (offset - 5 * scale, offset + 5 * scale)
    return {"bounds": tuple(round(bound, 3) for bound in reach)}


def _spectrum(field: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers and power (K,) of one frame (1, 1, H, W), tapered because no map is periodic both ways."""
    wavenumber, power = score.radial_spectrum(field, window="hann")
    return wavenumber.numpy().astype(float), power.numpy().astype(float).ravel()


def _window(data, frame: int) -> tuple[float, float, float, float]:
    """West, east, south and north edge of a frame in degrees, the centre within -180 to 180."""
    longitude = np.asarray(data.longitude[SPLIT][frame], dtype=float)
    latitude = np.sort(np.asarray(data.latitude, dtype=float))
    half_x, half_y = (longitude[1] - longitude[0]) / 2, (latitude[-1] - latitude[0]) / (latitude.size - 1) / 2
    turn = 360.0 * np.floor((longitude.mean() + 180.0) / 360.0)
    south, north = max(latitude[0] - half_y, -90.0), min(latitude[-1] + half_y, 90.0)
    return float(longitude[0] - half_x - turn), float(longitude[-1] + half_x - turn), float(south), float(north)


def _moment(when) -> str:
    return np.datetime_as_string(np.datetime64(when, "m"), unit="m").replace("T", " ")


def _pretty(units: str) -> str:
    return units.replace("m-2", "m⁻²").replace("**-2", "⁻²")
