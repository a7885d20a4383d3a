"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381), from torchvision."""

from slimline.networks.published import of_torchvision

MOBILENET_V2 = of_torchvision(
    "mobilenet_v2",
    stem="features.0.0",
    head="classifier.",
    stages=tuple(f"features.{part}" for part in range(1, 19)),
)
