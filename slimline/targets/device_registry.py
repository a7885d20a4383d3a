"""The table of targets that `targets` in params.yaml may name: all but ONNX Runtime.

A module of its own, which stages that train never import: one more target trains nothing again.
"""

from types import ModuleType
from typing import Literal, TypeAlias

from slimline.lazy_registry import Registry

DeviceTarget: TypeAlias = Literal["executorch", "litert"]
"""What `targets` may name."""

DEVICE_TARGETS: Registry[ModuleType] = Registry(
    {
        "executorch": "slimline.targets.executorch",
        "litert": "slimline.targets.litert",
    },
    always=("executorch", "litert"),
)
"""As code they count where they are used (`slimline.targets.device_runtimes`)."""
