"""Networks in inference as the processor likes them: convolutions channels last, and bfloat16 where it is asked for.

Channels last keeps single precision: results differ by rounding alone (2e-7 of the largest value, measured on networks
that ship). In bfloat16 they differ by some 2e-3 of it, as the tests hold them to (`TOLERANCE`); the constraint layer
works in single precision in any case, so that what it conserves stays conserved.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from physlab.errors import PhysLabError
from physlab.nn.parts import lay_out

PRECISIONS = ("fp32", "bf16", "auto")
TOLERANCE = 5e-3
"""Largest difference of bfloat16 from single precision, relative to the largest value of the field."""


def precision_of(wanted: str, device: torch.device) -> str:
    """ "bf16" or "fp32": what the settings want, or what the processor multiplies fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # elsewhere bf16 is emulated and slower
    return "bf16" if device.type == "cpu" and fast() else "fp32"


def check_precision(precision: str) -> str:
    """A precision of inference, or a PhysLabError that names those there are."""
    if precision not in PRECISIONS:
        raise PhysLabError(f"precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
    return precision


class Swift:
    """A copy of a network with its weights channels last, made once and again when the weights have changed.

    The network itself stays as it is: it may be trained on, saved or compared.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, nn.Module] | None = None  # key and copy, replaced at once: threads share them

    def of(self, network: nn.Module) -> Any:
        """The copy, in evaluation mode; the network itself where it has no convolutions in single precision."""
        tensors = [*network.parameters(), *network.buffers()]
        single = all(t.dtype == torch.float32 for t in tensors if t.is_floating_point())
        if not single or not any(t.ndim == 4 for t in tensors):
            return network
        key = tuple((t.data_ptr(), t._version, t.device) for t in tensors)
        made = self._made
        if made is None or made[0] != key:
            swift = lay_out(copy.deepcopy(network), torch.channels_last).eval().requires_grad_(False)
            made = self._made = (key, swift)
        return made[1]

    def __deepcopy__(self, memo: dict) -> Swift:
        return Swift()  # the copy of a model makes its own

    def __reduce__(self) -> tuple:
        return Swift, ()
