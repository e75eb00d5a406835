"""Cheap arithmetic: a trained model in bfloat16 (torch) or in 8-bit integers (onnxruntime).

bf16
    Weights and convolutions in bfloat16, channels last, half the megabytes; fast where the processor multiplies in it
    (AVX512-BF16, AMX, GPUs), slow where it is emulated.
int8
    torch's dynamic quantisation knows linear layers only, so the exported graph is quantised with onnxruntime: weights
    per channel to int8, inputs of the convolutions to uint8 with ranges measured on `samples` (static, QDQ). Without
    samples the ranges are measured in each forward pass (dynamic, ConvInteger): as small and as accurate, but several
    times slower than float32, for onnxruntime has no fast kernel for it. Transposed convolutions stay in float32.

Only convolutions change. Standardisation, skip and constraint layer stay in float32, so that block means hold as
exactly as before.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from physlab.compact.export import check_kind, describe, onnx_bytes
from physlab.compact.session import OnnxDownscaler
from physlab.downscale import CNN, FieldDownscaler
from physlab.downscale.around import Around
from physlab.downscale.base import BATCH, batched
from physlab.errors import FieldError, PhysLabError
from physlab.nn.parts import lay_out

WAYS = ("bf16", "int8")


class Bf16Downscaler(Around):
    """A model whose network has bfloat16 weights; frame and constraint layer are those of the model, in float32."""

    def __init__(self, model: CNN) -> None:
        check_kind(model)
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        lay_out(self.model.network.to(torch.bfloat16), torch.channels_last)
        super().__init__(self.model)
        self.constraint, self.card, self.scale = model.constraint, model.card, model.scale

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """Physical units, (..., h, w) -> (..., h*N, w*N), in the dtype of `coarse`."""
        if coarse.ndim < 2:
            raise FieldError(f"coarse field has shape {tuple(coarse.shape)}: pass (..., h, w)")
        device = next(self.model.network.parameters()).device
        x = coarse.to(device, torch.float32).reshape(-1, 1, *coarse.shape[-2:])
        weights = None if weights is None else weights.to(device)
        with torch.inference_mode():
            fine = batched(lambda part: self._fine(part / self.scale, weights) * self.scale, x)
        return fine.reshape(*coarse.shape[:-2], *fine.shape[-2:]).to(coarse.device, coarse.dtype).clone()

    def _fine(self, x: Tensor, weights: Tensor | None) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            raw = self.model.network(x.contiguous(memory_format=torch.channels_last))
        return self.model.layer(raw, x, weights)


def quantise(model: CNN, how: str, samples: Tensor | None = None) -> FieldDownscaler:
    """The same model in cheaper arithmetic.

    Parameters
    ----------
    how : "bf16" or "int8".
    samples : for int8: (S, 1, h, w) coarse fields in physical units of the training block, to measure ranges on; a
        few dozen are enough. None: ranges are measured in each forward pass.

    Returns
    -------
    A downscaler; the one of int8 has the ONNX file in `content`.

    Raises
    ------
    PhysLabError : another name, or a model that cannot be exported.
    """
    if how == "bf16":
        return Bf16Downscaler(model)
    if how != "int8":
        raise PhysLabError(f"unknown arithmetic {how!r}: choose one of {', '.join(WAYS)}")
    from onnxruntime import quantization  # slow to import

    graph = onnx.load_from_string(onnx_bytes(model))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        chosen = {
            "op_types_to_quantize": ["Conv"], "per_channel": True, "weight_type": quantization.QuantType.QInt8,
            "reduce_range": True,  # weights of 7 bits: processors without VNNI add pairs of products in 16 bits
        }  # fmt: skip
        if samples is None:
            quantization.quantize_dynamic(graph, path, **chosen)
        else:
            quantization.quantize_static(
                graph,
                path,
                _reader(model, samples, quantization.CalibrationDataReader),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                **chosen,
                # a tensor that also feeds a skip goes there as it is: only the input of the convolution is rounded
                extra_options={"DedicatedQDQPair": True},
            )
        graph = onnx.load(path)
    describe(graph, model, quantised="int8", ranges="dynamic" if samples is None else f"{len(samples)} samples")
    return OnnxDownscaler(graph.SerializeToString())


def megabytes(model: CNN | FieldDownscaler) -> float:
    """Size of the weights of a model in MB (1e6 bytes); of an ONNX model the whole file."""
    if isinstance(model, OnnxDownscaler):
        return len(model.content) / 1e6
    network = getattr(getattr(model, "model", model), "network", None)
    if network is None:
        return 0.0
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) / 1e6


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to simplify the graph first: the optional input `weights` would be folded away."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    try:
        yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(2)


def _reader(model: CNN, samples: Tensor, base: type):
    if samples.ndim != 4 or samples.shape[1] != 1 or not len(samples):
        raise PhysLabError(f"samples have shape {tuple(samples.shape)}: pass (S, 1, h, w) coarse fields, S >= 1")
    size = 1 if model.domain else BATCH
    parts = iter([np.ascontiguousarray(part.cpu().float().numpy()) for part in samples.split(size)])

    class Reader(base):
        def get_next(self) -> dict | None:
            part = next(parts, None)
            return None if part is None else {"coarse": part}

    return Reader()
