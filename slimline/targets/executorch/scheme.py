"""What is quantized how for XNNPACK, which has int8 activations alone. Free of torch."""

from slimline.targets.int8_activations import choose

__all__ = ["choose"]
