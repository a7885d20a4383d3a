"""What it takes to make a file for a target: what is quantized how, and how it is written."""

from pathlib import Path
from typing import Protocol

from torch import Tensor, fx

from slimline.registry import Registry
from slimline.targets import TARGETS
from slimline.targets.scheme import Scheme


class Exporter(Protocol):
    """Module `exporter` of a target."""

    def scheme(self, wanted: Scheme) -> Scheme:
        """Return what is quantized how for this runtime, as near as it can be to what is wanted."""

    def write(self, converted: fx.GraphModule, example: Tensor, path: Path) -> None:
        """Write a quantized network; `example` is float32 [2 or more, channels, height, width]."""


EXPORTERS: Registry[Exporter] = TARGETS.part("exporter")
