r"""3D-Var of whole states on the globe: a background, observed columns and the covariance of past errors.

.. math:: J(e) = \tfrac12 (e - \bar e)^T B^{-1} (e - \bar e) + \tfrac1{2 r^2} |d - H e|^2 , \qquad e = \bar e + U v ,

in units of the background error, with B = U U^T of :mod:`~physlab.assimilate.sphere` and :math:`\bar e` the mean error
of such backgrounds at each place (a bias correction: Dee 2005, Q. J. R. Meteorol. Soc. 131, 3323-3343). Nothing is
trained; what was estimated from a training block travels like the weights of a network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.assimilate.harmonics import Harmonics
from physlab.assimilate.learned import Cancel, Learned, Progress, about
from physlab.assimilate.sphere import EQUATOR, SphereCovariance, estimate, roots_of
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.assimilate.var3d import Var3D
from physlab.errors import PhysLabError
from physlab.registry import register, watched


@register(
    "3dvar", title="3D-Var", kind="assimilation", ensemble=True, order=48,
    variants={"3dvar-cycled": "3D-Var, errors of a cycle"},
)  # fmt: skip
class GlobalVar3D(Learned):
    """The method, made by :meth:`from_increments`.

    With one member it gives the analysis; with more, an ensemble of analyses of perturbed backgrounds and observations,
    which for a linear H is a sample of the posterior (Houtekamer et al. 1996, Mon. Weather Rev. 124, 1225-1242).
    ``save(folder, half=True)`` makes a file of 318 kB for 40 channels and changes no score.

    Parameters
    ----------
    space : channels, grid and units.
    truncation : L of the harmonics.
    modes : K of each matrix of covariances.
    equator : width of the tropics, degrees.
    floor : least standard deviation of the observation errors, in units of the background error: exact values stand for
        more than the harmonics hold.
    tolerance, iterations : where conjugate gradients end.

    Notes
    -----
    Tuned on days 1 to 18 of a run of its own (validation), exact columns of 2 and 10 % of the points, with the
    covariance of 74 days of another run: truncation 42, 50, 52; equator 5, 10, 20, 30; modes 10, 15, 20, 24, 30, 40;
    floor 0.05, 0.1, 0.15, 0.2; variance 0.5, 1, 2; stretch 0.85, 0.95, 1, 1.05, 1.15; bias 0, 0.6, 0.8, 1 (between two:
    0.7), also smoothed to 4, 8, 16 wavenumbers. Floor and variance hardly matter (below 0.004), the bias takes 0.009 at
    2 %. One covariance for all latitudes, with balance only away from the equator, was 0.002 to 0.008 worse; variances
    that follow the gradients of the background were no better. Normalised mean square error, the background's being 1,
    on 9 validation states:

    ====================  =====  =====  =====
    share of points        10 %    2 %  0.5 %
    ====================  =====  =====  =====
    with the bias         0.396  0.825  0.949
    bias = 0              0.399  0.834  0.961
    ====================  =====  =====  =====

    About 1 s per state and member on one core of a CPU. Eight members at 2 %: spread over error of the mean 0.96.
    """

    ensemble = centred = True
    spread: Tensor
    roots: Tensor
    bias: Tensor

    def __init__(
        self, space: StateSpace, truncation: int = 42, modes: int = 24, equator: float = EQUATOR, floor: float = 0.1,
        tolerance: float = 3e-3, iterations: int = 150,
    ) -> None:  # fmt: skip
        super().__init__(space, truncation=truncation, modes=modes, equator=equator, floor=floor, tolerance=tolerance,
                         iterations=iterations)  # fmt: skip
        if not floor > 0:
            raise PhysLabError(f"floor is {floor}: observations need an error above 0, such as 0.1")
        C, H, _ = space.shape
        self.register_buffer("spread", torch.ones(C, H))
        self.register_buffer("roots", torch.zeros(2, truncation + 1, C, modes))
        self.register_buffer("bias", torch.zeros(C, (truncation + 1) ** 2))  # the coefficients that exist

    @classmethod
    def from_increments(
        cls, increments: Tensor, space: StateSpace, bias: float = 0.7, variance: float = 1.0, stretch: float = 1.0,
        like: Tensor | None = None, weight: float = 1.0, **settings,
    ) -> GlobalVar3D:  # fmt: skip
        """Of true increments (N, C, H, W) of a training block, in units of the background error.

        Parameters
        ----------
        bias : share of their mean that is taken for the bias; 0 for none.
        variance, stretch : see :func:`~physlab.assimilate.sphere.roots_of`.
        like : (2, L + 1, C, C) covariances of :func:`~physlab.assimilate.sphere.estimate` of other errors, where the
            increments are few: the spread is that of the increments, these are mixed in.
        weight : of the increments in the mixture; 1 for them alone.
        settings : of the constructor.
        """
        if not 0 <= weight <= 1 or (like is None and weight != 1):
            raise PhysLabError(f"weight is {weight}: pass 0 to 1, and below 1 only with errors that they are like")
        method = cls(space, **settings)
        own = method.arguments
        spread, covariances = estimate(increments, space, own["truncation"], own["equator"])
        if like is not None and weight < 1:
            covariances = weight * covariances + (1 - weight) * like
        harmonics = Harmonics(space.latitude, space.shape[2], own["truncation"])
        method.spread.copy_(spread)
        method.roots.copy_(roots_of(covariances, own["modes"], variance, stretch))
        method.bias.copy_(bias * harmonics.analysis(increments.mean(0).double())[:, harmonics.exists])
        method.card = {"samples": len(increments), "bias": bias, "variance": variance, "stretch": stretch}
        method.card |= {"weight": weight} if like is not None else {}
        return method.eval()

    @property
    def covariance(self) -> SphereCovariance:
        """B."""
        return SphereCovariance(self.space, self.spread, self.roots, self.arguments["equator"])

    def mean_error(self, harmonics: Harmonics) -> Tensor:
        """(C, H, W)."""
        a = self.bias.new_zeros(len(self.bias), *harmonics.exists.shape)
        a[:, harmonics.exists.to(a.device)] = self.bias
        return harmonics.field(a)

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        B = self.covariance
        mean = self.mean_error(B.harmonics).flatten()
        search = Var3D(B, inner=self.arguments["iterations"], tolerance=self.arguments["tolerance"])
        made = []
        for k in watched(range(len(background)), progress, cancel, "3D-Var stopped", "states: it was asked to"):
            one = columns[k : k + 1]
            r = float(one.noise.clamp(min=self.arguments["floor"]))
            mask = one.mask.expand(-1, B.space.shape[0], -1, -1).reshape(-1)
            first, d = mean[None], one.innovation.flatten()[None]
            if members > 1:  # after the analysis itself those of perturbed backgrounds and observations
                errors = B.root(torch.randn(members, B.controls, generator=generator).to(mean))
                noise = r * torch.randn(members, B.n, generator=generator).to(mean)
                first, d = torch.cat([first, first + errors]), torch.cat([d, d + noise])

            def seen(x: Tensor, mask: Tensor = mask, r: float = r) -> Tensor:
                return x * mask / r

            found = search.analyse(first, seen(d), seen, 1.0)
            made.append(found if members == 1 else about(found[None, 1:], found[None, :1])[0])
        return torch.stack(made).unflatten(-1, self.space.shape)
