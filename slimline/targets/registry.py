"""The table of targets, runtimes that models are written for. Adding one: a folder, a line here.

Its name stands here twice more: in `always`, and among those that `targets` may have.

A target has three parts, a file each: `runtime` loads a file, runs it and looks into it, without
torch (`slimline.targets.runtimes`); `scheme` says what is quantized how for it
(`slimline.targets.schemes`); `exporter` writes the file (`slimline.targets.exporters`).
"""

from types import ModuleType
from typing import Literal, TypeAlias

from slimline.lazy_registry import Registry

ONNX_RUNTIME = "onnxruntime"
"""The target of every model of the chain, and of the product."""

DeviceTarget: TypeAlias = Literal["executorch"]
"""What `targets` in params.yaml may name: all others."""

TARGETS: Registry[ModuleType] = Registry(
    {
        "onnxruntime": "slimline.targets.onnxruntime",
        "executorch": "slimline.targets.executorch",
    },
    always=("onnxruntime", "executorch"),
)
