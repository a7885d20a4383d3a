"""How a quantized network becomes a file for a target."""

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, fx

from slimline.lazy_registry import Registry
from slimline.targets.registry import TARGETS


class Exporter(Protocol):
    """Module `exporter` of a target; what can be chosen besides is the target's own affair."""

    def write(
        self, converted: fx.GraphModule, example: Tensor, path: Path, **options: Any
    ) -> dict[str, Any]:
        """Write a quantized network, and return what `model.json` says of the file.

        `example` is float32 [2 or more, channels, height, width].
        """


EXPORTERS: Registry[Exporter] = TARGETS.part("exporter")
