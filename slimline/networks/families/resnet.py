"""ResNet (He et al., 2015, arXiv:1512.03385), from torchvision."""

from slimline.networks.architecture import Backbone
from slimline.networks.published import of_torchvision


def _resnet(name: str) -> Backbone:
    stages = ("layer1", "layer2", "layer3", "layer4")
    return of_torchvision(name, stem="conv1", head="fc.", stages=stages)


RESNET18 = _resnet("resnet18")
RESNET34 = _resnet("resnet34")
RESNET50 = _resnet("resnet50")
