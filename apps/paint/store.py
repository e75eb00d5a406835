"""What the Paint view shows: calls into `physlab.views.painter`, remembered under scalar keys.

One store serves all sessions. The truth, the observations and the Kalman filter's answer are there at once; the method
takes a second, and with many exact observations some ten.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from apps.cache import Cache
from apps.problems import Overtaken, never
from apps.state import Paint
from physlab.errors import Cancelled
from physlab.views.painter import STD, Canvas, certificate

MOST = 1e6  # m, of what is drawn: an unstable method goes beyond all numbers
LIMITS = {"field": (-2.5 * STD, 2.5 * STD), "error": (-1.0, 1.0), "spread": (0.0, STD)}


@dataclass(frozen=True, eq=False)
class Picture:
    """All that one selection shows. Maps have row 0 southernmost, float32.

    Without the answer of the method, because it is being made, `maps` and `scores` lack it and `certificate` is empty.
    """

    paint: Paint
    window: tuple[float, float, float, float]
    maps: dict[str, np.ndarray]
    longitude: np.ndarray  # of the stations
    latitude: np.ndarray
    scores: dict[str, float]  # RMSE, m: prior, kalman, asked
    certificate: dict[str, float]
    waves: int
    seconds: float
    note: str = ""
    time: str = ""


class Paintings:
    """Everything the Paint view draws. `pool` asks methods; None for the workers of the other views."""

    def __init__(self, pool: Executor | None = None) -> None:
        self.pool = pool
        self._pictures = Cache(64)

    def known(self, paint: Paint) -> bool:
        """Whether the method was asked before."""
        return self.cached(paint) is not None

    def cached(self, paint: Paint) -> Picture | None:
        """The whole picture if it was made before."""
        return self._pictures.peek(paint)

    def started(self, paint: Paint, note: str = "") -> Picture:
        """What is known before the method has answered."""
        return draw(paint, None, 0.0, note)

    def picture(self, paint: Paint, cancelled: Callable[[], bool] = never, progress: Callable | None = None) -> Picture:
        """Everything that one selection shows.

        Raises
        ------
        Overtaken : `cancelled` said so between two steps of the method.
        """
        return self._pictures.get(paint, lambda: _ask(paint, cancelled, progress))


def _ask(paint: Paint, cancelled: Callable[[], bool], progress: Callable | None) -> Picture:
    canvas, start = Canvas.make(), time.perf_counter()
    if not paint.stations:
        return draw(paint, canvas.before, 0.0)
    seen = canvas.observe(paint.stations, paint.sigma, paint.seed)
    try:
        answer = canvas.ask(paint.guide, seen, progress=progress, cancel=cancelled)
    except Cancelled as error:
        raise Overtaken from error
    return draw(paint, answer, time.perf_counter() - start)


def draw(paint: Paint, answer, seconds: float, note: str = "") -> Picture:
    """A picture of an answer (mean, covariance), or of None."""
    canvas = Canvas.make()
    seen = canvas.observe(paint.stations, paint.sigma, paint.seed) if paint.stations else None
    exact = canvas.kalman(seen) if seen is not None else canvas.before
    half_y, half_x = ((a[1] - a[0]) / 2 for a in (canvas.latitude, canvas.longitude))
    maps = {
        "truth": canvas.map(canvas.truth(paint.seed)),
        "kalman": canvas.map(exact[0]),
        "kalman_spread": canvas.spread(exact[1]),
    }
    scores = {"prior": canvas.rmse(canvas.before[0], paint.seed), "kalman": canvas.rmse(exact[0], paint.seed)}
    found: dict[str, float] = {}
    if answer is not None:
        maps |= {"asked": canvas.map(answer[0]), "asked_spread": canvas.spread(answer[1])}
        maps["apart"] = (maps["asked"] - maps["kalman"]) / maps["kalman_spread"]
        scores["asked"] = canvas.rmse(answer[0], paint.seed)
        if seen is not None:
            found = certificate(canvas, seen, answer, exact)
    row, column = np.unravel_index(np.array(paint.stations, dtype=int), canvas.shape)
    return Picture(
        paint=replace(paint),
        window=(canvas.longitude[0] - half_x, canvas.longitude[-1] + half_x, canvas.latitude[0] - half_y,
                canvas.latitude[-1] + half_y),
        maps={name: np.clip(x, -MOST, MOST).astype(np.float32) for name, x in maps.items()},
        longitude=canvas.longitude[column],
        latitude=canvas.latitude[row],
        scores=scores,
        certificate=found,
        waves=len(canvas.variances),
        seconds=seconds,
        note=note,
    )  # fmt: skip
