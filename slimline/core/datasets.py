"""Raw data sets under `data/raw`, and how one becomes four disjoint splits. Free of torch.

A set in IDX format is a folder with the four gz files that MNIST made common, `SHA256SUMS` and
`classes.txt`. What the splits look like on disk is in `slimline.core.data`.
"""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from slimline.core.data import Split
from slimline.core.errors import DataError
from slimline.core.params import Params
from slimline.core.preprocessing import Preprocessing

TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801


class DataParams(Params):
    """Section `data`: what `prepare_data` reads and how it splits."""

    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """A folder under data/raw."""

    image_size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that every image is brought to, pixels."""

    validation_images: Annotated[int, Field(ge=1)]
    """Images for model selection, taken from train evenly over the classes."""

    calibration_images: Annotated[int, Field(ge=1)]
    """Images that set the ranges of quantized activations, likewise taken from train."""


def prepare(raw: Path, settings: DataParams, *, seed: int) -> dict[str, Split]:
    """Return the splits train, calibration, validation and test of `raw / settings.source`.

    The official test images stay together; the others are split at random but stratified.

    Raises:
        DataError: a file is missing, damaged or malformed, or too few images are left to train on.
    """
    folder = raw / settings.source
    if not folder.is_dir():
        known = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
        raise DataError(f"params.yaml: data.source: there is no folder {folder}; {raw} has {known}")
    _verify(folder)
    classes = _read_classes(folder)
    images, labels = _read_pair(folder, TRAIN_FILES, classes)
    test_images, test_labels = _read_pair(folder, TEST_FILES, classes)
    held_out = settings.validation_images + settings.calibration_images
    if held_out >= len(labels):
        raise DataError(
            f"params.yaml: data.validation_images + data.calibration_images = {held_out} leave "
            f"nothing to train on: {folder} has {len(labels)} training images"
        )
    order = _stratified_order(labels, seed)
    ends = np.cumsum([settings.validation_images, settings.calibration_images])
    parts = np.split(order, ends)
    images, test_images = (_resize(each, settings.image_size) for each in (images, test_images))
    rows = dict(zip(("validation", "calibration", "train"), map(np.sort, parts), strict=True))
    preprocessing = _measure(images[rows["train"]])
    splits = {
        name: Split(images[index], labels[index], classes, preprocessing)
        for name, index in rows.items()
    }
    return splits | {"test": Split(test_images, test_labels, classes, preprocessing)}


def _verify(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        raise DataError(f"{sums}: the checksums are missing; this is no IDX data set")
    for line in sums.read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        path = folder / name.strip()
        if not path.is_file():
            raise DataError(f"{path}: the file is missing, though SHA256SUMS lists it")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise DataError(f"{path}: is damaged, its SHA-256 is not the one in SHA256SUMS")


def _read_classes(folder: Path) -> list[str]:
    path = folder / "classes.txt"
    if not path.is_file():
        raise DataError(f"{path}: the class names are missing, one a line in order of the labels")
    classes = path.read_text(encoding="utf-8").splitlines()
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise DataError(f"{path}: needs two or more different class names, has {classes}")
    return classes


def _read_pair(
    folder: Path, names: tuple[str, str], classes: list[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = _read_idx(folder / names[0], _IMAGES_MAGIC)[..., np.newaxis]
    labels = _read_idx(folder / names[1], _LABELS_MAGIC).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} images but {len(labels)} labels in {names}")
    if labels.max(initial=0) >= len(classes):
        raise DataError(
            f"{folder / names[1]}: has label {labels.max()}, classes.txt has {len(classes)} classes"
        )
    return images, labels


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file: magic, a big-endian int32 per dimension, then bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is no complete gzip file: {error}") from None
    dimensions = magic & 0xFF
    header = np.frombuffer(content[: 4 * (1 + dimensions)], ">i4")
    if len(header) != 1 + dimensions or header[0] != magic:
        raise DataError(f"{path}: is no IDX file of {dimensions} dimensions")
    pixels = np.frombuffer(content, np.uint8, offset=header.nbytes)
    if pixels.size != np.prod(header[1:]):
        raise DataError(
            f"{path}: has {pixels.size} bytes of data, its header promises {header[1:]}"
        )
    return pixels.reshape(header[1:])


def _stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a random order of all rows in which every prefix has the classes in proportion."""
    generator = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
    return np.argsort(place, kind="stable")


def _resize(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if images.shape[1:3] == (size, size):
        return images
    frame = Preprocessing(size, size, images.shape[-1], mean=(), std=())
    return np.stack([frame.to_pixels(Image.fromarray(image.squeeze(-1))) for image in images])


def _measure(images: NDArray[np.uint8]) -> Preprocessing:
    """Return the normalisation of a training split: mean and spread per channel, 4 digits."""
    scaled = images.reshape(-1, images.shape[-1]) / np.float64(255)
    mean, std = (np.round(figure, 4).tolist() for figure in (scaled.mean(0), scaled.std(0)))
    height, width, channels = images.shape[1:]
    return Preprocessing(height, width, channels, tuple(mean), tuple(std))
