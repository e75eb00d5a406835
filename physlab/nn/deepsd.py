r"""DeepSD: a stack of SRCNNs, each x2, each with the elevation beside the field (Vandal et al. 2017, KDD).

.. math:: x_{k+1} = s_k\bigl(B_2 x_k,\; z_{k+1}\bigr), \qquad k = 0, \dots, \log_2 N - 1

with bicubic interpolation :math:`B_2`, an SRCNN 64-32-1 with kernels 9-3-5 as :math:`s_k`, and the elevation
:math:`z_k` averaged to the resolution of the stage. Vandal et al. train the stages one by one, each against the
observations averaged to its resolution (:mod:`physlab.train.stagewise`, recipe "deepsd-staged"); the recipe "deepsd"
trains the stack from end to end.
With `residual` the stages add to the interpolated field, :math:`x_k = B x_0 + c_k` and
:math:`c_{k+1} = B_2 c_k + s_k(x_k, z_k)`, and the network returns :math:`c`: the form for skip="bicubic".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from physlab.errors import FieldError, PhysLabError
from physlab.grid import coarsen
from physlab.nn.srcnn import srcnn_layers
from physlab.nn.upscaler import Upscaler, bicubic
from physlab.registry import register


@register("DeepSD", title="DeepSD", order=5, reference="Vandal et al. (2017)", statics=("elevation",))
class DeepSD(Upscaler):
    """See the module docstring, and :class:`physlab.nn.upscaler.Upscaler` for the frame.

    Parameters
    ----------
    factor : N, a power of two, at least 2.
    channels, kernels : of each SRCNN; odd kernels, one more than channels.
    residual : the stages correct the interpolated field instead of replacing it; then `zero_start` is for all of them.
    """

    statics = ("elevation",)

    def __init__(
        self,
        factor: int,
        channels: Sequence[int] = (64, 32),
        kernels: Sequence[int] = (9, 3, 5),
        residual: bool = False,
        **frame,
    ) -> None:
        super().__init__(factor, **frame)
        stages = int(factor).bit_length() - 1
        if factor < 2 or 2**stages != factor:
            raise PhysLabError(f"DeepSD has factor {factor}: its stages double the grid, so pass 2, 4, 8 or 16")
        self.residual = residual
        self.sizes, self.frame = (tuple(channels), tuple(kernels)), frame
        self.stages = nn.ModuleList(
            srcnn_layers(2, channels, kernels, self.zero_start and (residual or k == stages - 1)) for k in range(stages)
        )

    def up_to(self, stages: int) -> DeepSD:
        """The first stages alone, as a network of the factor 2^stages that shares their weights."""
        part = DeepSD(2**stages, *self.sizes, residual=self.residual, **self.frame)
        part.shift, part.spread, part.gain, part.floor = self.shift, self.spread, self.gain, self.floor
        part.stages = self.stages[:stages]
        return part

    def trunk(self, x: Tensor, static: Tensor) -> Tensor:
        """`static` (B, 1, h*N, w*N): elevation in km, of order one as it is."""
        expected = (len(x), 1, x.shape[-2] * self.factor, x.shape[-1] * self.factor)
        if tuple(static.shape) != expected:
            raise FieldError(f"elevation has shape {tuple(static.shape)}: pass {expected}, in km")
        result = torch.zeros_like(x) if self.residual else x
        for k, stage in enumerate(self.stages):
            reached = 2 ** (k + 1)
            elevation = coarsen(static, self.factor // reached).to(x.dtype)
            result = bicubic(result, 2)
            if self.residual:
                field = bicubic(x, reached) + result
                result = result + stage(torch.cat([field, elevation], dim=1))
            else:
                result = stage(torch.cat([result, elevation], dim=1))
        return result
