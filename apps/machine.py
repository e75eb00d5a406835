"""Where networks compute: the processor, or the graphics card that PHYSLAB_DEVICE asks for, and what is told of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

import physlab
from physlab.train.devices import choose_device

DEVICE = "PHYSLAB_DEVICE"


def wanted() -> torch.device:
    """Where the trained methods of this process compute.

    Raises
    ------
    PhysLabError : a name that is not known, or a device that is not there.
    """
    return choose_device(os.environ.get(DEVICE) or "cpu")


def opened(name: str | Path) -> Any:
    """A trained method, on the device that was asked for."""
    return physlab.load_model(name, wanted())


def device_of(method: Any) -> str:
    """The device that a method computes on; interpolation and statistics are on the processor."""
    if isinstance(method, torch.nn.Module):
        for tensor in (*method.parameters(), *method.buffers()):
            return str(tensor.device)
    return "cpu"
