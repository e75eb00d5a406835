r"""A likelihood for latent diffusion: what was observed guides the sampler through the decoder.

The encoder of PhyDA gives the observations to the denoiser as features; nothing makes a member fit them. Here the
latents :math:`z = c + \rho u` meet a Gaussian likelihood,

.. math:: p(d\,|\,u) = N\big(d;\ H G(c + \rho u),\ r^2 + \lambda\big) ,

with the decoder G, observation errors of variance :math:`r^2` and what the autoencoder loses of each channel,
:math:`\lambda`, as in VAE-Var. The denoiser is guided by moment matching (:class:`~physlab.diffusion.MMPS`): exact
where the prior is Gaussian and the decoder linear, so that the draws are then those of the Kalman filter.

The prior is, by choice, that of the **background** alone (the encoder sees no column; Bayes' rule to the letter), or
what the encoder made of the columns, the **posterior**, which then count twice: for networks that make little of them.

Samplers without noise of their own follow the probability flow. For a Gaussian posterior that is an affine map, which
takes the mean of the noise, zero, to that of the posterior: a draw from zero is the centre of two or more members.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from physlab.assimilate.latent import SAMPLERS, LatentDiffusion
from physlab.assimilate.learned import Cancel, Learned, Progress, about, on_grid
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.diffusion import MMPS
from physlab.errors import PhysLabError
from physlab.nn.parts import choose
from physlab.nn.stored import subclasses

PRIORS = ("background", "posterior")


class Likelihood(Learned):
    """A method of latent diffusion with a likelihood, made by :meth:`of`.

    Parameters
    ----------
    first : class and arguments of the method, as JSON holds them.
    prior : "background" or "posterior", see the module docstring.
    sampler, steps : "heun", "pc" or "adams", and how many steps it takes.
    iterations : of the solver in each step, see :class:`~physlab.diffusion.MMPS`.
    floor : least standard deviation of the observation errors, in units of the background error.

    Attributes
    ----------
    lost : (C, 1, 1) mean square of what the autoencoder loses.
    """

    ensemble = True
    lost: Tensor

    def __init__(
        self, space: StateSpace, first: Mapping, prior: str = "background", sampler: str = "adams", steps: int = 8,
        iterations: int = 4, floor: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(space, first=dict(first), prior=prior, sampler=sampler, steps=steps, iterations=iterations,
                         floor=floor)  # fmt: skip
        choose("prior", prior, PRIORS)
        self.centred = choose("sampler", sampler, tuple(SAMPLERS)) != "pc"
        if not floor > 0:
            raise PhysLabError(f"floor is {floor}: observations need an error above 0, such as 0.1")
        kinds = {kind.__name__: kind for kind in subclasses(LatentDiffusion)}
        self.first: LatentDiffusion = kinds[first["class"]](space, **first["arguments"])
        self.register_buffer("lost", torch.zeros(space.shape[0], 1, 1))

    @classmethod
    @torch.no_grad()
    def of(cls, method: Learned, increment: Tensor, **options) -> Likelihood:
        """Of a trained method.

        Parameters
        ----------
        increment : (N, C, H, W) of a validation block, of which is measured what the autoencoder loses.
        options : of the constructor.

        Raises
        ------
        PhysLabError : a method that is no latent diffusion.
        """
        if not isinstance(method, LatentDiffusion):
            raise PhysLabError(f"{type(method).__name__} draws no latents: a likelihood takes phyda or slam")
        guided = cls(method.space, {"class": type(method).__name__, "arguments": method.arguments}, **options)
        guided.first = method
        parts = [(method.vae(e) - e).square().mul(method.space.area).mean((2, 3)) for e in increment.split(8)]
        guided.lost.copy_(torch.cat(parts).mean(0)[:, None, None])
        guided.card = {"samples": len(increment)}
        on_grid(guided)
        return guided.eval()

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        made, count, shape = [], len(background), self._latents()
        for k in range(count):
            start = torch.randn((members, *shape), generator=generator).to(background)
            if members > 1 and self.centred:
                start = torch.cat([start, torch.zeros_like(start[:1])])
            tell = None if progress is None else lambda j, n, _, k=k: progress(k * n + j, count * n)
            fields = self._draw(background[k : k + 1], columns[k : k + 1], start, tell, cancel)
            made.append(about(fields[None, :-1], fields[None, -1:])[0] if len(start) > members else fields)
        return torch.stack(made)

    @torch.no_grad()
    def centre(self, background: Tensor, columns: Columns, cancel: Cancel | None = None) -> Tensor | None:
        if not self.centred:
            return None
        start = background.new_zeros(1, *self._latents())
        parts = [
            self._draw(background[k : k + 1], columns[k : k + 1], start, None, cancel) for k in range(len(background))
        ]
        return torch.cat(parts)

    def _latents(self) -> tuple[int, ...]:
        """Shape of the latents of a state."""
        vae = self.first.vae
        return vae.latent, *(-(-n // vae.factor) for n in self.space.shape[1:])

    def _draw(self, background: Tensor, columns: Columns, start: Tensor, progress, cancel) -> Tensor:
        """Increments of one state, from noise of variance one."""
        own, first, told = self.arguments, self.first, columns
        if own["prior"] == "background":
            told = Columns(torch.zeros_like(columns.innovation), torch.zeros_like(columns.mask), columns.noise)
        centre, features = first.given(background, told)
        direct = first.direct(features)
        centre, features = (x.expand(len(start), -1, -1, -1) for x in (centre, features))
        denoiser = self.guided(columns, centre, direct)
        sampler = SAMPLERS[own["sampler"]](denoiser, steps=own["steps"])
        start = float(denoiser.schedule.sigma(sampler.times()[0])) * start
        u = sampler(None, None, features, start, progress=progress, cancel=cancel)
        return first.decode(centre + first.rho * u, direct)

    def guided(self, columns: Columns, centre: Tensor, direct: Tensor):
        """The denoiser of the draws (M, ...) about a centre that knows the columns of one state."""
        first, seen = self.first, columns.mask[0, 0] > 0
        if not bool(seen.any()):
            return first.denoiser
        r = columns.noise[0].clamp(min=self.arguments["floor"])

        def see(u: Tensor) -> Tensor:
            return first.decode(centre + first.rho * u, direct)[:, :, seen].flatten(1)

        variance = (r.square() + self.lost[..., 0]).expand(-1, int(seen.sum())).flatten()
        d = columns.innovation[0][:, seen].flatten()
        return MMPS(first.denoiser, d, see, variance, iterations=self.arguments["iterations"])
