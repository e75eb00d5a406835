"""PhyDL-NWP: weather as a continuous function with learned dynamics and a latent force.

The nouns: a box of place and time (`Domain`), the terms of an equation with units (`library`), the force that they
leave out (`force`), the field (`PhyDL`), and how it is fitted (`fit`) and its coefficients found (`identify`). On a
grid: a forecast (`Forecaster`), and how it is taught the equations too (`finetune`).
"""

from __future__ import annotations

from physlab.phydl.domain import Domain
from physlab.phydl.finetune import ForecastSettings, GridResidual, Windows, finetune
from physlab.phydl.fit import FitReport, FitSettings
from physlab.phydl.force import FreeForce, SmoothForce
from physlab.phydl.forecast import Forecaster
from physlab.phydl.gridded import gridded_state
from physlab.phydl.identify import bootstrap, coefficient_table, holdout, normal_equations, threshold
from physlab.phydl.library import Equation, State, Term, atmosphere, candidates
from physlab.phydl.manufactured import Blobs
from physlab.phydl.surrogate import PhyDL

__all__ = [
    "Blobs",
    "Domain",
    "Equation",
    "FitReport",
    "FitSettings",
    "ForecastSettings",
    "Forecaster",
    "FreeForce",
    "GridResidual",
    "PhyDL",
    "SmoothForce",
    "State",
    "Term",
    "Windows",
    "atmosphere",
    "bootstrap",
    "candidates",
    "coefficient_table",
    "finetune",
    "gridded_state",
    "holdout",
    "normal_equations",
    "threshold",
]
