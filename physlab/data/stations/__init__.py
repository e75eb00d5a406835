"""Stations of yours: reading them from files, and comparing them with a state.

:func:`read_stations` makes a table of observations of any CSV or NetCDF file, :func:`against` brings it to what a state
can be compared with (time, units, heights, quantities), with an account of all that was left out.
"""

from __future__ import annotations

from physlab.data.stations.read import read_stations
from physlab.data.stations.table import table

__all__ = ["read_stations", "table"]
