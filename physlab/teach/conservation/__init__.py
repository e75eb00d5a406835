"""The chapter on conservation layers: edge cases, and the exercises."""

from __future__ import annotations

from physlab.teach.conservation import exercises, positivity
from physlab.teach.conservation.edges import edge_table, naive_ratio, naive_softmax, relabelled_checkpoint
from physlab.teach.conservation.together import (
    draw_together,
    gains_together,
    interpolated_laws,
    laws_of,
    runs_together,
)
