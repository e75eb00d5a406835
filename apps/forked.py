"""What the server of the worker processes imports, so that each of them is there in a moment and shares it.

Pages of memory are shared by a process and its children until one of them writes there. Python's collector writes into
everything that it looks through, so that what is here is taken out of its sight before the first child is made; a
worker would have 70 MB of its own otherwise, once it has collected. What workers import later is imported here, too.
"""

from __future__ import annotations

import gc

import dask.array  # noqa: F401  (what follows is imported by the first file or field that somebody asks for)
import netCDF4  # noqa: F401
import pint  # noqa: F401
import scipy.fft  # noqa: F401

import apps.calls  # noqa: F401
import physlab
import physlab.assimilate
import physlab.diffusion  # noqa: F401

gc.collect()
gc.freeze()
