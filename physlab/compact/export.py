r"""Export of a whole model to ONNX: scale, network, skip and constraint layer in one graph, in physical units.

.. math:: y = s \, C\!\left(f_\theta(x / s),\; x / s;\; w\right)

with the scale :math:`s`, the network :math:`f_\theta` in its frame (bicubic skip: the operator Resize with the same
a = -0.75 as torch) and the constraint layer :math:`C`. The cell areas :math:`w` are an input of the type
Optional, so that a caller may leave them out: they are one then. (An initialiser of that name that a caller may
override means the same, but onnxruntime warns of it whenever the file is opened.) Batch and field size stay free,
except for a network that has learned a map: that one takes single fields of its domain.

The file appears only after onnxruntime has given the numbers of torch, to 1e-5 of the largest value, on random fields
of two shapes, with and without areas.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from physlab.compact.session import open_session
from physlab.downscale import CNN
from physlab.errors import PhysLabError
from physlab.store import write_file

OPSET = 18
TOLERANCE = 1e-5


class Physical(nn.Module):
    """A model as a graph of physical fields: what :meth:`CNN.predict` does, without its bookkeeping."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.network, self.layer, self.scale = model.network, model.layer, model.scale

    def forward(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        x = coarse / self.scale
        return self.layer(self.network(x), x, weights) * self.scale


def export_onnx(model: CNN, path: str | Path, shape: tuple[int, int] | None = None) -> Path:
    """Write a model as an ONNX file, atomically, once its numbers are those of torch.

    Parameters
    ----------
    model : a network that makes one fine frame of one coarse frame, without noise or static fields.
    path : of the file; one that is there is replaced.
    shape : (h, w) of the field that is traced; None for the domain of the model or a small one. The file takes any
        size in either case, unless the model has a domain.

    Raises
    ------
    PhysLabError : a network of another kind, an operator that ONNX lacks, or numbers that differ from torch.
    """
    return write_file(path, onnx_bytes(model, shape))


def onnx_bytes(model: CNN, shape: tuple[int, int] | None = None) -> bytes:
    """The content of the file of :func:`export_onnx`."""
    check_kind(model)
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    shape = model.domain or shape or (12, 16)
    coarse, weights = example(model, 1 if model.domain else 2, shape)
    axes = {"weights": {0: "rows", 1: "columns"}}
    if model.domain is None:
        axes |= {"coarse": {0: "batch", 2: "h", 3: "w"}, "fine": {0: "batch", 2: "H", 3: "W"}}
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the shapes that the tracer warns of are tried below
            torch.onnx.export(
                Physical(model).eval(),
                (coarse, weights),
                buffer,  # type: ignore[arg-type]  # its older exporter takes a buffer too
                dynamo=False,  # the newer exporter needs onnxscript and gives the same operators here
                opset_version=OPSET,
                input_names=["coarse", "weights"],
                output_names=["fine"],
                dynamic_axes=axes,
            )
    except Exception as error:  # the exporter raises many kinds
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PhysLabError(f"{_title(model)} cannot be exported to ONNX ({line[:160]}): use its checkpoint") from None
    graph = onnx.load_from_string(buffer.getvalue())
    leave_out(graph.graph, "weights")
    describe(graph, model)
    onnx.checker.check_model(graph)
    content = graph.SerializeToString()
    difference = largest_difference(model, content, shape)
    if not difference <= TOLERANCE:
        raise PhysLabError(
            f"{_title(model)}: the ONNX graph differs from torch by {difference:.1e} of the largest value, allowed is "
            f"{TOLERANCE:.0e}: no file was written; use the checkpoint"
        )
    return content


def leave_out(graph: onnx.GraphProto, name: str) -> None:
    """Make a field (rows, columns) that a graph takes one that callers may leave out: then it is 1.

    A graph that does not use it takes it all the same.
    """
    others = [entry for entry in graph.input if entry.name != name]
    del graph.input[:]
    field = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, ["rows", "columns"])
    graph.input.extend([*others, onnx.helper.make_value_info(name, onnx.helper.make_optional_type_proto(field))])
    inside = f"{name}_or_one"
    users = [node for node in graph.node if name in node.input]
    for node in users:
        for place, entry in enumerate(node.input):
            if entry == name:
                node.input[place] = inside
    if not users:  # a layer that does not use areas still takes them
        return
    make, one = onnx.helper.make_node, onnx.numpy_helper.from_array(np.ones((1, 1), np.float32))

    def branch(label: str, node: onnx.NodeProto) -> onnx.GraphProto:
        made = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, [None, None])
        return onnx.helper.make_graph([node], label, [], [made])

    given = branch("given", make("OptionalGetElement", [name], [f"{name}_given"]))
    plain = branch("left out", make("Constant", [], [f"{name}_one"], value=one))
    first = [make("OptionalHasElement", [name], [f"has_{name}"]),
             make("If", [f"has_{name}"], [inside], then_branch=given, else_branch=plain)]  # fmt: skip
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*first, *rest])


