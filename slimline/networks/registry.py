"""The registry of backbones. Adding one: a line in its family's file, a line here.

Families import torch inside their functions, so that the names can be checked fast.
"""

from slimline.lazy_registry import Registry
from slimline.networks.architecture import Backbone

REGISTRY: Registry[Backbone] = Registry(
    {
        "resnet8_w48": "slimline.networks.families.shallow_resnet:RESNET8_W48",
        "resnet10": "slimline.networks.families.shallow_resnet:RESNET10",
        "resnet18": "slimline.networks.families.resnet:RESNET18",
        "resnet34": "slimline.networks.families.resnet:RESNET34",
        "resnet50": "slimline.networks.families.resnet:RESNET50",
        "mobilenet_v2": "slimline.networks.families.mobilenet_v2:MOBILENET_V2",
        "mobilenet_v3_small": "slimline.networks.families.mobilenet_v3:SMALL",
        "mobilenet_v3_large": "slimline.networks.families.mobilenet_v3:LARGE",
        "mobilenet_v4_conv_small": "slimline.networks.families.mobilenet_v4:CONV_SMALL",
        "mobilenet_v4_conv_medium": "slimline.networks.families.mobilenet_v4:CONV_MEDIUM",
        "shufflenet_v2_x0_5": "slimline.networks.families.shufflenet_v2:X0_5",
        "shufflenet_v2_x1_0": "slimline.networks.families.shufflenet_v2:X1_0",
        "shufflenet_v2_x1_5": "slimline.networks.families.shufflenet_v2:X1_5",
        "shufflenet_v2_x2_0": "slimline.networks.families.shufflenet_v2:X2_0",
        "efficientnet_b0": "slimline.networks.families.efficientnet:B0",
        "efficientnet_lite0": "slimline.networks.families.efficientnet_lite:LITE0",
        "efficientnet_lite1": "slimline.networks.families.efficientnet_lite:LITE1",
        "efficientnet_lite2": "slimline.networks.families.efficientnet_lite:LITE2",
        "efficientnet_lite3": "slimline.networks.families.efficientnet_lite:LITE3",
        "efficientnet_lite4": "slimline.networks.families.efficientnet_lite:LITE4",
    },
    chosen_by=("baseline_train.backbone", "backbone_swap.backbone"),
)
