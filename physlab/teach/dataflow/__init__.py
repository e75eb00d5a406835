"""The page on graphs of data flow: skips, encoders and decoders, how far they see, what a fork does to a slope."""

from __future__ import annotations

from physlab.teach.dataflow import exercises
from physlab.teach.dataflow.figures import Small, draw_reach, draw_unet, reach, slopes
