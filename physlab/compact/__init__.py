"""Compact models: export to ONNX, cheap arithmetic, and students that learn from large teachers.

>>> export_onnx(model, "tcw.onnx")                    # checked against torch before the file appears
>>> OnnxDownscaler("tcw.onnx").downscale(coarse)      # a downscaler like any other, run by onnxruntime
>>> quantise(model, "int8", samples=data.coarse["train"][:64]).predict(coarse, weights)
>>> student, report = distill(teacher, network, data, settings, seed=0)

A hard constraint stays hard in each of them: its layer is computed in float32 whatever the network is computed in.
"""

from __future__ import annotations

from physlab.compact.export import export_onnx
from physlab.compact.quantised import Bf16Downscaler, megabytes, quantise
from physlab.compact.session import OnnxDownscaler, run_onnx
from physlab.train.distillation import blended, distill

__all__ = [
    "Bf16Downscaler",
    "OnnxDownscaler",
    "blended",
    "distill",
    "export_onnx",
    "megabytes",
    "quantise",
    "run_onnx",
]
