"""ShuffleNetV2 (Ma et al., 2018, arXiv:1807.11164), from torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.backbones.architecture import Architecture, Backbone, replace_stem

if TYPE_CHECKING:
    from torch import nn

_STEM = "conv1.0"


def _x0_5(architecture: Architecture) -> nn.Module:
    from torchvision.models import shufflenet_v2_x0_5

    model = shufflenet_v2_x0_5(num_classes=architecture.num_classes)
    replace_stem(model, _STEM, architecture)
    return model


def _x1_0(architecture: Architecture) -> nn.Module:
    from torchvision.models import shufflenet_v2_x1_0

    model = shufflenet_v2_x1_0(num_classes=architecture.num_classes)
    replace_stem(model, _STEM, architecture)
    return model


X0_5 = Backbone(_x0_5, stem=_STEM, head="fc.")
X1_0 = Backbone(_x1_0, stem=_STEM, head="fc.")
