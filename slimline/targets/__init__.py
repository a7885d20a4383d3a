"""Runtimes that our models are written for: a folder each, and a line in the table below.

A target has two halves, so that what runs a file needs no torch: `runtime` loads a file, runs it
and looks into it (`slimline.targets.runtimes`); `exporter` says what is quantized for it, and
writes (`slimline.targets.exporters`).
"""

from types import ModuleType

from slimline.registry import Registry

ONNX_RUNTIME = "onnxruntime"
"""The target of every model of the chain, and of the product."""

TARGETS: Registry[ModuleType] = Registry(
    {"onnxruntime": "slimline.targets.onnxruntime"}, always=("onnxruntime",)
)
