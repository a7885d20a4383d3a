"""Settings of a training run; the loop is in `slimline.training.loop`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from slimline.params import Params
from slimline.training.augmentation import Augment

Selection: TypeAlias = Literal["top1", "mean_recall", "loss"]
"""What makes one state of a network better than another, on validation."""


def each_once(names: list[str]) -> list[str]:
    """Return names as they are.

    Raises:
        ValueError: one stands there twice.
    """
    if len(set(names)) < len(names):
        raise ValueError("must name each once")
    return names


class Distill(Params):
    """How much a teacher helps (Hinton et al., 2015, arXiv:1503.02531)."""

    weight: Annotated[float, Field(ge=0, le=1)]
    """Share of the loss that asks for the teacher's answer; 0 trains without a teacher."""

    temperature: Annotated[float, Field(gt=0, le=100)]
    """Softens the answers of both; 1 leaves them as they are."""

    last: Annotated[float, Field(gt=0, le=1)]
    """Share of the run, at its end, in which the teacher is asked; each question costs time."""


class Step(Params):
    """How a step is made."""

    precision: Literal["float32", "tf32", "bfloat16"]
    """Of forward and backward pass. float32 is exact everywhere, tf32 means on GPUs that have it
    products of 10 bits in convolutions and matrices, bfloat16 is autocast; weights are float32
    always. qat_finetune trains in float32 whatever this says."""

    accumulate: Annotated[int, Field(ge=1, le=1024)]
    """Parts into which a batch is cut to save memory; BatchNorm sees a part at a time."""

    clip_norm: Annotated[float, Field(ge=0, le=1000)]
    """Longest gradient, over all weights together; 0 clips none."""

    ema: Annotated[float, Field(ge=0, lt=1)]
    """Share that an average of the weights keeps of itself at each step, as 0.999: the average is
    validated and kept. 0: the weights themselves."""

    decay_all: bool
    """Whether weight decay pulls at biases and norms as well, or at weights of two or more
    dimensions alone."""

    compile: bool
    """Whether torch.compile makes kernels for the network, which takes minutes and pays on GPUs.
    Never in qat_finetune."""


class SharedRecipe(Params):
    """Section `training`: what all recipes share, unless one has a key itself."""

    batch_size: Annotated[int, Field(ge=2, le=4096)]
    """Images per step."""

    optimizer: Literal["sgd", "adamw"]
    """sgd has Nesterov momentum."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target that is spread over all classes."""

    augment: Augment

    step: Step

    balance: Literal["none", "weights", "sampler"]
    """For classes of unequal size: weights counts rare classes more in the loss; sampler draws all
    classes equally often, images of rare ones repeatedly."""

    select_by: Literal["auto", "top1", "mean_recall", "loss"]
    """Which state of a run is kept, by validation: that of the best top-1, mean recall (every class
    counts alike, however few images it has) or loss. auto: mean recall where classes are balanced,
    else top-1."""

    num_workers: Annotated[int, Field(ge=0, le=64)]
    """Loader processes; 0 loads in the training process. Never changes the result."""

    @property
    def selects(self) -> Selection:
        """What `select_by` comes to."""
        if self.select_by == "auto":
            return "top1" if self.balance == "none" else "mean_recall"
        return self.select_by


class ProgressParams(Params):
    """Section `progress`: what a long training leaves behind while it runs.

    Nothing of it changes a result, and no stage depends on it.
    """

    checkpoint_minutes: Annotated[float, Field(ge=0, le=1440)]
    """Minutes from one checkpoint to the next; 0 writes none."""

    watchers: Annotated[
        list[Literal["dvclive", "tensorboard", "mlflow", "wandb"]], AfterValidator(each_once)
    ]
    """Tools that are told loss, images/s and validation while a stage trains; each needs a package
    of its own (docs/long_runs.md)."""


class Recipe(SharedRecipe):
    """One run of the training loop."""

    epochs: Annotated[float, Field(ge=0, le=1000)]
    """Passes over the training split; may be a fraction. 0 trains nothing at all."""

    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Peak of a one-cycle schedule that ends near 0; meanwhile momentum (of adamw its first beta)
    falls from 0.95 to 0.85 and rises again."""

    weight_decay: Annotated[float, Field(ge=0, le=1)]
    """Pull of every weight towards 0."""

    validations: Annotated[int, Field(ge=1, le=1000)]
    """How often, evenly over the run, validation is measured; the best state is kept."""


class DistilledRecipe(Recipe):
    """A training run with a teacher."""

    distill: Distill


class TransferRecipe(DistilledRecipe):
    """A training run in which head and backbone may learn at different rates."""

    backbone_rate: Annotated[float, Field(gt=0, le=1)]
    """Learning rate of the backbone as a share of the head's; 1 trains both alike."""
