"""Any method listens to stations: the step is the Kalman filter's, the law of the layer stays, and it is worth it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from physlab.data import sr_pairs
from physlab.downscale import Constrained, Interpolate
from physlab.downscale.listening import Known
from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.views.stations import BELIEF, can_listen, errors_of, heard


@pytest.fixture(scope="module")
def data():
    return sr_pairs("tcw", 4, splits=("val", "test"))


@pytest.fixture(scope="module")
def method():
    return Constrained(Interpolate("bicubic", 4), "mult")  # nothing below zero


@pytest.fixture(scope="module")
def errors(data, method):
    return errors_of(method, data)


def test_the_step_is_the_kalman_filter_s(data):
    rng, n = np.random.default_rng(0), 128
    some = (slice(3, 4), slice(None), slice(0, 8), slice(0, 16))
    small = type("Small", (), {"latitude": data.latitude[:8], "longitude": {"test": data.longitude["test"][3:4, :16]},
                               "factor": 4})  # fmt: skip
    truth = data.fine["test"][some]
    root = rng.normal(size=(n, n))
    B, x = root @ root.T, truth.numpy().ravel() + root @ rng.normal(size=n) + 500.0  # far from a change of sign
    cells, R = [3, 40, 127], BELIEF**2 * np.diag(B).mean()
    H = np.eye(n)[cells]
    wanted = x + B @ H.T @ np.linalg.solve(H @ B @ H.T + R * np.eye(3), truth.numpy().ravel()[cells] - x[cells])
    field = torch.from_numpy(x).reshape(1, 1, 1, 8, 16)
    made = heard(field, truth, torch.zeros(1, 1, 2, 4), cells, Known(torch.from_numpy(B)), small)
    np.testing.assert_allclose(made.numpy().ravel(), wanted, rtol=1e-9)
    assert torch.equal(heard(field, truth, torch.zeros(1, 1, 2, 4), [], Known(torch.from_numpy(B)), small), field)


@pytest.mark.slow
def test_what_stations_say_helps_and_no_law_is_broken(data, method, errors):
    rng, at = np.random.default_rng(1), range(0, 300, 30)
    before = method.predict(data.coarse["test"], data.weights)
    square = {"before": 0.0, "after": 0.0, "there": 0.0}
    for k in at:
        frame, cells = slice(k, k + 1), rng.choice(128 * 128, 50, replace=False)
        truth, coarse = data.fine["test"][frame], data.coarse["test"][frame]
        made = heard(before[None, frame], truth, coarse, cells, errors, data)[0]
        apart = made - truth
        square["before"] += float((before[frame] - truth).square().mean())
        square["after"] += float(apart.square().mean())
        square["there"] += float(apart.flatten()[cells].square().mean())
        assert float(coarsening_residual(made, coarse, 4, data.weights).abs().max()) < 2e-5
        assert float(before[frame].min()) >= 0 and float(made.min()) >= 0
    assert square["there"] < 0.05 * square["before"]
    assert square["after"] < 0.98 * square["before"]


@pytest.mark.slow
def test_members_take_the_step_together_and_their_spread_falls_there(data, errors):
    frame, cells = slice(0, 1), [5000, 9000]
    truth, coarse = data.fine["test"][frame], data.coarse["test"][frame]
    draw = torch.Generator().manual_seed(0)
    members = truth + torch.randn(8, 1, 1, *truth.shape[-2:], generator=draw)
    made = heard(members, truth, coarse, cells, errors, data, seed=2)
    assert made.shape == members.shape and made.dtype == members.dtype
    spread = [x.std(0).flatten()[cells].mean() for x in (members, made)]
    assert spread[1] < 0.5 * spread[0]


def test_what_cannot_listen_says_why(data, method):
    frame = slice(0, 1)
    assert "sequences" in can_listen(sr_pairs("tcw-t1", 4, splits=("val",)))
    assert "0" in can_listen(data, "train")
    with pytest.raises(PhysLabError, match="at least 4 frames of the train split"):
        errors_of(method, data, "train")
    known, truth = Known(torch.eye(2)), data.fine["test"][frame]
    with pytest.raises(PhysLabError, match="a station is in cell 16384: pass 0 to 16383"):
        heard(truth[None], truth, data.coarse["test"][frame], [16384], known, data)
    holes = torch.where(torch.arange(128 * 128).reshape(1, 1, 128, 128) == 7, torch.nan, truth)
    assert torch.equal(heard(truth[None], holes, data.coarse["test"][frame], [7], known, data), truth[None])
    gaps = replace(data, fine={**data.fine, "val": data.fine["val"].index_fill(-1, torch.tensor(3), torch.nan)})
    with pytest.raises(PhysLabError, match="the val split have missing values"):
        errors_of(method, gaps)