def describe(graph: onnx.ModelProto, model: CNN, **more: str) -> None:
    """Metadata: what a reader of the file has to know, each entry a text (JSON where it is not a plain word)."""
    entries = {
        "name": model.name or "model",
        "variable": model.variable or "",
        "units": str(model.card.get("units", "")),
        "factor": str(model.factor),
        "constraint": model.constraint,
        "scale": repr(model.scale),
        "domain": json.dumps(model.domain),
        "grid": json.dumps(model.training_grid),
        "card": json.dumps(model.card),
        **more,
    }
    graph.producer_name = "physlab"
    onnx.helper.set_model_props(graph, entries)


def example(model: CNN, batch: int, shape: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random coarse fields of the size the network knows, (B, 1, h, w) physical > 0, and areas (H, 1)."""
    generator = torch.Generator().manual_seed(seed)
    network = model.network
    noise = torch.randn(batch, 1, *shape, generator=generator)
    coarse = model.scale * (network.shift + network.spread * noise).abs()
    return coarse, 0.5 + torch.rand(shape[0] * model.factor, 1, generator=generator)


@torch.no_grad()
def largest_difference(model: CNN, content: bytes, shape: tuple[int, int]) -> float:
    """max |onnx - torch| / max |torch| over random fields of two shapes, with areas and without; NaN if it is NaN."""
    session, reference = open_session(content), Physical(model)
    shapes = [(1, shape)] if model.domain else [(2, shape), (3, (shape[0] + 3, shape[1] - 2)), (1, shape[::-1])]
    worst = []
    for seed, (batch, size) in enumerate(shapes):
        coarse, areas = example(model, batch, size, seed)
        for weights in (None, areas, areas.expand(-1, size[1] * model.factor)):
            feed = {"coarse": coarse.numpy()} | ({} if weights is None else {"weights": weights.contiguous().numpy()})
            try:
                fine = torch.from_numpy(session.run(["fine"], feed)[0])
            except Exception as error:  # an operator whose shape was fixed by the trace
                line = str(error).strip().splitlines()[0]
                raise PhysLabError(
                    f"{_title(model)}: the ONNX graph does not take fields of {size} ({line[:160]}): use its checkpoint"
                ) from None
            truth = reference(coarse, weights)
            worst.append((fine - truth).abs().max() / truth.abs().max())
    return float(torch.stack(worst).max())


def check_kind(model: CNN) -> None:
    """Refuse what is not a network from one frame to one frame, without noise or static fields."""
    if not isinstance(model, CNN):
        raise PhysLabError(f"{type(model).__name__} is not a network: pass a CNN, for example from physlab.load_model")
    network = model.network
    if tuple(network.frames) != (1, 1) or network.statics or network.takes_noise:
        raise PhysLabError(
            f"{_title(model)} takes several frames, noise or static fields: only networks from one frame to one frame "
            "have a compact form"
        )


def _title(model: CNN) -> str:
    return model.name or type(model.network).__name__
