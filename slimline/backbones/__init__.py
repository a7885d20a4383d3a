"""The registry of backbones. Adding one: a line in its family's file, a line here.

Families import torch inside their functions, so that the names can be checked fast.
"""

from slimline.backbones import (
    efficientnet,
    efficientnet_lite,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_v4,
    resnet,
    shufflenet_v2,
)
from slimline.backbones.architecture import Architecture, Backbone

REGISTRY: dict[str, Backbone] = {
    "resnet18": resnet.RESNET18,
    "resnet34": resnet.RESNET34,
    "resnet50": resnet.RESNET50,
    "mobilenet_v2": mobilenet_v2.MOBILENET_V2,
    "mobilenet_v3_small": mobilenet_v3.SMALL,
    "mobilenet_v3_large": mobilenet_v3.LARGE,
    "mobilenet_v4_conv_small": mobilenet_v4.CONV_SMALL,
    "mobilenet_v4_conv_medium": mobilenet_v4.CONV_MEDIUM,
    "shufflenet_v2_x0_5": shufflenet_v2.X0_5,
    "shufflenet_v2_x1_0": shufflenet_v2.X1_0,
    "shufflenet_v2_x1_5": shufflenet_v2.X1_5,
    "shufflenet_v2_x2_0": shufflenet_v2.X2_0,
    "efficientnet_b0": efficientnet.B0,
    "efficientnet_lite0": efficientnet_lite.LITE0,
    "efficientnet_lite1": efficientnet_lite.LITE1,
    "efficientnet_lite2": efficientnet_lite.LITE2,
    "efficientnet_lite3": efficientnet_lite.LITE3,
    "efficientnet_lite4": efficientnet_lite.LITE4,
}

__all__ = ["REGISTRY", "Architecture", "Backbone"]
