"""The chapter on convolutional super-resolution: what a network costs and sees, its table, and the exercises."""

from __future__ import annotations

from physlab.teach.cnn import exercises
from physlab.teach.cnn.analysis import (
    NAMES,
    anatomy,
    by_network,
    cheap_forms,
    highest,
    influence,
    layer_effect,
    multiplications,
    reach,
    taught,
)
