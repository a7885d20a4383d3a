"""What is quantized how for LiteRT, whose kernels take int8 activations alone. Free of torch."""

from slimline.targets.int8_activations import choose

__all__ = ["choose"]
