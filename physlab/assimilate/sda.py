r"""SDA: score-based data assimilation (Rozet and Louppe 2023, arXiv 2306.10574), with the corrected guidance.

The prior is learned without any observation, here that of increments; observations enter when sampling, as a guide. The
published guide counts what the noisy field leaves open by one number (see :mod:`physlab.diffusion.guide`) and misses
the Kalman posterior; here it is moment matching, which does not. Points are taken in squares of two as one, so that the
network works on half of the grid.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from physlab.assimilate.learned import Cancel, Learned, Progress
from physlab.assimilate.statespace import Columns, StateSpace
from physlab.diffusion import DDIM, MMPS, Denoiser, NoiseSchedule, PosteriorMean
from physlab.errors import PhysLabError
from physlab.nn.unet import UNet
from physlab.registry import register

FLOOR = 0.1  # least observation error in units of the background error: an exact one makes the guide stiff


@register("sda", title="SDA", kind="assimilation", order=42, ensemble=True)
class SDA(Learned):
    """The method.

    Parameters
    ----------
    levels : widths of the denoiser's U-Net.
    steps : of the sampler (DDIM).
    iterations : of the guide's linear solver in each step.
    """

    ensemble = True
    rate = 2e-3

    def __init__(self, space: StateSpace, levels: tuple = (64, 96), steps: int = 10, iterations: int = 2) -> None:
        super().__init__(space, levels=list(levels), steps=steps, iterations=iterations)
        if space.shape[1] % 2 or space.shape[2] % 2:
            raise PhysLabError(f"states of {space.shape[1]} x {space.shape[2]} points: pass even numbers of both")
        inputs = 4 * space.shape[0]
        network = UNet(inputs, inputs, levels, 1, level=True, attention=True, periodic=True)
        self.denoiser = Denoiser(network, NoiseSchedule("cosine"))
        self.steps, self.iterations = int(steps), int(iterations)

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        area = functional.avg_pool2d(self.area[None, None].expand(-1, -1, -1, 2), 2)[0, 0]
        return self.denoiser.loss(functional.pixel_unshuffle(increment, 2), generator=generator, area=area)

    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        self.check_members(members)
        made, B = [], len(background)
        C, H, W = self.space.shape
        for b in range(B):
            seen = columns.mask[b].expand(C, H, W).flatten().nonzero()[:, 0]
            denoiser: PosteriorMean = self.denoiser
            if len(seen):
                R = max(float(columns.noise[b]), FLOOR) ** 2
                denoiser = MMPS(self.denoiser, columns.innovation[b].flatten()[seen],
                                lambda u, seen=seen: functional.pixel_shuffle(u, 2).flatten(1)[:, seen], R,
                                iterations=self.iterations)  # fmt: skip
            tell = None if progress is None else lambda k, n, _, b=b: progress(b * n + k, B * n)
            u = DDIM(denoiser, steps=self.steps)((members, 4 * C, H // 2, W // 2), generator, progress=tell,
                                                 cancel=cancel, device=background.device)  # fmt: skip
            made.append(functional.pixel_shuffle(u, 2))
        return torch.stack(made)
