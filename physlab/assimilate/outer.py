r"""An outer step: what a method of data assimilation has left of the innovations goes through 3D-Var.

A learned analysis :math:`c` need not fit the observations: nothing in it is a likelihood. With the covariance B of its
own errors on a validation block (not of the background's), the innovations that remain are worth a second analysis,

.. math:: x_a = c + K (d - H c) , \qquad K = B H^T (H B H^T + R)^{-1} ,

the best linear one if what the method has left does not depend on what was observed. Members take perturbed
observations, :math:`x_m + K (d + \epsilon_m - H x_m)`, so that their spread shrinks where was observed (Burgers et al.
1998, Mon. Weather Rev. 126, 1719-1724). Any method can have it, which keeps comparisons fair.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.learned import Cancel, Learned, Progress, about
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.errors import PhysLabError
from physlab.nn.stored import subclasses


class OuterStep(Learned):
    """A method and the 3D-Var of its errors, made by :meth:`after`.

    Parameters
    ----------
    first, second : class and arguments of both, as JSON holds them.
    """

    def __init__(self, space: StateSpace, first: Mapping, second: Mapping) -> None:
        super().__init__(space, first=dict(first), second=dict(second))
        kinds = {kind.__name__: kind for kind in subclasses(Learned)}
        self.first: Learned = kinds[first["class"]](space, **first["arguments"])
        self.second: Learned = kinds[second["class"]](space, **second["arguments"])
        self.ensemble = self.first.ensemble
        self.centred = self.first.centred

    @classmethod
    @torch.no_grad()
    def after(
        cls, method: Learned, background: Tensor, increment: Tensor, share: float = 0.02, noise: float = 0.0,
        members: int = 8, seed: int = 0, progress: Progress | None = None, **settings: float,
    ) -> OuterStep:  # fmt: skip
        """After a trained method.

        Parameters
        ----------
        background, increment : (N, C, H, W) of a validation block, in the units of the method's state space.
        share, noise : of the columns that are observed there, see
            :func:`~physlab.assimilate.statespace.observe_columns`.
        members : of the method, whose mean is the centre.
        settings : of :meth:`~physlab.assimilate.global3d.GlobalVar3D.from_increments`.
        """
        if isinstance(method, OuterStep):
            raise PhysLabError("the method has an outer step already: pass the one inside, its `first`")
        space, draw, errors = method.space, torch.Generator().manual_seed(seed), []
        for k in range(len(background)):
            columns = observe_columns(increment[k : k + 1], share, noise, space.area, draw)
            made = method.increments(background[k : k + 1], columns, members if method.ensemble else 1, draw)
            errors.append(increment[k] - _centre(made)[0])
            if progress is not None:
                progress(k + 1, len(background))
        own = {"modes": min(24, space.shape[0]), **settings}
        second = GlobalVar3D.from_increments(torch.stack(errors), space, **own)
        both = ({"class": type(m).__name__, "arguments": m.arguments} for m in (method, second))
        outer = cls(space, *both)
        outer.first, outer.second = method, second
        outer.card = {"samples": len(errors), "share": share, "noise": noise, "seed": seed}
        return outer.eval()

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        made = self.first.increments(background, columns, members, generator, None, cancel)
        centre = _centre(made)
        if members == 1:
            return (centre + self._correct(background, columns, centre, progress, cancel))[:, None]
        corrected, total = [], len(background) * (members + 1)
        sizes = columns.noise.reshape(-1, 1, 1, 1).to(made)
        for m in range(members + 1):
            x, seen = (centre, columns) if m == members else (made[:, m], columns)
            if m < members:
                error = sizes * torch.randn(x.shape, generator=generator).to(x)
                seen = Columns(columns.innovation + error * columns.mask, columns.mask, columns.noise)
            told = None if progress is None else _shifted(progress, m * len(background), total)
            corrected.append(x + self._correct(background, seen, x, told, cancel))
        return about(torch.stack(corrected[:-1], 1), corrected[-1][:, None])

    def _correct(self, background: Tensor, columns: Columns, x: Tensor, progress, cancel) -> Tensor:
        """The second analysis of what is left."""
        left = Columns((columns.innovation - x) * columns.mask, columns.mask, columns.noise)
        return self.second.increments(background, left, 1, None, progress, cancel)[:, 0]


def _centre(made: Tensor) -> Tensor:
    """Mean of the members (B, M, ...)."""
    return made.mean(1)


def _shifted(progress: Progress, done: int, total: int) -> Progress:
    return lambda k, _: progress(done + k, total)
