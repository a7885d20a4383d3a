"""Feeds a split to training: order and augmentation, whatever the workers do.

What happens to an image depends on (seed, epoch, index) alone. So the number of loader processes
never changes the bytes of a model.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import ImageFiles, Split
from slimline.training import augmentation, processes
from slimline.training.augmentation import Augment
from slimline.training.normalisation import Normaliser
from slimline.training.settings import Recipe

Batch = tuple[Tensor, Tensor]
"""Images float32 [batch, channels, height, width]; labels int64 [batch].

Where images are mixed, labels are the share of each class, float32 [batch, classes]."""

_Raw = tuple[Tensor, Tensor, int]
"""A batch as workers make it: uint8 [batch, channels, height, width] whatever the network takes,
labels int64 [batch], and the seed of what is drawn for the batch as a whole."""

_VALIDATION_BATCH = 250

_AHEAD = 4
"""Batches that each worker has ready."""

_CPU = torch.device("cpu")


def training_batches(
    split: Split,
    preprocessing: Preprocessing,
    recipe: Recipe,
    *,
    seed: int,
    done: int = 0,
    device: torch.device = _CPU,
) -> "TrainingBatches":
    """Return a loader of `num_steps(split, recipe)` shuffled and augmented batches.

    Of these the first `done` are left out: they were seen before an interruption. Of several
    processes each has its own share of every batch.
    """
    return TrainingBatches(split, preprocessing, recipe, seed, done, device)


class TrainingBatches:
    """Decoded and changed by workers, which stay to the end; normalised and mixed on the device."""

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        recipe: Recipe,
        seed: int,
        done: int,
        device: torch.device,
    ) -> None:
        self._loader: DataLoader[_Raw] = DataLoader(
            _Samples(split, recipe.augment, seed),
            batch_sampler=_Keys(split, recipe, seed, done),
            num_workers=recipe.num_workers,
            prefetch_factor=_AHEAD if recipe.num_workers else None,
            collate_fn=_as_is,
            generator=torch.Generator().manual_seed(seed),
            # Out of pinned memory a GPU fetches a batch while it computes the one before.
            pin_memory=device.type == "cuda",
        )
        self._device = device
        self._normalise = Normaliser(preprocessing, device)
        self._mixes = augmentation.of_batch(recipe.augment, len(split.classes))

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches on the device."""
        for pixels, labels, seed in self._loader:
            yield self._mixed(
                self._normalise(pixels), labels.to(self._device, non_blocking=True), seed
            )

    def _mixed(self, images: Tensor, labels: Tensor, seed: int) -> Batch:
        if self._mixes is None:
            return images, labels
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(seed)
        images, labels = self._mixes(images, labels)
        torch.set_rng_state(state)
        return images, labels


def num_steps(split: Split, recipe: Recipe) -> int:
    """Return how many optimizer steps a recipe takes: at least two, or none for no epochs."""
    if recipe.epochs == 0:
        return 0
    return max(2, round(recipe.epochs * len(split) / recipe.batch_size))


def fixed_batches(
    split: Split,
    preprocessing: Preprocessing,
    *,
    size: int = _VALIDATION_BATCH,
    rank: int = 0,
    count: int = 1,
    device: torch.device = _CPU,
) -> Iterator[Batch]:
    """Yield the whole split in order, without augmentation, `size` images at a time.

    Images are on the device, labels stay. Of `count` processes each has its own batches, the same
    as one process would make.
    """
    rows = rows_of(split, size=size, rank=rank, count=count)
    return _fixed(split, preprocessing, rows, device)


def even_batches(
    split: Split,
    preprocessing: Preprocessing,
    *,
    most: int = _VALIDATION_BATCH,
    device: torch.device = _CPU,
) -> Iterator[Batch]:
    """Yield the same in as few batches as can be of at most `most` images, equal but for one image.

    A mean over batches would count the few images of a short last one like those of a whole one.
    """
    count = math.ceil(len(split) / most)
    starts = [len(split) * place // count for place in range(count + 1)]
    return _fixed(split, preprocessing, itertools.starmap(slice, pairwise(starts)), device)


def _fixed(
    split: Split, preprocessing: Preprocessing, parts: Iterable[slice], device: torch.device
) -> Iterator[Batch]:
    normalise = Normaliser(preprocessing, device)
    for rows in parts:
        # Rows of a file that is mapped into memory may not be written, and torch wants to know.
        pixels = np.require(split.images[rows], requirements="W")
        yield (
            normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2)),
            torch.from_numpy(np.asarray(split.labels[rows])),
        )


