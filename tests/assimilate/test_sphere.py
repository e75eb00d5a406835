"""Whole states on the sphere: harmonics, the covariance of past errors, 3D-Var and the static LETKF, on small grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.assimilate import OptimalInterpolation, Var3D
from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.harmonics import Harmonics
from physlab.assimilate.learned import Learned
from physlab.assimilate.localisation import sphere_distance
from physlab.assimilate.sphere import SphereCovariance, estimate, roots_of, stretched
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.assimilate.static import StaticLETKF
from physlab.data.observe import table
from physlab.errors import Cancelled, FieldError, PhysLabError

H, W, L = 16, 32, 10
NAMES = (("u", 500.0), ("v", 500.0), ("z", 500.0), ("t_low", np.nan), ("u_low", np.nan), ("v_low", np.nan))
LATITUDE = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def space() -> StateSpace:
    one = torch.ones(len(NAMES), 1, 1)
    return StateSpace(NAMES, LATITUDE, np.arange(W) * 360.0 / W, 0 * one, one, one)


@pytest.fixture(scope="module")
def harmonics() -> Harmonics:
    return Harmonics(LATITUDE, W, L)


@pytest.fixture(scope="module")
def known(space) -> SphereCovariance:
    """Smooth errors in which height goes with the streamfunction; twice as large in the north as in the south."""
    C = len(NAMES)
    mixing = torch.eye(C, dtype=torch.float64)
    mixing[4, 0] = 1.0  # fields: psi500, psi_low, chi500, chi_low, z500, t_low
    l = torch.arange(L + 1.0, dtype=torch.float64)
    power = torch.exp(-l * (l + 1) / 20)
    C_l = (power / ((2 * l + 1) * power).sum())[:, None, None] * (mixing @ mixing.mT)
    spread = torch.linspace(0.5, 1.0, H, dtype=torch.float64).expand(C, H)
    return SphereCovariance(space, spread, roots_of(C_l.expand(2, -1, -1, -1)))


@pytest.fixture(scope="module")
def errors(known) -> torch.Tensor:
    """(60, C, H, W) draws, with the mean 0.3."""
    return known.sample(60, generator=torch.Generator().manual_seed(0)).unflatten(-1, known.space.shape).float() + 0.3


# --- harmonics --------------------------------------------------------------------------------------------------------
def test_analysis_is_the_inverse_of_synthesis(harmonics):
    a = normal(0, 3, 2, L + 1, L + 1) * harmonics.exists
    torch.testing.assert_close(harmonics.analysis(harmonics.field(a)), a, atol=1e-12, rtol=0)
    a, b = (normal(seed, 2, 2, L + 1, L + 1) * harmonics.exists for seed in (1, 2))
    a[..., 0] = b[..., 0] = 0  # the mean has no wind
    (ax, ay), (bx, by) = harmonics.gradient(a), harmonics.gradient(b)
    psi, chi = harmonics.potentials(bx - ay, ax + by)
    torch.testing.assert_close(psi, a, atol=1e-12, rtol=0)
    torch.testing.assert_close(chi, b, atol=1e-12, rtol=0)


def test_gradient_of_a_function_that_is_known(harmonics):
    phi, lam = torch.from_numpy(np.deg2rad(LATITUDE))[:, None], torch.arange(W, dtype=torch.float64) * 2 * np.pi / W
    f = torch.cos(phi) ** 2 * torch.sin(2 * lam)  # l = m = 2, so that the scale is sqrt(6)
    x, y = harmonics.gradient(harmonics.analysis(f))
    torch.testing.assert_close(x * 6**0.5, 2 * torch.cos(phi) * torch.cos(2 * lam))
    torch.testing.assert_close(y * 6**0.5, -2 * torch.cos(phi) * torch.sin(phi) * torch.sin(2 * lam))


def test_correlation_is_the_isotropic_function(harmonics):
    """sum h^l P_l(cos g) = (1 - 2 h cos g + h^2)^-1/2, the generating function of Legendre's polynomials."""
    h, fine = 0.3, Harmonics(LATITUDE, W, 15)
    l = torch.arange(16.0, dtype=torch.float64)
    variance = (h**l / (2 * l + 1)).expand(2, 16, 16) * fine.exists
    point = torch.zeros(H, W, dtype=torch.float64)
    point[11, 5] = 1.0
    row = fine.field(variance * fine.field_transpose(point))
    places = torch.cartesian_prod(torch.from_numpy(LATITUDE), torch.arange(W, dtype=torch.float64) * 360.0 / W)
    angle = sphere_distance(places, places[11 * W + 5][None], radius=1.0)
    torch.testing.assert_close(row.flatten(), (1 - 2 * h * torch.cos(angle[:, 0]) + h**2).rsqrt(), atol=1e-7, rtol=0)


