"""How many images per second training manages; what other benchmarks measure with."""

import time

import numpy as np

from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.training import loop
from slimline.training.settings import Recipe


def images_per_second(model: Classifier, train: Split, recipe: Recipe, *, steps: int = 10) -> float:
    """Return the slope between a short run and one of twice its length.

    What every run costs once is not in it. The model is trained, without a teacher.
    """
    seconds = [run(model, train, recipe, steps=each) for each in (steps, 2 * steps)]
    return steps * recipe.batch_size / (seconds[1] - seconds[0])


def run(model: Classifier, train: Split, recipe: Recipe, *, steps: int) -> float:
    """Train for some steps without a teacher, validate on two images, and return the seconds."""
    plain = {key: getattr(recipe, key) for key in Recipe.model_fields}
    chosen = Recipe(**plain | {"epochs": steps * recipe.batch_size / len(train), "validations": 1})
    two = Split(
        split_files.take(train.images, np.arange(2)),
        train.labels[:2],
        train.classes,
        train.preprocessing,
    )
    start = time.perf_counter()
    loop.fit(
        model.network,
        train,
        two,
        chosen,
        preprocessing=model.preprocessing,
        seed=1,
        phase="throughput",
    )
    return time.perf_counter() - start
