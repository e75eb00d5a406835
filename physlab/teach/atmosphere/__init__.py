"""The chapter on the laboratory atmosphere: its exercises."""

from __future__ import annotations

from physlab.teach.atmosphere import exercises
