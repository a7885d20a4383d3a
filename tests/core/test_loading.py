import numpy as np
import pytest
import torch

from slimline.core import loading
from slimline.core.data import Split
from slimline.core.preprocessing import Preprocessing
from slimline.core.recipe import Augment, Recipe

FRAME = Preprocessing(8, 8, 1, mean=(0.0,), std=(1.0,))
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), np.uint8)
SPLIT = Split(IMAGES, np.arange(50), [str(each) for each in range(50)], FRAME)


def recipe(**changes: object) -> Recipe:
    settings = {
        "epochs": 2, "batch_size": 10, "optimizer": "sgd", "learning_rate": 0.1,
        "weight_decay": 0.0, "label_smoothing": 0.0, "validations": 1,
        "augment": Augment(flip=False, shift=0), "num_workers": 0,
    }  # fmt: skip
    return Recipe(**(settings | changes))


def batches(settings: Recipe, seed: int = 1) -> list[loading.Batch]:
    return list(loading.training_batches(SPLIT, FRAME, settings, seed=seed))


def test_every_image_once_per_epoch() -> None:
    labels = torch.cat([labels for _, labels in batches(recipe())]).view(2, 50)
    assert all(sorted(epoch.tolist()) == list(range(50)) for epoch in labels)
    assert labels[0].tolist() != labels[1].tolist()


def test_without_augmentation_images_are_as_they_are() -> None:
    images, labels = batches(recipe())[0]
    assert torch.equal(images, torch.from_numpy(FRAME.normalise(IMAGES[labels.numpy()])))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_never_change_the_bytes(workers: int) -> None:
    augment = Augment(flip=True, shift=2)
    alone = batches(recipe(augment=augment))
    helped = batches(recipe(augment=augment, num_workers=workers))
    for (one, _), (other, _) in zip(alone, helped, strict=True):
        assert torch.equal(one, other)


def test_augmentation_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    iterator = iter(
        loading.training_batches(SPLIT, FRAME, recipe(augment=Augment(flip=True, shift=2)), seed=1)
    )
    first = next(iterator)[0]
    assert torch.rand(1) == expected
    assert not torch.equal(first, batches(recipe())[0][0])


def test_a_fraction_of_an_epoch() -> None:
    assert loading.num_steps(SPLIT, recipe(epochs=0.5)) == 2
    assert len(batches(recipe(epochs=1.5))) == 8
