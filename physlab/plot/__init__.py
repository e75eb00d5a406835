"""Pictures for the book: maps with the shipped coastline and power spectra. Drawing only; nothing is computed here."""

from __future__ import annotations

from physlab.plot.maps import DIVERGING, SEQUENTIAL, draw_map, map_panels
from physlab.plot.profiles import draw_profile
from physlab.plot.projections import PLAIN, map_axes
from physlab.plot.spectra import draw_spectra

__all__ = ["DIVERGING", "PLAIN", "SEQUENTIAL", "draw_map", "draw_profile", "draw_spectra", "map_axes", "map_panels"]
