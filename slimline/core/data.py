"""Prepared splits: how `data/prepared/<split>/` is written and read. Free of torch.

Where the images come from is in `slimline.core.datasets`, how they are fed to training in
`slimline.core.loading`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline.core import serialize
from slimline.core.errors import DataError
from slimline.core.preprocessing import Preprocessing

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Split:
    """Some labelled images, and all that is needed to use them."""

    images: NDArray[np.uint8]
    """[count, height, width, channels]; memory-mapped when it was loaded."""
    labels: NDArray[np.int64]
    """[count], indices into `classes`."""
    classes: Sequence[str]
    preprocessing: Preprocessing
    """As measured on the training split; a pretrained model may bring its own."""
    digest: str = ""
    """SHA-256 of the images and labels; known once the split is written."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


def save(folder: Path, split: Split) -> None:
    """Write images, labels and manifest, at once."""
    with serialize.replacing(folder) as partial:
        np.save(partial / "images.npy", split.images)
        np.save(partial / "labels.npy", split.labels)
        manifest = {
            "classes": list(split.classes),
            "count": len(split),
            "preprocessing": split.preprocessing.to_dict(),
            "sha256": _digest(split),
        }
        serialize.write_json(partial / MANIFEST, manifest)


def load(folder: Path) -> Split:
    """Return a split with its images memory-mapped.

    Raises:
        DataError: the folder is not a prepared split.
    """
    try:
        manifest = serialize.read_json(folder / MANIFEST)
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no prepared split, {Path(error.filename).name} is missing; "
            "run `dvc repro prepare_data`"
        ) from None
    preprocessing = Preprocessing.from_dict(manifest["preprocessing"])
    return Split(images, labels, manifest["classes"], preprocessing, manifest["sha256"])


def _digest(split: Split) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(split.images).data)
    digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()
