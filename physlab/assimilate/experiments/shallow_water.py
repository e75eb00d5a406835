"""Shallow water: height is observed at one point in nine, every six hours; wind never is.

What is asked: does a method find the wind? 3D-Var without balance cannot. With it, height says what the wind is, at
once; 4D-Var and the LETKF let the model say it. Errors are divided by the climate's standard deviation of each
variable, so that 1 is what one knows without observations. No independent code was at hand: the scores to expect are
the lowest and highest of three seeds of this one.
"""

import torch
from torch import Tensor

from physlab.assimilate.balance import BalancedCovariance
from physlab.assimilate.covariance import nmc_differences
from physlab.assimilate.cycle import TwinExperiment
from physlab.assimilate.experiments import Climate, Experiment, Setting
from physlab.assimilate.letkf import LETKF
from physlab.assimilate.localisation import gaspari_cohn, plane_distance
from physlab.assimilate.var3d import Var3D
from physlab.assimilate.var4d import Var4D
from physlab.simulate.shallow import ShallowWater

MODEL = ShallowWater(shape=(24, 24), spacing=250e3, dt=1200.0)
STEPS = 18  # six hours
WIND, HEIGHT = 10.0, 50.0  # standard deviations of the climate, m s-1 and m
OBSERVED = torch.zeros(24, 24, dtype=torch.bool)
OBSERVED[1::3, 1::3] = True
H = torch.eye(MODEL.n, dtype=torch.float64)[-24 * 24 :][OBSERVED.flatten()]
POINTS = torch.cartesian_prod(torch.arange(24.0), torch.arange(24.0)).double() * MODEL.spacing
TAPER = gaspari_cohn(plane_distance(POINTS, POINTS[OBSERVED.flatten()], (24 * 250e3, 24 * 250e3)), 1500e3)


def six_hours(x: Tensor) -> Tensor:
    """The state six hours later."""
    return MODEL(x, STEPS)


def vortices(x: Tensor, generator: torch.Generator) -> Tensor:
    """Errors like a weak flow of its own, 5 m/s, in balance."""
    calm = MODEL.balanced(torch.zeros(MODEL.shape, dtype=x.dtype))
    return MODEL.start(*x.shape[:-1], wind=5.0, generator=generator, dtype=x.dtype) - calm


def nmc(climate: Climate) -> BalancedCovariance:
    """From 24-hour minus 12-hour forecasts for the same time, out of analyses with errors like :func:`vortices`."""
    states = climate.states.movedim(-2, 0)
    analyses = states + 0.3 * vortices(states, torch.Generator().manual_seed(7))
    return BalancedCovariance.fit(MODEL, nmc_differences(six_hours, analyses, 2, 4), factor=0.5)


def without_balance(B: BalancedCovariance) -> BalancedCovariance:
    """The same variances, but height and wind know nothing of each other."""
    spectra = B.spectra.clone()
    spectra[2] = spectra[2] + (B.balance * MODEL.f / 9.80665).square() * spectra[0]
    spectra[2, 0] = B.spectra[2, 0]
    return BalancedCovariance(MODEL, spectra, torch.zeros_like(B.balance))


SETTING = Setting(
    MODEL,
    TwinExperiment(six_hours, H=H, R=25.0 * torch.eye(len(H), dtype=torch.float64), cycles=40, spin_up=20,
                   units=MODEL.state(*(torch.full(MODEL.shape, s).double() for s in (WIND, WIND, HEIGHT)))),
    errors=vortices,
    climate={"starts": 16, "samples": 12, "every": STEPS},
    experiments=(
        Experiment("3D-Var without balance", lambda c: Var3D(without_balance(nmc(c))), None, (0.12, 0.31), "this code"),
        Experiment("3D-Var with balance", lambda c: Var3D(nmc(c)), None, (0.075, 0.080), "this code"),
        Experiment("4D-Var, 12 hours", lambda c: Var4D(nmc(c), model=six_hours, lead=1, outer=2, inner=20), None,
                   (0.056, 0.060), "this code", window=2),
        Experiment("LETKF, N = 20, 1500 km", LETKF(1.05, taper=TAPER), 20, (0.043, 0.059), "this code"),
    ),
)  # fmt: skip
