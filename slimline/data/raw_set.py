"""A raw set before it is split: what every reader of `data/raw` returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimline.data.split_files import ImageFiles


@dataclass(frozen=True)
class Part:
    """Labelled images that belong together."""

    images: NDArray[np.uint8] | ImageFiles
    """[count, height, width, channels], or files."""
    labels: NDArray[np.int64]
    """[count], indices into the classes."""
    groups: NDArray[np.int64] | None = None
    """[count], a number for each group of images that must not be parted; nothing parts freely."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


@dataclass(frozen=True)
class RawSet:
    """All of a raw set; what it does not hold out itself is taken from `train`."""

    classes: Sequence[str]
    train: Part
    validation: Part | None = None
    test: Part | None = None
