"""Settings of a network and of a training run; the loop is in `slimline.core.training`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from slimline.backbones import REGISTRY
from slimline.backbones.architecture import Activation
from slimline.core.params import Params

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|pth)")


class Augment(Params):
    """Random changes of training images, in this order; 0, false or 1 turns one off."""

    crop: Annotated[float, Field(gt=0, le=1)]
    """Smallest share of an image's area that is cut out and resized to the frame; 1: no cut."""

    flip: bool
    """Mirror half of the images left to right."""

    shift: Annotated[int, Field(ge=0, le=64)]
    """Move an image by up to this many pixels in each direction; the border is filled with 0."""

    color: Annotated[float, Field(ge=0, le=1)]
    """Change brightness, contrast and saturation by up to this share."""

    randaugment: Annotated[int, Field(ge=0, le=30)]
    """Magnitude of two changes that RandAugment chooses (Cubuk et al., 2019, arXiv:1909.13719)."""

    mixup: Annotated[float, Field(ge=0, le=10)]
    """Alpha of the share at which two images are mixed (Zhang et al., 2017, arXiv:1710.09412)."""

    cutmix: Annotated[float, Field(ge=0, le=10)]
    """Alpha of the share that is pasted from another image (Yun et al., 2019, arXiv:1905.04899).
    With mixup, each batch takes one of both."""


class Distill(Params):
    """How much a teacher helps (Hinton et al., 2015, arXiv:1503.02531)."""

    weight: Annotated[float, Field(ge=0, le=1)]
    """Share of the loss that asks for the teacher's answer; 0 trains without a teacher."""

    temperature: Annotated[float, Field(gt=0, le=100)]
    """Softens the answers of both; 1 leaves them as they are."""

    last: Annotated[float, Field(gt=0, le=1)]
    """Share of the run, at its end, in which the teacher is asked; each question costs time."""


class Recipe(Params):
    """One run of the training loop."""

    epochs: Annotated[float, Field(gt=0, le=1000)]
    """Passes over the training split; may be a fraction."""

    batch_size: Annotated[int, Field(ge=2, le=4096)]
    """Images per step."""

    optimizer: Literal["sgd", "adamw"]
    """sgd has Nesterov momentum."""

    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Peak of a one-cycle schedule that ends near 0."""

    weight_decay: Annotated[float, Field(ge=0, le=1)]
    """Pull of every weight towards 0."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target that is spread over all classes."""

    validations: Annotated[int, Field(ge=1, le=1000)]
    """How often, evenly over the run, validation is measured; the best state is kept."""

    augment: Augment

    balance: Literal["none", "weights", "sampler"]
    """For classes of unequal size: weights counts rare classes more in the loss; sampler draws all
    classes equally often, images of rare ones repeatedly."""

    num_workers: Annotated[int, Field(ge=0, le=64)]
    """Loader processes; 0 loads in the training process. Never changes the result."""


class DistilledRecipe(Recipe):
    """A training run with a teacher."""

    distill: Distill


class TransferRecipe(DistilledRecipe):
    """A training run in which head and backbone may learn at different rates."""

    backbone_rate: Annotated[float, Field(gt=0, le=1)]
    """Learning rate of the backbone as a share of the head's; 1 trains both alike."""


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
    """A name of the registry in slimline/backbones."""

    pretrained: Annotated[str, AfterValidator(_none_imagenet_or_file)]
    """Weights to begin with: none, imagenet, or a file under data/raw/pretrained. They bring their
    normalisation along."""

    stem_stride: Literal[1, 2]
    """Stride of the first convolution; 1 suits images far below 224 px."""

    stem_kernel: Literal[3, 5, 7]
    """Kernel of the first convolution, pixels."""

    activation: Activation
    """What stands where the published network has an activation function: keep, relu or relu6."""


class BaselineTrainParams(ModelParams):
    """Section `baseline_train`: the reference model."""

    recipe: Recipe
