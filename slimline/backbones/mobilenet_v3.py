"""MobileNetV3 (Howard et al., 2019, arXiv:1905.02244), from torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.backbones.architecture import Architecture, Backbone, replace_stem

if TYPE_CHECKING:
    from torch import nn

_STEM = "features.0.0"


def _small(architecture: Architecture) -> nn.Module:
    from torchvision.models import mobilenet_v3_small

    model: nn.Module = mobilenet_v3_small(num_classes=architecture.num_classes)
    replace_stem(model, _STEM, architecture)
    return model


SMALL = Backbone(_small, stem=_STEM, head="classifier.")
