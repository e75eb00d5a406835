"""An exported file gives the numbers of torch, for every network, layer, shape and kind of areas, or is not there."""

from __future__ import annotations

import json

import onnx
import onnxruntime
import pytest
import torch

from physlab.compact import OnnxDownscaler, export, export_onnx, quantise, run_onnx
from physlab.downscale import Downscaler
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.grid import coarsen
from physlab.nn import NETWORKS, Upscaler


def small(kind: str) -> dict:
    """Arguments of a small network of this kind: few blocks, and few channels where that is one number."""
    known = {option.name: option.default for option in NETWORKS[kind].entry.options}
    wanted = {"channels": 8, "blocks": 1, "growth": 4}
    return {name: value for name, value in wanted.items() if isinstance(known.get(name), int)}


def fields(*shape: int, seed: int = 1) -> torch.Tensor:
    return 1.0 + 39.0 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def areas(rows: int) -> torch.Tensor:
    return torch.linspace(0.2, 1.8, rows)[:, None]


def close(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("constraint", ["none", "soft", "add", "scaled_add", "mult", "softmax"])
@pytest.mark.parametrize("kind", ["CompactResNet", "ResNet"])
def test_the_numbers_are_those_of_torch(kind, constraint, maker, tmp_path) -> None:
    model = maker(kind, constraint, **small(kind))
    exported = OnnxDownscaler(export_onnx(model, tmp_path / "model.onnx"))
    for shape in ((3, 1, 7, 10), (1, 1, 5, 4), (2, 3, 6, 6), (9, 5)):
        x = fields(*shape)
        rows, columns = shape[-2] * 2, shape[-1] * 2
        for weights in (None, areas(rows), areas(rows) * torch.rand(rows, columns), torch.linspace(1, 2, columns)):
            fine = exported.predict(x, weights)
            assert fine.shape == (*shape[:-2], rows, columns)
            assert close(fine, model.predict(x, weights)) < 1e-5
            if model.layer.hard:
                means = coarsen(fine.double(), 2, weights)
                assert close(means, x.double()) < 1e-6, "the constraint is in the file"
    unweighted, weighted = exported.predict(x), exported.predict(x, areas(rows))
    assert (close(unweighted, weighted) > 1e-3) == model.layer.hard, "the weights reach the layer"


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_every_network_is_exported_or_refused(kind, maker, tmp_path) -> None:
    model = maker(kind, "add", factor=4, **small(kind))
    x = fields(2, 1, 9, 6)
    network = model.network
    if network.frames != (1, 1) or network.statics or network.noise_shape(x) is not None:
        with pytest.raises(PhysLabError, match="only networks from one frame to one frame"):
            export_onnx(model, tmp_path / "m.onnx")
        return
    assert close(run_onnx(export_onnx(model, tmp_path / "m.onnx"), x, areas(36)), model.predict(x, areas(36))) < 1e-5


def test_a_network_with_a_map_stays_on_its_domain(maker, tmp_path) -> None:
    model = maker("CompactResNet", "softmax", channels=8, blocks=1, domain=[8, 12], maps=3)
    exported = OnnxDownscaler(export_onnx(model, tmp_path / "map.onnx"))
    x = fields(3, 1, 8, 12)
    assert exported.domain == (8, 12)
    assert close(exported.predict(x, areas(16)), model.predict(x, areas(16))) < 1e-5


def test_it_is_a_downscaler_and_knows_what_it_is_for(maker, pairs, tmp_path) -> None:
    model = maker("CompactResNet", "add", channels=8, blocks=1)
    path = export_onnx(model, tmp_path / "deep" / "model.onnx")
    exported = OnnxDownscaler(path)
    assert isinstance(exported, Downscaler)
    wanted = {"name": "toy-add", "variable": "tcw", "units": "kg m-2", "factor": "2", "constraint": "add"}
    stored = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert wanted.items() <= stored.items()
    assert json.loads(stored["card"]) == model.card == exported.card
    assert (exported.name, exported.factor, exported.variable) == ("toy-add", 2, "tcw")
    coarse = pairs.dataset("val", 0, coarse=True)
    theirs, ours = model.downscale(coarse), exported.downscale(coarse)
    assert (ours.latitude == theirs.latitude).all() and (ours.longitude == theirs.longitude).all()
    assert float(abs(ours.tcw - theirs.tcw).max()) < 1e-4
    with pytest.raises(FieldError, match="no variable 'tcw'"):
        exported.downscale(coarse.rename(tcw="sp"))
    assert exported.predict(fields(4, 4).double()).dtype == torch.float64


def test_a_file_that_differs_is_not_written(maker, tmp_path, monkeypatch) -> None:
    model, path = maker("CompactResNet", "add", channels=8, blocks=1), tmp_path / "model.onnx"
    forward = export.Physical.forward

    def wrong(self, *fields):
        return forward(self, *fields) * (1 + 1e-4 * torch.onnx.is_in_onnx_export())

    monkeypatch.setattr(export.Physical, "forward", wrong)
    with pytest.raises(PhysLabError, match="differs from torch by"):
        export_onnx(model, path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk"):
        export_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"] and path.read_bytes() == b"old"
    monkeypatch.undo()
    export_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"] and path.stat().st_size > 1000


@pytest.mark.parametrize("constraint", ["add", "none"])
def test_onnxruntime_opens_it_without_a_word(constraint, maker, tmp_path, capfd) -> None:
    """With its own settings, not those of the library, also quantised; areas may be left out or given."""
    model = maker("CompactResNet", constraint, channels=8, blocks=1)
    path = export_onnx(model, tmp_path / "model.onnx")
    x, w = fields(2, 1, 6, 5), areas(12)
    for content in (path.read_bytes(), quantise(model, "int8", fields(4, 1, 6, 5)).content):
        capfd.readouterr()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (plain,) = session.run(["fine"], {"coarse": x.numpy()})
        (weighted,) = session.run(["fine"], {"coarse": x.numpy(), "weights": w.numpy()})
        assert capfd.readouterr() == ("", "")
        tolerance = 1e-5 if content == path.read_bytes() else 0.1
        assert close(torch.from_numpy(plain), model.predict(x)) < tolerance
        assert close(torch.from_numpy(weighted), model.predict(x, w)) < tolerance
        assert [entry.name for entry in session.get_inputs()] == ["coarse", "weights"]


def fail(*_) -> None:
    raise OSError("disk full")


def test_what_cannot_be_exported_says_so(maker, tmp_path) -> None:
    class Frames(Upscaler):
        frames = (3, 3)

    model = maker("CompactResNet", "add", channels=8, blocks=1)
    model.network.__class__ = type("Two", (type(model.network),), {"frames": (2, 2)})
    with pytest.raises(PhysLabError, match="several frames"):
        export_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(PhysLabError, match="not a network"):
        export_onnx(Frames(2), tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match="cannot be read"):
        OnnxDownscaler(tmp_path / "absent.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="cannot be read"):
        OnnxDownscaler(tmp_path / "noise.onnx")
    graph = onnx.load_from_string(export.onnx_bytes(maker("CompactResNet", "add", channels=8, blocks=1)))
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match="no entry name"):
        OnnxDownscaler(tmp_path / "foreign.onnx")
