"""Settings of a network and of a training run; the loop is in `slimline.core.training`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from slimline.backbones import REGISTRY
from slimline.core.params import Params


class Augment(Params):
    """Random changes of training images; 0 or false turns one off."""

    flip: bool
    """Mirror half of the images left to right."""

    shift: Annotated[int, Field(ge=0, le=64)]
    """Move an image by up to this many pixels in each direction; the border is filled with 0."""


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

    num_workers: Annotated[int, Field(ge=0, le=64)]
    """Loader processes; 0 loads in the training process. Never changes the result."""


class DistilledRecipe(Recipe):
    """A training run with a teacher."""

    distill: Distill


def _known_backbone(name: str) -> str:
    if name not in REGISTRY:
        raise ValueError(f"must be one of {', '.join(REGISTRY)}")
    return name


class ModelParams(Params):
    """Which network is built."""

    backbone: Annotated[str, AfterValidator(_known_backbone)]
    """A name of the registry in slimline/backbones."""

    stem_stride: Literal[1, 2]
    """Stride of the first convolution; 1 suits images far below 224 px."""

    stem_kernel: Literal[3, 5, 7]
    """Kernel of the first convolution, pixels."""


class BaselineTrainParams(ModelParams):
    """Section `baseline_train`: the reference model."""

    recipe: Recipe
