r"""Place and time of a continuous field, and the metric that turns scaled derivatives into SI units.

On the sphere :math:`\partial_x = (a \cos\varphi)^{-1} \partial_\lambda` and
:math:`\partial_y = a^{-1} \partial_\varphi`; on a plane x and y are metres. The published code differentiates by grid
indices instead, so that its coefficients depend on the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.errors import FieldError, PhysLabError


@dataclass(frozen=True)
class Domain:
    """A box in space and time.

    Attributes
    ----------
    x, y : limits, degrees east and north, or metres if `plane`.
    t : limits in seconds after `start`.
    start : ISO time of t = 0, or "".
    plane : a Cartesian plane without rotation.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    t: tuple[float, float]
    start: str = ""
    plane: bool = False

    def __post_init__(self) -> None:
        if any(not b > a for a, b in (self.x, self.y, self.t)):
            raise PhysLabError(f"domain x {self.x}, y {self.y}, t {self.t}: each second limit must exceed the first")
        if not self.plane and max(map(abs, self.y)) >= 90:
            raise PhysLabError(f"latitudes {self.y}: east has no meaning at a pole, stay below 90 degrees")

    @classmethod
    def of(cls, ds: xr.Dataset, plane: bool = False) -> Domain:
        """The box around a Dataset (time, latitude, longitude), or (time, y, x) in metres for a plane."""
        x, y = (ds["x"], ds["y"]) if plane else (ds["longitude"], ds["latitude"])
        if ds["time"].size < 2 or min(x.size, y.size) < 2:
            raise FieldError("a domain needs at least two times, rows and columns")
        seconds, start = seconds_of(ds["time"].values)
        east, north = ((float(a.min()), float(a.max())) for a in (x, y))
        return cls(east, north, (0.0, float(seconds[-1])), start, plane)

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        return self.x, self.y, self.t

    def scaled(self, points: Tensor) -> Tensor:
        """(N, 3) of x, y, t -> [-1, 1] within the box, in the dtype of the points."""
        low = torch.tensor([a for a, _ in self.limits], dtype=torch.float64, device=points.device)
        high = torch.tensor([b for _, b in self.limits], dtype=torch.float64, device=points.device)
        return (2 * (points.double() - low) / (high - low) - 1).to(points.dtype)

    def points(self, scaled: Tensor) -> Tensor:
        """The inverse of :meth:`scaled`."""
        low = scaled.new_tensor([a for a, _ in self.limits])
        high = scaled.new_tensor([b for _, b in self.limits])
        return low + 0.5 * (scaled + 1) * (high - low)

    def latitude(self, points: Tensor) -> Tensor:
        """(N,) radians; zero on a plane."""
        return torch.zeros_like(points[:, 1]) if self.plane else torch.deg2rad(points[:, 1])

    def coriolis(self, points: Tensor) -> Tensor:
        """f = 2 Omega sin(latitude), s-1; zero on a plane."""
        return 2 * OMEGA * torch.sin(self.latitude(points))

    def slopes(self, points: Tensor) -> Tensor:
        """(3, N): scaled coordinate per metre eastward, per metre northward, and per second."""
        spans = [b - a for a, b in self.limits]
        if not self.plane:
            metres = EARTH_RADIUS * math.pi / 180
            spans[0], spans[1] = spans[0] * metres, spans[1] * metres
        per = torch.tensor([2 / s for s in spans], dtype=points.dtype, device=points.device)
        east = per[0] / torch.cos(self.latitude(points))
        return torch.stack([east, per[1].expand_as(east), per[2].expand_as(east)])

    def sample(self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """(count, 3) points, uniform by area and time."""
        scaled = 2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1
        points = self.points(scaled)
        if not self.plane:
            south, north = (math.sin(math.radians(a)) for a in self.y)
            share = 0.5 * (scaled[:, 1] + 1)
            points[:, 1] = torch.rad2deg(torch.asin(south + share * (north - south)))
        return points.to(dtype)


def seconds_of(time: np.ndarray, start: str = "") -> tuple[np.ndarray, str]:
    """Times as seconds after `start` (ISO; the first time if empty), and that start; numbers pass as seconds."""
    time = np.atleast_1d(np.asarray(time))
    if not np.issubdtype(time.dtype, np.datetime64):
        return time.astype(np.float64), start
    stamps = time.astype("datetime64[ns]")
    origin = np.datetime64(start, "ns") if start else stamps[0]
    return (stamps - origin).astype(np.int64) / 1e9, str(origin)


def grid_points(domain: Domain, x: np.ndarray, y: np.ndarray, time: np.ndarray) -> Tensor:
    """(T * H * W, 3) points of a grid, time slowest, longitude fastest."""
    seconds, _ = seconds_of(time, domain.start)
    t, lat, lon = np.meshgrid(seconds, np.asarray(y, float), np.asarray(x, float), indexing="ij")
    return torch.from_numpy(np.stack([lon.ravel(), lat.ravel(), t.ravel()], axis=-1)).float()
