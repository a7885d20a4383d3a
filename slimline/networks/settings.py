"""Settings of a network: which one, with which weights, stem and activations. Free of torch."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from slimline.networks import backbone_names
from slimline.networks.architecture import Activation
from slimline.networks.checkpoint_kind import SUFFIXES
from slimline.networks.registry import REGISTRY
from slimline.params import Params

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_OURS = (
    "must be copied first, since DVC deletes what a stage made before it runs again: copy it, or "
    "`dvc get . models/prune --rev main -o data/raw/pretrained/mine`, and name mine"
)


def _none_imagenet_or_folder(name: str) -> str:
    if "models" in PurePosixPath(name).parts[:-1]:
        raise ValueError(_OURS)
    if PurePosixPath(name).suffix in SUFFIXES:
        raise ValueError(
            "must be none, imagenet, or the name of a folder under data/raw/pretrained: each file "
            f"has one of its own; put it into data/raw/pretrained/{PurePosixPath(name).stem}/"
        )
    if not _FOLDER.fullmatch(name):
        raise ValueError(
            "must be none, imagenet, or the name of a folder under data/raw/pretrained"
        )
    return name


class ModelParams(Params):
    """Which network is built."""

    backbone: Annotated[str, AfterValidator(backbone_names.check)]
    """A name of slimline/networks/registry.py, torchvision:<name>, timm:<name>, or
    own.<module>:<function>."""

    pretrained: Annotated[str, AfterValidator(_none_imagenet_or_folder)]
    """Weights to begin with: none, imagenet, or a folder under data/raw/pretrained. They bring
    their normalisation along."""

    accept_licence: list[str] = Field(default_factory=list)
    """Licences of published weights that may be used although they do not allow every use, or
    `unknown`, each as the refusal names it."""

    stem_stride: Literal["keep", 1, 2]
    """Stride of the first convolution; 1 suits images far below 224 px, keep is what the network or
    checkpoint has."""

    stem_kernel: Literal["keep", 3, 5, 7]
    """Kernel of the first convolution, pixels; keep is what the network or checkpoint has."""

    activation: Activation
    """What stands where the published network has an activation function: keep, relu or relu6."""

    @field_validator("pretrained")
    @classmethod
    def _are_published(cls, name: str, info: ValidationInfo) -> str:
        backbone = str(info.data.get("backbone"))
        is_ours = backbone in REGISTRY and REGISTRY[backbone].imagenet is None
        if name == "imagenet" and (is_ours or backbone.startswith("own.")):
            raise ValueError(f"must not be imagenet: nobody publishes weights of {backbone}")
        return name
