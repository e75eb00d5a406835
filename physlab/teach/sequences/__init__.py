"""The chapter on sequences: memory through a gate, a missing hour, a judge that knows a law."""

from __future__ import annotations

from physlab.teach.gan.analysis import crests, hourly_motion, missing_hour, moving_filament
from physlab.teach.gan.budget import closure, relative_residuals, rms
from physlab.teach.gan.figures import draw_filament
from physlab.teach.sequences.exercises import published
from physlab.teach.sequences.memory import by_gate, draw_memory, remember
from physlab.teach.sequences.upstream import looks, slope, upstream_table
