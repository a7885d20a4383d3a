"""What is quantized how: all that a quantizer is told. Free of torch."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

ActivationType: TypeAlias = Literal["uint8", "int8"]
WeightScales: TypeAlias = Literal["per_channel", "per_tensor"]


@dataclass(frozen=True)
class Scheme:
    """Types and scales of an int8 network; see `slimline.quantization.settings.QuantizerParams`."""

    weight_bits: int
    activation_type: ActivationType = "uint8"
    weights: WeightScales = "per_channel"
