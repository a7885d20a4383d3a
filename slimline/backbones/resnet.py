"""ResNet (He et al., 2015, arXiv:1512.03385), from torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.backbones.architecture import Architecture, Backbone, replace_stem

if TYPE_CHECKING:
    from torch import nn

_STEM = "conv1"


def _resnet18(architecture: Architecture) -> nn.Module:
    from torchvision.models import resnet18

    model: nn.Module = resnet18(num_classes=architecture.num_classes)
    replace_stem(model, _STEM, architecture)
    return model


RESNET18 = Backbone(_resnet18, stem=_STEM, head="fc.")
