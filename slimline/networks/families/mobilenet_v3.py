"""MobileNetV3 (Howard et al., 2019, arXiv:1905.02244), from torchvision."""

from slimline.networks.architecture import Backbone
from slimline.networks.published import of_torchvision


def _v3(name: str, *, num_parts: int) -> Backbone:
    return of_torchvision(
        name,
        stem="features.0.0",
        head="classifier.",
        stages=tuple(f"features.{part}" for part in range(1, num_parts + 1)),
    )


SMALL = _v3("mobilenet_v3_small", num_parts=12)
LARGE = _v3("mobilenet_v3_large", num_parts=16)
