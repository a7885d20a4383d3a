"""How a quantized network becomes a file for a target."""

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, fx

from slimline.lazy_registry import Registry
from slimline.targets.registry import TARGETS


class Exporter(Protocol):
    """Module `exporter` of a target; what can be chosen besides is the target's own affair."""

    def write(self, converted: fx.GraphModule, example: Tensor, path: Path, **options: Any) -> None:
        """Write a quantized network; `example` is float32 [2 or more, channels, height, width]."""

    def describe(self, **options: Any) -> dict[str, Any]:
        """Return what `model.json` says of a file written with these options."""


EXPORTERS: Registry[Exporter] = TARGETS.part("exporter")
