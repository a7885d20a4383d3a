"""Settings of the reference model: a network, and how it is trained."""

from slimline.networks.settings import ModelParams
from slimline.training.settings import Recipe


class BaselineTrainParams(ModelParams):
    """Section `baseline_train`: the reference model."""

    recipe: Recipe
