"""Raw data sets under `data/raw`, and how one becomes four disjoint splits. Free of torch.

What a set looks like is known by its reader (`idx`, `folders`, `downloads`); what the splits look
like on disk is in `slimline.data.split_files`.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from slimline.data import downloads, folders, idx, split_files
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_set import Part, RawSet
from slimline.data.split_files import ImageFiles, Images, Split
from slimline.errors import DataError
from slimline.params import Params

_FEW = 10
"""A class with fewer images in a split is told of."""

_MEASURED = 10_000
"""Files whose pixels the normalisation is measured on; of an array, all are."""

_CHUNK = 500


class DataParams(Params):
    """Section `data`: what `prepare_data` reads and how it splits."""

    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """A folder under data/raw, or a classification set by torchvision's name, as CIFAR10."""

    image_size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that every image is brought to, pixels."""

    crop: Annotated[float, Field(gt=0, le=1)]
    """Share of an image's height and width that evaluation looks at, around the centre."""

    validation_images: Annotated[int, Field(ge=0)]
    """Images for model selection, taken from train evenly over the classes; 0: the set's own."""

    calibration_images: Annotated[int, Field(ge=1)]
    """Images that set the ranges of quantized activations, likewise taken from train."""

    test_images: Annotated[int, Field(ge=0)]
    """Images for the final score, likewise taken from train; 0: the set's own."""

    on_bad_image: Literal["error", "skip"]
    """What to do about files that cannot be used: stop, or go on without them; both name them."""


def prepare(raw: Path, settings: DataParams, *, seed: int, scratch: Path) -> dict[str, Split]:
    """Return the splits train, calibration, validation and test of `raw / settings.source`.

    What the set holds out itself stays together; the others are split at random but stratified.
    Every split comes in a random order of which each beginning has the classes in proportion, so
    that whoever takes the first images takes a sample.
    What must be downloaded is put into `scratch`, and has to stay there until the splits are saved.

    Raises:
        DataError: a file is missing, damaged or malformed, or too few images are left to train on.
    """
    source = _read(raw, settings, scratch)
    wanted = {
        "validation": _held_out(settings.validation_images, source.validation, "validation"),
        "calibration": settings.calibration_images,
        "test": _held_out(settings.test_images, source.test, "test"),
    }
    if sum(wanted.values()) >= len(source.train):
        asked = " + ".join(f"data.{name}_images" for name in wanted)
        raise DataError(
            f"params.yaml: {asked} = {sum(wanted.values())} leave nothing to train on: "
            f"{settings.source} has {len(source.train)} training images"
        )
    order = _stratified_order(source.train.labels, seed)
    rows = np.split(order, np.cumsum(list(wanted.values())))
    parts = {
        name: _taken(source.train, index)
        for name, index in zip([*wanted, "train"], rows, strict=True)
    }
    own = {"validation": source.validation, "test": source.test}
    parts |= {
        name: _taken(part, _stratified_order(part.labels, seed))
        for name, part in own.items()
        if part is not None
    }
    _report_few(parts, source)
    images = {name: _framed(part.images, settings) for name, part in parts.items()}
    frame = _measure(images["train"], settings)
    return {
        name: Split(_with_frame(images[name], frame), parts[name].labels, source.classes, frame)
        for name in ("train", "calibration", "validation", "test")
    }


def _read(raw: Path, settings: DataParams, scratch: Path) -> RawSet:
    folder, size, crop = raw / settings.source, settings.image_size, settings.crop
    if settings.source in downloads.SETS:
        return downloads.read(settings.source, raw, scratch, size=size, crop=crop)
    if not folder.is_dir():
        known = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
        raise DataError(
            f"params.yaml: data.source: there is no folder {folder}; {raw} has {known}, and "
            f"torchvision's {', '.join(downloads.SETS)} are known by name"
        )
    if (folder / idx.SUMS).is_file():
        return idx.read(folder)
    return folders.read(folder, size=size, crop=crop, skip_bad=settings.on_bad_image == "skip")


def _taken(part: Part, rows: NDArray[np.int64]) -> Part:
    return Part(split_files.take(part.images, rows), part.labels[rows])


def _held_out(asked: int, own: Part | None, name: str) -> int:
    """Return how many images must be taken from train.

    Raises:
        DataError: the set has such images itself though some are asked for, or the other way round.
    """
    if own is not None and asked:
        raise DataError(
            f"params.yaml: data.{name}_images: the set has {len(own)} {name} images of its own: "
            f"say 0 (given {asked})"
        )
    if own is None and not asked:
        raise DataError(
            f"params.yaml: data.{name}_images: the set has no {name} images of its own: say how "
            "many to take from train (given 0)"
        )
    return asked


def _report_few(parts: dict[str, Part], source: RawSet) -> None:
    """Tell of classes with next to no images.

    Raises:
        DataError: a class has none to train on.
    """
    for name, part in parts.items():
        counts = np.bincount(part.labels, minlength=len(source.classes))
        few = {
            label: count
            for label, count in zip(source.classes, counts.tolist(), strict=True)
            if count < _FEW
        }
        missing = [label for label, count in few.items() if not count]
        if missing and name == "train":
            raise DataError(f"class {missing[0]!r} has too few images: none is left to train on")
        if few and (name != "calibration" or missing):
            print(f"{name} has few images of some classes: {few}")


def _stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a random order of all rows in which every prefix has the classes in proportion."""
    generator = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
    return np.argsort(place, kind="stable")


def _framed(images: Images, settings: DataParams) -> Images:
    """Return the images of an array at the frame's size; files are brought to it when read."""
    size = settings.image_size
    if isinstance(images, ImageFiles) or (images.shape[1:3] == (size, size) and settings.crop == 1):
        return images
    frame = Preprocessing(size, size, images.shape[-1], mean=(), std=(), crop=settings.crop)
    return np.stack([frame.to_pixels(Image.fromarray(image.squeeze())) for image in images])


def _with_frame(images: Images, frame: Preprocessing) -> Images:
    return ImageFiles(images.files, frame) if isinstance(images, ImageFiles) else images


def _measure(images: Images, settings: DataParams) -> Preprocessing:
    """Return the normalisation of a training split: mean and spread per channel, 4 digits.

    Sums of whole numbers are exact, so that no order changes them.
    """
    step = max(1, len(images) // _MEASURED) if isinstance(images, ImageFiles) else 1
    rows = np.arange(0, len(images), step)
    total, squares = np.zeros((2, images[rows[:1]].shape[-1]), np.int64)
    count = 0
    for start in range(0, len(rows), _CHUNK):
        chunk = images[rows[start : start + _CHUNK]]
        pixels = chunk.reshape(-1, chunk.shape[-1]).astype(np.int64)
        total, squares = total + pixels.sum(0), squares + (pixels**2).sum(0)
        count += len(pixels)
    mean = total / (255 * count)
    std = np.sqrt(np.maximum(squares / (255**2 * count) - mean**2, 0))
    rounded = [tuple(np.round(figure, 4).tolist()) for figure in (mean, std)]
    size = settings.image_size
    return Preprocessing(size, size, len(mean), rounded[0], rounded[1], settings.crop)
