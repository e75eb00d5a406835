"""A model in an ONNX file, run by onnxruntime: a downscaler like any other, without torch in the forward pass.

The graph takes `coarse` (B, 1, h, w) in physical units and, if wanted, `weights` (H, 1) or (H, W), the areas of the
fine cells; without them block means are plain. It returns `fine` (B, 1, h*N, w*N). What the model is for stands in
the metadata of the file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from physlab.downscale import FieldDownscaler
from physlab.downscale.base import BATCH
from physlab.errors import CheckpointError, FieldError

KEYS = ("name", "factor", "constraint")


class OnnxDownscaler(FieldDownscaler):
    """A model of :func:`physlab.compact.export_onnx` or :func:`physlab.compact.quantise`.

    Numbers are float32 whatever the dtype of the field: block means hold to 1e-6 of the largest value.

    Parameters
    ----------
    source : path of the file, or its content.
    threads : of onnxruntime; None for as many as torch uses.

    Attributes
    ----------
    content : the bytes of the file;  metadata : its text entries;  card : the card of the checkpoint it was made of.

    Raises
    ------
    CheckpointError : no such file, or not one of ours.
    """

    def __init__(self, source: str | Path | bytes, threads: int | None = None) -> None:
        label = "of the ONNX model" if isinstance(source, bytes) else str(source)
        try:
            self.content = source if isinstance(source, bytes) else Path(source).read_bytes()
            self.session = open_session(self.content, threads)
        except Exception as error:  # onnxruntime raises many kinds for a damaged file
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(f"ONNX file {label} cannot be read ({line[:120]}): export it again") from None
        self.metadata = dict(self.session.get_modelmeta().custom_metadata_map)
        missing = [key for key in KEYS if key not in self.metadata]
        if missing:
            raise CheckpointError(
                f"ONNX file {label} has no entry {', '.join(missing)}: pass a file that physlab exported"
            )
        self.name, self.constraint = self.metadata["name"], self.metadata["constraint"]
        self.factor = int(self.metadata["factor"])
        self.variable = self.metadata.get("variable") or None
        self.card = json.loads(self.metadata.get("card", "{}"))
        self.training_grid = json.loads(self.metadata.get("grid", "{}"))
        domain = json.loads(self.metadata.get("domain", "null"))
        self.domain = None if domain is None else (int(domain[0]), int(domain[1]))
        batch = self.session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else BATCH  # a network with a map takes one field at a time

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """Physical units, (..., h, w) -> (..., h*N, w*N), in the dtype of `coarse`."""
        if coarse.ndim < 2:
            raise FieldError(f"coarse field has shape {tuple(coarse.shape)}: pass (..., h, w)")
        x = coarse.detach().cpu().float().reshape(-1, 1, *coarse.shape[-2:]).numpy()
        feed = {}
        if weights is not None:
            areas = weights.detach().cpu().float().numpy()
            feed["weights"] = np.ascontiguousarray(areas.reshape(1, -1) if areas.ndim < 2 else areas)
        parts = (np.ascontiguousarray(x[i : i + self.batch]) for i in range(0, len(x), self.batch))
        fine = np.concatenate([self.session.run(["fine"], {"coarse": part, **feed})[0] for part in parts])
        return torch.from_numpy(fine).reshape(*coarse.shape[:-2], *fine.shape[-2:]).to(coarse.device, coarse.dtype)


def run_onnx(path: str | Path, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
    """One field or many through an exported file: (..., h, w) -> (..., h*N, w*N), physical units."""
    return OnnxDownscaler(path).predict(coarse, weights)


def open_session(content: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU, quiet, with a given number of threads."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads() if threads is None else threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
