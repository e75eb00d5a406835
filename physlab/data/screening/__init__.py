"""What observations have to pass before a state believes them: time, units, heights, and the background check.

>>> found, account = screen(physlab.data.read_stations("stations.csv"), state, time_of(background), Checks(window=1.0))
"""

from __future__ import annotations

from physlab.data.screening.checks import Checks, time_of
from physlab.data.screening.heights import set_aside
from physlab.data.screening.match import variables
from physlab.data.screening.reject import background_check
from physlab.data.screening.screen import screen

__all__ = ["Checks", "background_check", "screen", "set_aside", "time_of", "variables"]
