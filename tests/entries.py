"""The registry's entries as test parameters: one per family is quick, the rest are slow."""

import pytest

from slimline.backbones import REGISTRY

ONE_PER_FAMILY = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "efficientnet_lite0",
)

ALL = [
    pytest.param(name, marks=() if name in ONE_PER_FAMILY else pytest.mark.slow)
    for name in REGISTRY
]
