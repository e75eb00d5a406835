"""The page on attention: a weighted mean whose weights are computed, a transformer block, mixing by waves."""

from __future__ import annotations

from physlab.teach.attention import exercises
from physlab.teach.attention.figures import STATIONS, attend, counts, draw_attention, draw_block, positions, truth
