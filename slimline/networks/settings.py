"""Settings of a network: which one, with which weights, stem and activations. Free of torch."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationInfo, field_validator

from slimline.networks.architecture import Activation
from slimline.networks.registry import REGISTRY
from slimline.params import Params

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|pth)")


def _known_backbone(name: str) -> str:
    if name not in REGISTRY:
        raise ValueError(f"must be one of {', '.join(REGISTRY)}")
    return name


def _none_imagenet_or_file(name: str) -> str:
    if name not in {"none", "imagenet"} and not _FILE_NAME.fullmatch(name):
        raise ValueError(
            "must be none, imagenet, or the name of a .safetensors or .pth file under "
            "data/raw/pretrained"
        )
    return name


class ModelParams(Params):
    """Which network is built."""

    backbone: Annotated[str, AfterValidator(_known_backbone)]
    """A name of slimline/networks/registry.py."""

    pretrained: Annotated[str, AfterValidator(_none_imagenet_or_file)]
    """Weights to begin with: none, imagenet, or a file under data/raw/pretrained. They bring their
    normalisation along."""

    stem_stride: Literal[1, 2]
    """Stride of the first convolution; 1 suits images far below 224 px."""

    stem_kernel: Literal[3, 5, 7]
    """Kernel of the first convolution, pixels."""

    activation: Activation
    """What stands where the published network has an activation function: keep, relu or relu6."""

    @field_validator("pretrained")
    @classmethod
    def _are_published(cls, name: str, info: ValidationInfo) -> str:
        backbone = info.data.get("backbone")
        if name == "imagenet" and backbone is not None and REGISTRY[backbone].imagenet is None:
            raise ValueError(f"must not be imagenet: nobody publishes weights of {backbone}")
        return name
