r"""The LETKF with an ensemble that never changes: errors of the past as the members' distances from the background.

Where there is one background and no ensemble, errors of earlier forecasts stand for it (ensemble optimal interpolation:
Oke et al. 2002, Mon. Weather Rev. 130, 1360-1383; Evensen 2003, Ocean Dynamics 53, 343-367), here with the local
transform of Hunt, Kostelich and Szunyogh (2007, see :mod:`~physlab.assimilate.letkf`). With the taper
:math:`\rho_{pj}` of column j at the point p, which all channels of the column share, and white anomalies Z_j (N, C),

.. math:: C_p = \sum_j \rho_{pj} Z_j Z_j^T, \qquad b_p = \sum_j \rho_{pj} Z_j d_j,

so that each column enters as one N x N matrix. Weights vary slowly, over the radius: they are computed at the centres
of 2 x 2 points and interpolated (Yang et al. 2009, Q. J. R. Meteorol. Soc. 135, 251-262).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from physlab.assimilate.etkf import transform
from physlab.assimilate.learned import Cancel, Learned, Progress, about
from physlab.assimilate.localisation import gaspari_cohn, sphere_distance
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.errors import FieldError, PhysLabError
from physlab.registry import register, watched

STEP = 2  # grid points from one transform to the next
NUMBERS = 2**24  # most numbers in the matrices that are held at a time


@register("static letkf", title="LETKF, static members", kind="assimilation", ensemble=True, order=47, view="letkf")
class StaticLETKF(Learned):
    """The method, made by :meth:`from_increments`. Its ensemble is large; it is made where it is needed, not shipped.

    With one member it gives the mean; with more, so many members of the analysis, drawn from its N.

    Parameters
    ----------
    space : channels, grid and units; H and W even, whole circles of latitude.
    size : N members.
    radius : c of the Gaspari-Cohn taper (m), half of the distance at which it becomes zero.
    floor : least standard deviation of the observation errors, in units of the background error. The 40 values of a
        column would else ask for more directions than N members have.
    inflation : factor of the anomalies.

    Notes
    -----
    Tuned like :class:`~physlab.assimilate.global3d.GlobalVar3D`: size 64, 128, 256; radius 350 to 1400 km; floor 0.1,
    0.15, 0.3, 0.4, 0.5, 0.6, 1; inflation 1, 1.3; bias 0, 0.7. Wide radii with exact observations are worse than the
    background (1.45 for 1400 km and floor 0.1): 40 values of a column ask more than the members know. Normalised mean
    square error, the background's being 1, on 9 validation states:

    ====================  =====  =====  =====
    share of points        10 %    2 %  0.5 %
    ====================  =====  =====  =====
    with the bias         0.550  0.862  0.955
    bias = 0              0.564  0.878  0.970
    ====================  =====  =====  =====

    Size 256 (radius 500 km, floor 0.2) gives 0.538 at 10 % and 0.859 at 2 %, on 4 states, for three times the work.

    About 1.5 s per state for the mean, 3 s for members, on one core of a CPU. Eight members at 2 %: spread over error
    of the mean 0.94.
    """

    ensemble = centred = True
    anomalies: Tensor
    bias: Tensor

    def __init__(
        self, space: StateSpace, size: int = 128, radius: float = 6e5, floor: float = 0.4, inflation: float = 1.0
    ) -> None:
        super().__init__(space, size=size, radius=radius, floor=floor, inflation=inflation)
        if size < 2 or not (radius > 0 and floor > 0 and inflation > 0):
            raise PhysLabError(
                f"size {size}, radius {radius} m, floor {floor}, inflation {inflation}: pass at least 2 members, the "
                "others above 0"
            )
        if space.shape[1] % STEP or space.shape[2] % STEP:
            raise PhysLabError(f"states of {space.shape[1]} x {space.shape[2]} points: pass even numbers of both")
        self.register_buffer("anomalies", torch.zeros(size, *space.shape))
        self.register_buffer("bias", torch.zeros(space.shape))

    @classmethod
    def from_increments(cls, increments: Tensor, space: StateSpace, bias: float = 0.7, **settings) -> StaticLETKF:
        """Of true increments (N, C, H, W) of a training block, in units of the background error.

        Parameters
        ----------
        bias : share of their mean that is taken for the bias; 0 for none.
        settings : of the constructor; without `size` at most 128 members are taken, evenly in time.
        """
        if increments.ndim != 4 or tuple(increments.shape[1:]) != space.shape or len(increments) < 2:
            raise FieldError(
                f"increments have shape {tuple(increments.shape)}: pass at least 2 samples (N, "
                f"{', '.join(map(str, space.shape))})"
            )
        size = settings.setdefault("size", min(128, len(increments)))
        if size > len(increments):
            raise PhysLabError(f"size is {size}, but {len(increments)} samples came: pass at most so many")
        method = cls(space, **settings)
        chosen = increments[torch.linspace(0, len(increments) - 1, size).round().long()]
        method.anomalies.copy_(chosen - chosen.mean(0))
        method.bias.copy_(bias * increments.mean(0))
        method.card = {"samples": len(increments), "bias": bias}
        return method.eval()

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        size = self.arguments["size"]
        if members > size:
            raise PhysLabError(f"{members} members of an ensemble of {size}: pass at most so many")
        made = []
        for k in watched(range(len(background)), progress, cancel, "the LETKF stopped", "states: it was asked to"):
            weights = self.weights(columns[k : k + 1], None)
            if members > 1:
                drawn = torch.randperm(size, generator=generator)[:members]
                weights = about(self.weights(columns[k : k + 1], drawn)[None], weights[None])[0]
            anomalies = self.arguments["inflation"] * self.anomalies
            made.append(self.bias + torch.einsum("mnhw,nchw->mchw", weights, anomalies))
        return torch.stack(made)

    def weights(self, columns: Columns, members: Tensor | None) -> Tensor:
        """(M, N, H, W) weights of the anomalies in the analysis of one state, for the mean (None) or members (M,)."""
        N, like = len(self.anomalies), self.anomalies
        seen = columns.mask[0, 0] > 0
        r = float(columns.noise.clamp(min=self.arguments["floor"]))
        Z = self.arguments["inflation"] * like[:, :, seen].permute(2, 0, 1) / r  # (columns, N, C)
        d = (columns.innovation[0] - self.bias)[:, seen].mT[..., None] / r  # (columns, C, 1)
        pairs, shifts = (Z @ Z.mT).flatten(1), (Z @ d)[..., 0]
        lat, lon = (torch.from_numpy(a.copy()).to(like) for a in (self.space.latitude, self.space.longitude))
        row, column = seen.nonzero().unbind(-1)
        at = [a.unflatten(0, (-1, STEP)).mean(1) for a in (lat, lon)]
        points = torch.stack(torch.meshgrid(*at, indexing="ij"), -1).flatten(0, 1)
        taper = gaspari_cohn(sphere_distance(points, torch.stack([lat[row], lon[column]], 1)),
                             self.arguments["radius"])  # fmt: skip
        parts = []
        for rho in taper.split(max(1, NUMBERS // N**2)):
            near = (rho > 0).any(0)
            C, b = (rho[:, near] @ pairs[near]).unflatten(-1, (N, N)), (rho[:, near] @ shifts[near])[..., None]
            if members is None:
                root = torch.linalg.cholesky(C + (N - 1) * torch.eye(N).to(like))
                parts.append(torch.cholesky_solve(b, root).mT)
            else:
                parts.append(transform(C, b)[:, members])
        w = torch.cat(parts).permute(1, 2, 0).unflatten(-1, tuple(len(a) for a in at))
        w = F.interpolate(
            F.pad(w, (1, 1, 0, 0), mode="circular" if self.space.closed else "replicate"),
            scale_factor=STEP,
            mode="bilinear",
        )
        return w[..., STEP:-STEP]
