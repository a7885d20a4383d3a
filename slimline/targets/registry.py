"""The table of targets, runtimes that models are written for. Adding one: a folder, a line here.

Its name stands twice more in `slimline.targets.device_registry`: among those that `targets` may
have, and in their own table.

A target has three parts, a file each: `runtime` loads a file, runs it and looks into it, without
torch (`slimline.targets.runtimes`); `scheme` says what is quantized how for it
(`slimline.targets.schemes`); `exporter` writes the file (`slimline.targets.exporters`).
"""

from types import ModuleType

from slimline.lazy_registry import Registry

ONNX_RUNTIME = "onnxruntime"
"""The target of every model of the chain, and of the product."""

TARGETS: Registry[ModuleType] = Registry(
    {
        "onnxruntime": "slimline.targets.onnxruntime",
        "executorch": "slimline.targets.executorch",
        "litert": "slimline.targets.litert",
    },
    always=("onnxruntime",),
)
"""All of them, so that any file can be run. As code of a stage counts what each of them runs."""
