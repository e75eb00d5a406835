"""The chapter on training a network by hand: kernels, a parabola, the loop, and what over-fitting looks like."""

from __future__ import annotations

from physlab.teach.training import exercises
from physlab.teach.training.analysis import (
    KERNELS,
    Pairs,
    convolve,
    descend,
    lucky,
    memorise,
    overfit,
    rms,
    shake,
)
from physlab.teach.training.figures import (
    draw_curves,
    draw_descent,
    draw_kernel,
    draw_loop,
    draw_loss,
    draw_lucky,
    draw_memory,
    draw_network,
    draw_sizes,
)
