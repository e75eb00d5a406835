"""The preface: its exercises."""

from __future__ import annotations

from physlab.teach.preface import exercises
