"""Painted observations: the exact guide returns the Kalman filter's answer, the others do not; tracks and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.assimilate import OptimalInterpolation
from physlab.errors import Cancelled, PhysLabError
from physlab.views.painter import GUIDES, STD, Canvas, certificate


@pytest.fixture(scope="module")
def canvas():
    return Canvas.make()


@pytest.fixture(scope="module")
def seen(canvas):
    return canvas.observe((*canvas.along([-40, 0], [60, 40], apart=6.0), 300), error=30.0, seed=1)


def test_the_prior_is_that_of_the_field(canvas):
    mean, C = canvas.before
    np.testing.assert_allclose(canvas.spread(C), STD, rtol=0.01)
    assert not mean.any() and canvas.map(canvas.truth(0)).std() == pytest.approx(STD, rel=0.5)
    identity = torch.eye(len(canvas.variances)).double()
    torch.testing.assert_close(canvas.waves.mT @ canvas.waves, identity, rtol=0, atol=1e-9)
    middle = canvas.near(-20, 50)
    apart = canvas.near(-20, 56)  # 667 km
    correlation = (canvas.waves[middle] * canvas.variances) @ canvas.waves[apart] / STD**2
    assert float(correlation) == pytest.approx(np.exp(-0.5 * (6 * 111.2 / 700) ** 2), rel=0.01)


def test_the_filter_is_optimal_interpolation(canvas, seen):
    mean, P = canvas.kalman(seen)
    other = OptimalInterpolation(canvas.variances.diag()).analyse(canvas.before[0], seen.y, seen.A, seen.R)
    torch.testing.assert_close(mean, other, rtol=1e-8, atol=1e-8)
    assert canvas.spread(P).max() < 1.01 * STD and canvas.rmse(mean, 1) < canvas.rmse(canvas.before[0], 1)


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_moment_matching_alone_passes_the_certificate(canvas, seen, name):
    found = certificate(canvas, seen, canvas.ask(name, seen), canvas.kalman(seen))
    exact = found["mean"] < 0.1 and found["covariance"] < 0.02 and abs(found["stations"] - 1) < 0.01
    assert exact == (name == "mmps"), found


def test_a_point_keeps_its_error_and_a_path_its_order(canvas):
    few, more = canvas.observe((5, 900), 30.0, 3), canvas.observe((900, 7, 5), 30.0, 3)
    assert few.y.tolist() == pytest.approx(more.y[[2, 0]].tolist())
    track = canvas.along([-60, -40, -40], [50, 50, 56])  # begins outside
    rows, columns = np.unravel_index(track, canvas.shape)
    assert -50 <= canvas.longitude[columns[0]] < -46 and 54 <= canvas.latitude[rows[-1]] <= 56
    assert len(set(track)) == len(track) and (np.diff(rows) >= 0).all()


def test_what_cannot_be_observed_or_asked_is_said(canvas, seen):
    for points in ((), (1, 1), (2501,)):
        with pytest.raises(PhysLabError, match="different points from 0 to 2500"):
            canvas.observe(points)
    with pytest.raises(PhysLabError, match="choose one of mmps"):
        canvas.ask("gan", seen)
    with pytest.raises(Cancelled):
        canvas.ask("mmps", seen, cancel=lambda: True)
