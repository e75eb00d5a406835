"""Both implementations are the same network; only ratios of one run are asserted."""

from __future__ import annotations

import pytest
import torch

from physlab.compact import OnnxDownscaler, export_onnx, quantise
from physlab.downscale import CNN
from physlab.errors import PhysLabError
from physlab.nn import ResNet
from physlab.nn.precision import precision_of
from physlab.throughput import Plain, inference_time, throughput


def test_the_straightforward_network_is_the_same_function() -> None:
    torch.manual_seed(0)
    network = ResNet(4, channels=8, blocks=2)
    coarse = 0.5 + torch.rand(2, 1, 6, 5)
    truth = torch.rand(2, 1, 24, 20)
    plain, ours = Plain(network), CNN(network, "softmax", 1.0)
    torch.testing.assert_close(plain(coarse), ours(coarse))
    losses = [(model(coarse) - truth).square().mean() for model in (plain, ours)]
    gradients = [torch.autograd.grad(loss, list(m.parameters())) for loss, m in zip(losses, (plain, ours), strict=True)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_ratios_are_reported_and_the_fields_agree(precision: str) -> None:
    table = throughput(factor=2, size=16, batch=2, repeats=2, channels=8, blocks=1, precision=precision)
    assert list(table["task"]) == ["inference", "training"]
    assert (table["ratio"] > 0).all() and (table["ratio_median"] > 0).all()
    assert (table["ratio"] - table["plain_s"] / table["ours_s"]).abs().max() < 1e-12
    assert (table["precision"] == precision).all() and table["threads"].iloc[0] == torch.get_num_threads()
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    assert (table["difference"] < tolerance).all()
    assert (table["difference"].iloc[0] > 1e-6) == (precision == "bf16")


@pytest.mark.slow
def test_ours_is_faster() -> None:
    table = throughput(size=64, batch=2, repeats=5).set_index("task")
    multiplies_bf16 = precision_of("auto", torch.device("cpu")) == "bf16"
    assert (table["ratio"] > (1.5 if multiplies_bf16 else 0.8)).all(), table.to_string()


def test_time_per_megapixel(maker, tmp_path) -> None:
    small, large = (maker("CompactResNet", "add", channels=c, blocks=b) for c, b in ((4, 1), (48, 4)))
    for prepare in (lambda model: model, lambda model: quantise(model, "bf16"), onnx_of(tmp_path)):
        times = [inference_time(prepare(model), (24, 24), 2) for model in (small, large)]
        assert 0 < times[0] < times[1]
    threads = torch.get_num_threads()
    with pytest.raises(PhysLabError, match="repeats"):
        inference_time(small, repeats=0)
    assert torch.get_num_threads() == threads


def onnx_of(folder):
    return lambda model: OnnxDownscaler(export_onnx(model, folder / "m.onnx"), threads=1)