def rows_of(
    split: Split, *, size: int = _VALIDATION_BATCH, rank: int = 0, count: int = 1
) -> Iterator[slice]:
    """Yield the rows of each of the batches that `fixed_batches` yields."""
    for start in range(rank * size, len(split), count * size):
        yield slice(start, start + size)


class _Samples(Dataset[_Raw]):
    """A split whose items are asked for by (epoch, index), a batch at a time."""

    def __init__(self, split: Split, augment: Augment, seed: int) -> None:
        self._split, self._seed = split, seed
        frame = split.preprocessing
        self._changes = augmentation.of_image(augment, (frame.height, frame.width))
        self._reads_whole = augment.crop < 1 and isinstance(split.images, ImageFiles)
        # Evaluation's at least, as large JPEGs are stored: `data.store` then changes no other cuts
        # than those that are smaller than a stored copy allows.
        least = augmentation.least_size(augment, max(frame.height, frame.width))
        self._least = max(least, frame.least)

    def __getitem__(self, key: tuple[int, int]) -> _Raw:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> _Raw:
        index = np.array([index for _, index in keys])
        state = torch.get_rng_state()
        changed = [
            self._change(image, key) for image, key in zip(self._read(index), keys, strict=True)
        ]
        torch.set_rng_state(state)
        labels = torch.from_numpy(self._split.labels[index])
        return torch.stack(changed), labels, _mix(self._seed, *keys[0], len(keys))

    def _read(self, index: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield uint8 [channels, height, width]: whole where a part will be cut out of it."""
        images = self._split.images
        if self._reads_whole:
            assert isinstance(images, ImageFiles)
            yield from (
                torch.from_numpy(images.whole(row, self._least)).permute(2, 0, 1) for row in index
            )
        elif isinstance(images, ImageFiles) and get_worker_info() is not None:
            # Workers share the cores as they are; each needs no threads of its own.
            yield from torch.from_numpy(images.read(index, threads=1)).permute(0, 3, 1, 2)
        else:
            yield from torch.from_numpy(images[index]).permute(0, 3, 1, 2)

    def _change(self, image: Tensor, key: tuple[int, int]) -> Tensor:
        torch.default_generator.manual_seed(_mix(self._seed, *key))
        changed: Tensor = self._changes(image)
        return changed


class _Keys:
    """Batches of (epoch, index): each epoch is a permutation, the last one may be cut short.

    A balanced epoch is as long, and draws with replacement, all classes equally often.
    """

    def __init__(self, split: Split, recipe: Recipe, seed: int, done: int) -> None:
        self._batch_size, self._steps = recipe.batch_size, num_steps(split, recipe)
        self._done = done
        self._count, self._seed = len(split), seed
        self._chance = (
            class_weights(split)[split.labels] / len(split) if recipe.balance == "sampler" else None
        )

    def __len__(self) -> int:
        return self._steps - self._done

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch: list[tuple[int, int]] = []
        left = len(self) * self._batch_size
        first, place = divmod(self._done * self._batch_size, self._count)
        for epoch in itertools.count(first):
            order = self._order(epoch)[place : place + left]
            left -= len(order)
            start = place = 0
            while start < len(order):
                taken = order[start : start + self._batch_size - len(batch)]
                batch += [(epoch, index) for index in taken.tolist()]
                start += len(taken)
                if len(batch) == self._batch_size:
                    yield batch[processes.rank() :: processes.count()]
                    batch = []
            if not left:
                return

    def _order(self, epoch: int) -> NDArray[np.int64]:
        generator = np.random.default_rng([self._seed, epoch])
        if self._chance is None:
            return generator.permutation(self._count)
        return generator.choice(self._count, self._count, p=self._chance)


def class_weights(split: Split) -> NDArray[np.float64]:
    """Return for each class how much an image of it counts where all classes count the same.

    [classes]; 1 for a class of average size, on average 1 over the images.
    """
    counts = np.bincount(split.labels, minlength=len(split.classes))
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = len(split) / (present.sum() * counts[present])
    return weights


def _mix(*parts: int) -> int:
    """Return one 64-bit seed for several numbers, so that neighbours are unrelated."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def _as_is(batch: Any) -> Any:
    """Take the batch as the data set has made it."""
    return batch