def test_grids_that_harmonics_do_not_take():
    with pytest.raises(PhysLabError, match="not Gaussian"):
        Harmonics(np.linspace(-87.5, 87.5, 36), 72, 10)
    with pytest.raises(PhysLabError, match="pass 1 to 15"):
        Harmonics(LATITUDE, W, 16)


# --- covariance -------------------------------------------------------------------------------------------------------
def test_the_transpose_is_the_transpose(known):
    v, x = normal(0, 2, known.controls), normal(1, 2, known.n)
    left, right = (known.root(v) * x).sum(), (v * known.transpose(x)).sum()
    assert abs(float(left / right) - 1) < 1e-10


def test_estimate_finds_the_covariance_of_its_draws(known, errors, space):
    spread, C_l = estimate(errors - 0.3, space, L, smooth=0)
    torch.testing.assert_close(spread[2], known.spread[2, :, 0] * 2**0.5, rtol=0.25, atol=0)
    again = SphereCovariance(space, spread, roots_of(C_l))
    at = torch.zeros(len(NAMES), H, W, dtype=torch.float64)
    at[2, 12, 8] = 1.0  # height at 46 N; what goes with it
    told, found = (B.multiply(at.flatten()).unflatten(-1, space.shape) for B in (known, again))
    for channel in (0, 1, 2):
        pattern = torch.stack([told[channel].flatten(), found[channel].flatten()])
        assert torch.corrcoef(pattern)[0, 1] > 0.9
        assert 0.7 < float((pattern[0] * pattern[1]).sum() / pattern[0].square().sum()) < 1.3


def test_wind_around_a_height_is_geostrophic_in_both_hemispheres(known, space):
    for row, sign in ((12, 1.0), (3, -1.0)):
        at = torch.zeros(len(NAMES), H, W, dtype=torch.float64)
        at[2, row, 8] = 1.0
        made = known.multiply(at.flatten()).unflatten(-1, space.shape)
        assert sign * float(made[0, row + 2, 8]) > 0 > sign * float(made[0, row - 2, 8])  # u: west wind north of a high
        assert made[3].abs().max() < 1e-12  # t_low goes with nothing here


def test_options_of_roots():
    C_l = torch.eye(3, dtype=torch.float64) * torch.tensor([1.0, 0.8, 0.5, 0.1])[:, None, None]
    count = 2 * torch.arange(4.0)[:, None, None] + 1
    kept = stretched(C_l, 1.3)
    torch.testing.assert_close((count * kept).sum(0), (count * C_l).sum(0))
    assert kept[3, 0, 0] == 0
    with pytest.raises(PhysLabError, match="modes is 4: pass 1 to 3"):
        roots_of(C_l[None], modes=4)
    with pytest.raises(PhysLabError, match="above 0"):
        roots_of(C_l[None], stretch=0.0)


def test_states_without_a_whole_wind(space):
    bad = StateSpace(NAMES[:1] + NAMES[2:], LATITUDE, space.longitude, *(torch.ones(5, 1, 1),) * 3)
    with pytest.raises(PhysLabError, match="u without v at 500"):
        estimate(torch.zeros(3, 5, H, W), bad, L)
    with pytest.raises(PhysLabError, match="at least 2 samples"):
        estimate(torch.zeros(1, *space.shape), space, L)


def test_optimal_interpolation_and_3dvar_agree(known):
    H_ = torch.zeros(12, known.n, dtype=torch.float64)
    H_[torch.arange(12), torch.arange(12) * 251 + 40] = 1.0
    y, background = normal(3, 12), torch.zeros(known.n, dtype=torch.float64)
    direct, searched = (m(known).analyse(background, y, H_, 0.01) for m in (OptimalInterpolation, Var3D))
    torch.testing.assert_close(searched, direct, atol=1e-8, rtol=0)


# --- methods ----------------------------------------------------------------------------------------------------------
def made(kind, errors, space, **settings):
    own = {"truncation": L, "modes": 6} if kind is GlobalVar3D else {"radius": 2e6, "floor": 0.1}
    return kind.from_increments(errors, space, **{**own, **settings})


