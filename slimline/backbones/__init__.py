"""The registry of backbones. Adding one: a line in its family's file, a line here.

Families import torch inside their functions, so that the names can be checked fast.
"""

from slimline.backbones import efficientnet_lite, mobilenet_v3, resnet, shufflenet_v2
from slimline.backbones.architecture import Architecture, Backbone

REGISTRY: dict[str, Backbone] = {
    "resnet18": resnet.RESNET18,
    "shufflenet_v2_x0_5": shufflenet_v2.X0_5,
    "shufflenet_v2_x1_0": shufflenet_v2.X1_0,
    "mobilenet_v3_small": mobilenet_v3.SMALL,
    "efficientnet_lite0": efficientnet_lite.LITE0,
}

__all__ = ["REGISTRY", "Architecture", "Backbone"]
