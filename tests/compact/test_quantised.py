"""Cheaper arithmetic: close to the model, smaller, and as conservative as before."""

from __future__ import annotations

import onnx
import pytest
import torch

from physlab.compact import OnnxDownscaler, megabytes, quantise
from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.score import rmse

AREAS = torch.linspace(0.2, 1.8, 32)[:, None]


def fields(count: int, seed: int) -> torch.Tensor:
    return 1.0 + 39.0 * torch.rand(count, 1, 16, 12, generator=torch.Generator().manual_seed(seed))


def cheap(model, way: str):
    return quantise(model, way.split("-")[0], None if way == "int8-dynamic" or way == "bf16" else fields(16, 2))


@pytest.mark.parametrize("constraint", ["add", "mult", "softmax", "scaled_add"])
@pytest.mark.parametrize("way", ["bf16", "int8", "int8-dynamic"])
def test_block_means_hold(way: str, constraint: str, maker) -> None:
    model = maker("CompactResNet", constraint, channels=16, blocks=2)
    x, method = fields(4, 3), cheap(model, way)
    fine, exact = method.predict(x, AREAS), model.predict(x, AREAS)
    assert float((fine - exact).abs().max()) > 1e-4, "the network is computed in something cheaper"
    block = coarsening_residual(fine.double(), x.double(), 2, AREAS.double()).abs() / x.double()
    assert float(block.max()) < 1e-6, "relative, in every single block"
    detail = float(rmse(exact, torch.nn.functional.interpolate(x, scale_factor=2.0)))
    assert float(rmse(fine, exact)) < 0.03 * detail
    assert method.factor == 2 and method.variable == "tcw" and method.name == model.name
    assert fine.shape == exact.shape and fine.dtype == torch.float32 and not fine.is_inference()


def test_sizes_and_what_was_quantised(maker) -> None:
    model = maker("CompactResNet", "add", channels=32, blocks=2)
    int8, bf16 = cheap(model, "int8"), cheap(model, "bf16")
    assert megabytes(bf16) == pytest.approx(0.5 * megabytes(model))
    assert megabytes(model) == pytest.approx(4e-6 * sum(p.numel() for p in model.parameters()))
    assert megabytes(int8) < 0.8 * megabytes(model)
    graph = onnx.load_from_string(int8.content).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 6
    for node in convolutions:
        assert stored[made_by[node.input[1]].input[0]] == onnx.TensorProto.INT8
        assert made_by[node.input[0]].op_type == "DequantizeLinear"
    assert int8.metadata["quantised"] == "int8" and int8.metadata["ranges"] == "16 samples"
    assert OnnxDownscaler(int8.content).predict(fields(1, 3)).equal(int8.predict(fields(1, 3)))
    assert next(model.parameters()).dtype == torch.float32, "the model itself is not changed"


def test_a_network_with_a_map(maker) -> None:
    model = maker("CompactResNet", "softmax", channels=8, blocks=1, domain=[16, 12], maps=3)
    for way in ("bf16", "int8"):
        assert float(rmse(cheap(model, way).predict(fields(2, 3), AREAS), model.predict(fields(2, 3), AREAS))) < 0.1


def test_wrong_names_and_samples(maker) -> None:
    model = maker("CompactResNet", "add", channels=8, blocks=1)
    with pytest.raises(PhysLabError, match="choose one of bf16, int8"):
        quantise(model, "int4")
    with pytest.raises(PhysLabError, match=r"pass \(S, 1, h, w\)"):
        quantise(model, "int8", torch.ones(4, 4))
