"""What device targets count in a file that they wrote: its layers. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer."""

    name: str
    params: int
    weights: int
    zeros: int
    macs: int
    is_int8: bool
    """Whether it computes with bytes."""


def describe(layers: Sequence[Layer], left_out: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return what `model.json` says of layers and of other operators, by layer, that are left."""
    return {
        "num_layers": len(layers),
        "not_delegated": list(left_out),
        "float_layers": [each.name for each in layers if not each.is_int8],
    }


def counts(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the counts of a file, by their names in `slimline.targets.model_file.ModelFile`."""
    return {
        "params": sum(each.params for each in layers),
        "weights": sum(each.weights for each in layers),
        "zeros": sum(each.zeros for each in layers),
        "macs": sum(each.macs for each in layers),
        "int8_macs": sum(each.macs for each in layers if each.is_int8),
    }
