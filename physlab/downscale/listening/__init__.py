"""Downscaling that listens to stations: a method's fine field, corrected by what was measured inside its cells.

>>> method = Listening(physlab.load_model("bicubic+add-x4"))
>>> fine = method.downscale(coarse, observations=physlab.data.read_stations("stations.csv"))
"""

from __future__ import annotations

from physlab.downscale.listening.covariance import Errors, Known, Sampled, Stationary, Together
from physlab.downscale.listening.measure import fitted, measured, sized, tuned
from physlab.downscale.listening.method import Listening
from physlab.downscale.listening.update import update

__all__ = [
    "Errors",
    "Known",
    "Listening",
    "Sampled",
    "Stationary",
    "Together",
    "fitted",
    "measured",
    "sized",
    "tuned",
    "update",
]
