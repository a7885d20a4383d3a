"""What is quantized how, for a target: all that a quantizer is told. Free of torch."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from slimline.lazy_registry import Registry
from slimline.targets.registry import TARGETS

ActivationType: TypeAlias = Literal["uint8", "int8", "int8_symmetric"]
"""How a byte counts; of `int8_symmetric` 0 is always the number 0, as compilers for TensorRT want
it."""
WeightScales: TypeAlias = Literal["per_channel", "per_tensor"]


@dataclass(frozen=True)
class Scheme:
    """Types and scales of an int8 network; see `slimline.quantization.settings.QuantizerParams`."""

    weight_bits: int
    activation_type: ActivationType = "uint8"
    weights: WeightScales = "per_channel"


class SchemeChooser(Protocol):
    """Module `scheme` of a target."""

    def choose(self, wanted: Scheme) -> Scheme:
        """Return what is quantized how for this runtime, as near as it can be to what is wanted."""


SCHEMES: Registry[SchemeChooser] = TARGETS.part("scheme")
