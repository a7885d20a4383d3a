"""The registry's entries as test parameters: one of each kind of block is quick, the rest slow."""

import pytest

from slimline.networks.registry import REGISTRY

ONE_PER_FAMILY = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "efficientnet_lite0",
)

_QUICK = {
    "mobilenet_v3_small",  # sums, squeeze-excitation and hard-swish
    "mobilenet_v4_conv_small",  # BatchNorm that carries its activation
    "shufflenet_v2_x1_0",  # splits and shuffles
}

ALL = [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in REGISTRY]

WHOLE_WAY = [
    pytest.param(name, marks=() if name in _QUICK - {"shufflenet_v2_x1_0"} else pytest.mark.slow)
    for name in REGISTRY
]
"""As `ALL`, for what the toy pipeline does with a ShuffleNetV2: train, prune, quantize, export."""
