"""Networks, one per file. `NETWORKS` names those that a checkpoint card may hold."""

from __future__ import annotations

from physlab.nn.compact import CompactResNet
from physlab.nn.resnet import ResNet
from physlab.nn.upscaler import Upscaler, bicubic, count_parameters

NETWORKS: dict[str, type[Upscaler]] = {"ResNet": ResNet, "CompactResNet": CompactResNet}

__all__ = ["NETWORKS", "CompactResNet", "ResNet", "Upscaler", "bicubic", "count_parameters"]
