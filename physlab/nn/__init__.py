"""Networks, one per file, entered by :func:`physlab.registry.register`; `NETWORKS` names them."""

from __future__ import annotations

from physlab.nn.afno import AFNO
from physlab.nn.compact import CompactResNet
from physlab.nn.convgru import ConvGRU
from physlab.nn.convlstm import ConvLSTM
from physlab.nn.deepsd import DeepSD
from physlab.nn.discriminator import DISCRIMINATORS, Discriminator, PatchDiscriminator, SRGANDiscriminator
from physlab.nn.edsr import EDSR
from physlab.nn.erunet import ERUNet
from physlab.nn.espcn import ESPCN
from physlab.nn.esrgan import RRDBNet
from physlab.nn.gan import NoiseResNet
from physlab.nn.motion import MotionResNet
from physlab.nn.resnet import ResNet
from physlab.nn.srcnn import SRCNN
from physlab.nn.srgan import SRResNet
from physlab.nn.unet import UNet
from physlab.nn.upscaler import Upscaler, bicubic, count_parameters
from physlab.nn.vae import VAE
from physlab.nn.voxelflow import FlowConvGRU, VoxelFlow, warp
from physlab.registry import Registered

#: Name -> class of the super-resolution networks.
NETWORKS: Registered[type[Upscaler]] = Registered("networks")

__all__ = [
    "AFNO",
    "DISCRIMINATORS",
    "EDSR",
    "ERUNet",
    "ESPCN",
    "NETWORKS",
    "SRCNN",
    "VAE",
    "CompactResNet",
    "ConvGRU",
    "ConvLSTM",
    "DeepSD",
    "Discriminator",
    "FlowConvGRU",
    "MotionResNet",
    "NoiseResNet",
    "PatchDiscriminator",
    "RRDBNet",
    "ResNet",
    "SRGANDiscriminator",
    "SRResNet",
    "UNet",
    "Upscaler",
    "VoxelFlow",
    "bicubic",
    "count_parameters",
    "warp",
]