KINDS = pytest.mark.parametrize("kind", [GlobalVar3D, StaticLETKF])


def nothing(space) -> Columns:
    return Columns(torch.zeros(1, *space.shape), torch.zeros(1, 1, H, W), torch.zeros(1))


@KINDS
def test_without_observations_it_is_the_background_less_its_bias(kind, errors, space, harmonics):
    background = torch.zeros(1, *space.shape)
    assert torch.equal(made(kind, errors, space, bias=0.0).increments(background, nothing(space)),
                       torch.zeros(1, 1, *space.shape))  # fmt: skip
    mean = made(kind, errors, space, bias=1.0).increments(background, nothing(space))[0, 0]
    expected = errors.mean(0)
    if kind is GlobalVar3D:  # as harmonics hold it
        expected = harmonics.field(harmonics.analysis(expected))
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=0)


@KINDS
def test_columns_lower_the_error_and_members_know_it(kind, errors, space):
    method, truth = made(kind, errors[:50], space), errors[50:54]
    columns = observe_columns(truth, 0.1, 0.0, space.area, torch.Generator().manual_seed(1))
    background = torch.zeros_like(truth)
    mean = method.increments(background, columns)
    before, after = (float((x - truth).square().mean()) for x in (background, mean[:, 0]))
    assert mean.shape == (4, 1, *space.shape) and after < 0.5 * before
    draw = [method.increments(background[:1], columns[:1], 12, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])
    seen = columns.mask[0, 0] > 0
    spread = draw[0][0].var(0).mean(0)
    assert spread[seen].mean() < 0.5 * spread[~seen].mean()
    assert float((draw[0][0].mean(0) - mean[0, 0]).square().mean()) < 0.3 * float(spread.mean())


@KINDS
def test_steps_are_told_and_can_be_stopped(kind, errors, space):
    method, told = made(kind, errors, space), []
    method.increments(torch.zeros(1, *space.shape), nothing(space), progress=lambda *at: told.append(at))
    assert told == [(1, 1)]
    with pytest.raises(Cancelled, match="after 0 of 1"):
        method.increments(torch.zeros(1, *space.shape), nothing(space), cancel=lambda: True)


@KINDS
def test_saved_and_loaded_it_analyses_alike(kind, errors, space, tmp_path):
    made(kind, errors, space).save(tmp_path / "method", half=True)
    method = Learned.load(tmp_path / "method")
    assert type(method) is kind and method.card["samples"] == 60
    dims = ("level", "latitude", "longitude")
    like = {"u": dims, "v": dims, "z": dims, "t_low": dims[1:], "u_low": dims[1:], "v_low": dims[1:]}
    size = {"level": 1, "latitude": H, "longitude": W}
    background = xr.Dataset(
        {k: (d, np.zeros([size[n] for n in d], np.float32)) for k, d in like.items()},
        {"level": [500.0], "latitude": LATITUDE, "longitude": space.longitude},
    )  # fmt: skip
    names, levels = [n for n, _ in NAMES], [p for _, p in NAMES]
    stations = table(names, levels, [LATITUDE[12]] * 6, [90.0] * 6, [1.0] * 6, [0.1] * 6)
    analysis = method.analyse(background, stations, members=4)
    assert analysis["z"].dims == ("member", *dims)
    assert float(analysis["z"][:, 0, 12, 8].mean()) == pytest.approx(1.0, abs=0.2)
    with pytest.raises(PhysLabError, match="pass at least 1"):
        method.analyse(background, stations, members=0)


def test_settings_that_are_not_allowed(errors, space):
    with pytest.raises(PhysLabError, match="floor is 0"):
        made(GlobalVar3D, errors, space, floor=0.0)
    with pytest.raises(PhysLabError, match="radius -1 m"):
        made(StaticLETKF, errors, space, radius=-1)
    with pytest.raises(PhysLabError, match="size is 128, but 60 samples"):
        made(StaticLETKF, errors, space, size=128)
    with pytest.raises(FieldError, match="at least 2 samples"):
        made(StaticLETKF, errors[:1], space)
    with pytest.raises(PhysLabError, match="99 members of an ensemble of 60"):
        made(StaticLETKF, errors, space).increments(torch.zeros(1, *space.shape), nothing(space), members=99)
