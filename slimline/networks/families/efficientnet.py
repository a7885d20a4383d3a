"""EfficientNet (Tan and Le, 2019, arXiv:1905.11946), from torchvision."""

from slimline.networks.published import of_torchvision

B0 = of_torchvision(
    "efficientnet_b0",
    stem="features.0.0",
    head="classifier.",
    stages=tuple(f"features.{part}" for part in range(1, 9)),
)
