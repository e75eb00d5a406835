r"""VAE-Var: variational assimilation with a learned, non-Gaussian prior (Xiao et al. 2024, arXiv 2405.13711).

A variational autoencoder of background errors maps them to latents of the prior N(0, I). With its decoder G the
analysis is :math:`x_b + s\, G(z)` for the z that minimises

.. math:: J(z) = \tfrac12 \|z\|^2 + \tfrac12 \sum_{observed} \frac{(d - G(z))^2}{R}

by L-BFGS. The loss is the evidence bound with a decoder of standard deviation sigma; published sigma = 2 in units of
their fields. Here R is the variance of the observation error plus that of what the autoencoder loses in each channel:
without it the latents would bend to what they cannot represent.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from physlab.assimilate.latent import LatentMethod
from physlab.assimilate.learned import Cancel, Progress
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.errors import Cancelled, PhysLabError
from physlab.registry import register


@register("vaevar", title="VAE-Var", kind="assimilation", order=43)
class VAEVar(LatentMethod):
    """The method.

    Parameters
    ----------
    latent, vae_width : of the autoencoder.
    sigma : standard deviation of the decoder in units of the background error.
    iterations : of L-BFGS, with at most twice as many evaluations.
    """

    rate = 2e-3
    lost: Tensor

    def __init__(
        self, space: StateSpace, latent: int = 24, vae_width: int = 64, sigma: float = 0.3, iterations: int = 20
    ) -> None:
        super().__init__(space, latent, vae_width, sigma=sigma, iterations=iterations)
        if not sigma > 0 or iterations < 1:
            raise PhysLabError(f"sigma is {sigma}, iterations {iterations}: pass above 0 and at least 1")
        self.sigma, self.iterations = float(sigma), int(iterations)
        self.register_buffer("lost", torch.full((space.shape[0], 1, 1), self.sigma**2))

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        numbers = self.vae.latent / (self.vae.factor**2 * increment.shape[1])  # latents for each number of a field
        return self.vae.loss(increment, 2 * self.sigma**2 * numbers, generator, "l2", self.area)

    def finish(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        errors = [((self.vae(e) - e).square() * self.area).mean((0, 2, 3)) for _, e in batches]
        self.lost.copy_(torch.stack(errors).mean(0)[:, None, None])

    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        h, w = (-(-n // self.vae.factor) for n in self.space.shape[1:])
        z = torch.zeros(len(background), self.vae.latent, h, w, device=background.device, requires_grad=True)
        variance = columns.noise.square().reshape(-1, 1, 1, 1).to(z) + self.lost
        done = 0

        def cost() -> Tensor:
            nonlocal done
            if cancel is not None and cancel():
                raise Cancelled("the analysis was cancelled")
            made = self.vae.decode(z, self.space.shape[1:])
            misfit = (columns.mask * (columns.innovation - made).square() / variance).sum()
            value = 0.5 * (z.square().sum() + misfit)
            z.grad = torch.autograd.grad(value, z)[0]  # not that of the autoencoder's weights
            done += 1
            if progress is not None:
                progress(min(done, limit), limit)
            return value

        limit = 2 * self.iterations
        optimiser = torch.optim.LBFGS([z], max_iter=self.iterations, max_eval=limit, history_size=10,
                                      tolerance_grad=0.0, tolerance_change=0.0,
                                      line_search_fn="strong_wolfe")  # fmt: skip
        with torch.enable_grad():
            optimiser.step(cost)
        return self.vae.decode(z.detach(), self.space.shape[1:])[:, None]
