"""Networks in inference: channels last is rounding, bfloat16 within what is stated, and what conserves goes on to."""

from __future__ import annotations

import copy

import pytest
import torch

import physlab
from physlab.downscale.informed import Informed
from physlab.errors import PhysLabError
from physlab.grid import coarsen
from physlab.nn.informed import InformedNetwork
from physlab.nn.precision import TOLERANCE, Swift


def given(frames: int = 1) -> torch.Tensor:
    shape = (2, 16, 16) if frames == 1 else (2, frames, 16, 16)
    return 10 + 20 * torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["tcw-x4-softmax-s0", "tcw-x4-espcn-add-s0", "era5-uk-t2m-x4-add-s0"])
def test_precision_of_predict(name):
    model = physlab.load_model(name)
    x = given() if model.domain is None else 270 + 10 * torch.rand(2, *model.domain)
    with torch.no_grad():
        plain = model.layer(*model.network.run(x[:, None] / model.scale), None)[:, 0] * model.scale
    fine = model.predict(x)
    assert float((fine - plain).abs().max() / plain.abs().max()) < 1e-6, "channels last"
    half = physlab.load_model(name, precision="bf16").predict(x)
    assert half.dtype == torch.float32
    assert 1e-6 < float((half - fine).abs().max() / fine.abs().max()) < TOLERANCE
    torch.testing.assert_close(coarsen(half, model.factor), x, rtol=2e-6, atol=1e-5)  # the layer's law holds as well


def test_the_copy_follows_the_weights():
    model = physlab.load_model("tcw-x4-espcn-add-s0")
    x, swift = given(), model._swift
    before = model.predict(x)
    assert swift.of(model.network) is swift.of(model.network) is not model.network
    with torch.no_grad():
        next(model.network.parameters()).mul_(1.5)
    after = model.predict(x)
    assert float((after - before).abs().max()) > 1e-3
    other = copy.deepcopy(model)
    assert isinstance(other._swift, Swift) and other._swift is not swift
    torch.testing.assert_close(other.predict(x), after)
    assert next(model.network.parameters()).is_contiguous(), "the network itself stays as it was"
    assert model.double().predict(x.double()).dtype == torch.float64


def test_what_cannot_be():
    with pytest.raises(PhysLabError, match="'fp16' is unknown"):
        physlab.load_model("tcw-x4-espcn-add-s0", precision="fp16")
    with pytest.raises(PhysLabError, match="no network that runs in bf16"):
        physlab.load_model("bicubic-x4", precision="bf16")
    assert physlab.load_model("bicubic-x4", precision="auto").factor == 4


def test_networks_that_are_given_several_fields_take_the_same_way():
    """Two variables and a predictor in one input: channels last, the precision asked for, and the law of each."""
    trunk = {"factor": 2, "channels": 8, "blocks": 1, "skip": "bicubic", "shift": 0.5, "spread": 0.3, "gain": 0.2}
    torch.manual_seed(0)
    network = InformedNetwork(2, "CompactResNet", [trunk, trunk], (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    model = Informed(network, "add", ("t2m", "d2m"), ("u10",), (300.0, 290.0, 10.0)).eval()
    scales = torch.tensor([300.0, 290.0, 10.0])[:, None, None]
    x = scales * torch.rand(4, 3, 12, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        raw, _ = network.run(x / scales)
        plain = model.layer(raw, x[:, :2] / scales[:2], None) * scales[:2]
    fine = model.predict(x)
    assert float((fine - plain).abs().max() / plain.abs().max()) < 1e-6
    model.precision = "bf16"
    half = model.predict(x)
    assert 1e-6 < float((half - fine).abs().max() / fine.abs().max()) < TOLERANCE
    torch.testing.assert_close(coarsen(half, 2), x[:, :2], rtol=2e-6, atol=1e-3)
