"""Data assimilation: from a forecast and a few observations to a whole state.

The classical core works on plain tensors, any leading dimensions, so that it can be checked on small problems:

>>> from physlab.assimilate import LETKF, gaspari_cohn, ring_distance
>>> method = LETKF(inflation=1.02, taper=gaspari_cohn(ring_distance(40), 7.3))
>>> analysis = method.analyse(ensemble, y, H, R)          # (N, n), (m,), (m, n) or a function, (m, m) -> (N, n)

How well a method does is asked in twin experiments (:mod:`cycle`); :mod:`experiments` holds tuned ones with the scores
to expect.
"""

from __future__ import annotations

from physlab.assimilate.adas import Adas
from physlab.assimilate.balance import BalancedCovariance
from physlab.assimilate.base import EnsembleMethod, Method
from physlab.assimilate.columns import ColumnOI
from physlab.assimilate.convcnp import ConvCNP
from physlab.assimilate.corrector import Corrector
from physlab.assimilate.covariance import Covariance, Dense, nmc_differences, sample_covariance
from physlab.assimilate.cycle import Scores, TwinExperiment
from physlab.assimilate.diffda import DiffDA
from physlab.assimilate.enkf import EnKF
from physlab.assimilate.etkf import ETKF
from physlab.assimilate.fields import FIELD_METHODS, FieldAssimilator, FieldMethod
from physlab.assimilate.fnp import FNP
from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.learned import Learned
from physlab.assimilate.letkf import LETKF
from physlab.assimilate.likelihood import Likelihood
from physlab.assimilate.localisation import gaspari_cohn, plane_distance, ring_distance, sphere_distance
from physlab.assimilate.observed import Observed
from physlab.assimilate.optimal import OptimalInterpolation
from physlab.assimilate.outer import OuterStep
from physlab.assimilate.phyda import PhyDA
from physlab.assimilate.sda import SDA
from physlab.assimilate.slam import SLAM
from physlab.assimilate.sphere import SphereCovariance
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.assimilate.static import StaticLETKF
from physlab.assimilate.tangent import linearise
from physlab.assimilate.vaevar import VAEVar
from physlab.assimilate.var3d import Var3D
from physlab.assimilate.var4d import Var4D

__all__ = [
    "ETKF",
    "FNP",
    "LETKF",
    "SDA",
    "SLAM",
    "Adas",
    "BalancedCovariance",
    "ColumnOI",
    "Columns",
    "ConvCNP",
    "Corrector",
    "Covariance",
    "Dense",
    "DiffDA",
    "EnKF",
    "EnsembleMethod",
    "FIELD_METHODS",
    "FieldAssimilator",
    "FieldMethod",
    "GlobalVar3D",
    "Learned",
    "Likelihood",
    "Method",
    "Observed",
    "OptimalInterpolation",
    "OuterStep",
    "PhyDA",
    "Scores",
    "SphereCovariance",
    "StateSpace",
    "StaticLETKF",
    "TwinExperiment",
    "VAEVar",
    "Var3D",
    "Var4D",
    "gaspari_cohn",
    "linearise",
    "nmc_differences",
    "observe_columns",
    "plane_distance",
    "ring_distance",
    "sample_covariance",
    "sphere_distance",
]
