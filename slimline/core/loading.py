"""Feeds a split to training: order, augmentation and normalisation, whatever the workers do.

What happens to an image depends on (seed, epoch, index) alone. So the number of loader processes
never changes the bytes of a model.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from slimline.core.data import Split
from slimline.core.preprocessing import Preprocessing
from slimline.core.recipe import Augment, Recipe

Batch = tuple[Tensor, Tensor]
"""Images float32 [batch, channels, height, width], labels int64 [batch]."""

_VALIDATION_BATCH = 250


def training_batches(
    split: Split, preprocessing: Preprocessing, recipe: Recipe, *, seed: int
) -> DataLoader[Batch]:
    """Return a loader of `num_steps(split, recipe)` shuffled and augmented batches."""
    dataset = _Samples(split, preprocessing, recipe.augment, seed)
    keys = _Keys(len(split), recipe.batch_size, num_steps(split, recipe), seed)
    return DataLoader(
        dataset,
        batch_sampler=keys,
        num_workers=recipe.num_workers,
        collate_fn=_as_is,
        generator=torch.Generator().manual_seed(seed),
    )


def num_steps(split: Split, recipe: Recipe) -> int:
    """Return how many optimizer steps a recipe takes; at least two."""
    return max(2, round(recipe.epochs * len(split) / recipe.batch_size))


def fixed_batches(split: Split, preprocessing: Preprocessing) -> Iterator[Batch]:
    """Yield the whole split in order, without augmentation."""
    for start in range(0, len(split), _VALIDATION_BATCH):
        rows = slice(start, start + _VALIDATION_BATCH)
        yield (
            torch.from_numpy(preprocessing.normalise(split.images[rows])),
            torch.from_numpy(np.asarray(split.labels[rows])),
        )


class _Samples(Dataset[Batch]):
    """A split whose items are asked for by (epoch, index), a batch at a time."""

    def __init__(
        self, split: Split, preprocessing: Preprocessing, augment: Augment, seed: int
    ) -> None:
        self._split, self._preprocessing, self._seed = split, preprocessing, seed
        self._augment = _augmentation(augment, split.images.shape[1:3])

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        index = np.array([index for _, index in keys])
        pixels = torch.from_numpy(self._split.images[index]).permute(0, 3, 1, 2)
        state = torch.get_rng_state()
        changed = [self._change(image, key) for image, key in zip(pixels, keys, strict=True)]
        torch.set_rng_state(state)
        images = torch.stack(changed).permute(0, 2, 3, 1).numpy()
        return (
            torch.from_numpy(self._preprocessing.normalise(images)),
            torch.from_numpy(self._split.labels[index]),
        )

    def _change(self, image: Tensor, key: tuple[int, int]) -> Tensor:
        torch.default_generator.manual_seed(_mix(self._seed, *key))
        changed: Tensor = self._augment(image)
        return changed


class _Keys:
    """Batches of (epoch, index): each epoch is a permutation, the last one may be cut short."""

    def __init__(self, count: int, batch_size: int, steps: int, seed: int) -> None:
        self._count, self._batch_size, self._steps, self._seed = count, batch_size, steps, seed

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epochs = math.ceil(self._steps * self._batch_size / self._count)
        keys = [
            (epoch, index)
            for epoch in range(epochs)
            for index in np.random.default_rng([self._seed, epoch])
            .permutation(self._count)
            .tolist()
        ]
        for step in range(self._steps):
            yield keys[step * self._batch_size : (step + 1) * self._batch_size]


def _augmentation(augment: Augment, size: tuple[int, ...]) -> v2.Transform:
    steps: list[v2.Transform] = [v2.Identity()]
    if augment.flip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.shift:
        steps.append(v2.RandomCrop(size, padding=augment.shift))
    return v2.Compose(steps)


def _mix(*parts: int) -> int:
    """Return one 64-bit seed for several numbers, so that neighbours are unrelated."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def _as_is(batch: Any) -> Any:
    """Take the batch as the data set has made it."""
    return batch
