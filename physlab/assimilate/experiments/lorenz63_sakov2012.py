"""Lorenz-63, observed every 0.25, error variance 2: Sakov, Oliver and Bertino (2012, Mon. Weather Rev. 140, 1988-2004).

Long enough between observations for errors to grow along curved paths. Scores to expect: table 1 there and those of the
package DAPPER, repeated by us with that package.
"""

import torch

from physlab.assimilate.cycle import TwinExperiment
from physlab.assimilate.etkf import ETKF
from physlab.assimilate.experiments import Experiment, Setting, white
from physlab.assimilate.var3d import Var3D
from physlab.simulate.lorenz import Lorenz63

MODEL = Lorenz63(dt=0.01)
ONE = torch.eye(3, dtype=torch.float64)

SETTING = Setting(
    MODEL,
    TwinExperiment(lambda x: MODEL(x, 25), H=ONE, R=2.0 * ONE, cycles=1064, spin_up=64),
    errors=white(2.0**0.5),
    experiments=(
        Experiment("3D-Var, B = 0.1 climate", lambda c: Var3D(0.1 * c.covariance), None, (1.03, 1.04), "DAPPER"),
        Experiment("ETKF, N = 10, 1.02, rotation", ETKF(1.02, rotation=True), 10, (0.57, 0.60), "DAPPER"),
    ),
)
